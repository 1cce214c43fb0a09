from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hqgen.spikes.packed import PackedSpikes
from tests.simulation.stream_statistics import stream_statistics


def test_a_regular_stream_has_no_spread() -> None:
    frames = np.zeros((40, 20, 20), np.uint8)
    frames[::4] = 1
    found = stream_statistics(PackedSpikes.pack(frames))
    assert (found.rate, found.rate_low, found.rate_high) == (0.25, 0.25, 0.25)
    assert (found.interval_cv, found.interval_deviation, found.fixed_pattern, found.hot_share) == (0, 0, 0, 0)
    assert found.flicker == 1  # every spike in an even frame


def test_intervals_of_2_and_4_frames_have_a_cv_of_a_third() -> None:
    frames = np.zeros((31, 10, 10), np.uint8)
    frames[[0, 2, 6, 8, 12, 14, 18, 20, 24, 26, 30]] = 1
    found = stream_statistics(PackedSpikes.pack(frames))
    assert found.interval_deviation == pytest.approx(1)
    assert found.interval_cv == pytest.approx(1 / 3)


def test_a_hot_pixel_is_counted_and_leaves_the_fixed_pattern_alone() -> None:
    frames = np.zeros((40, 20, 20), np.uint8)
    frames[::4] = 1
    frames[:, 7, 9] = 1
    found = stream_statistics(PackedSpikes.pack(frames))
    assert found.hot_share == 1 / 400
    assert found.fixed_pattern == 0


def test_a_fixed_pattern_is_measured_in_spite_of_few_spikes() -> None:
    rng = np.random.default_rng(0)
    rate = 0.04 * (1 + 0.1 * rng.standard_normal((50, 50)))
    charge = rng.random((50, 50)) + rate * np.arange(201).reshape(-1, 1, 1)
    frames = np.diff(np.floor(charge), axis=0)
    found = stream_statistics(PackedSpikes.pack(frames))
    # low by some: the quarter of tiles with the smallest spread, and a median that holds the pixel itself
    assert 0.07 < found.fixed_pattern < 0.1


def test_a_silent_stream_has_a_rate_and_nothing_else() -> None:
    found = stream_statistics(PackedSpikes.pack(np.zeros((8, 12, 12), np.uint8)))
    assert found.rate == found.hot_share == 0
    assert np.isnan([found.interval_cv, found.interval_deviation, found.fixed_pattern, found.flicker]).all()


@pytest.mark.parametrize("shape", [(0, 4, 4), (3, 0, 4)])
def test_an_empty_stream_is_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no statistics"):
        stream_statistics(PackedSpikes.pack(np.zeros(shape, np.uint8)))


@settings(max_examples=40, deadline=None)
@given(
    arrays(
        np.uint8,
        st.tuples(st.integers(1, 24), st.integers(1, 7), st.integers(1, 7)),
        elements=st.integers(0, 1),
    )
)
def test_intervals_agree_with_a_plain_search(frames: np.ndarray) -> None:
    deviations = [
        np.diff(times).std()
        for pixel in frames.reshape(len(frames), -1).T
        if len(times := np.flatnonzero(pixel)) >= 4
    ]
    found = stream_statistics(PackedSpikes.pack(frames))
    assert found.rate == pytest.approx(frames.mean())
    if deviations:
        assert found.interval_deviation == pytest.approx(np.median(deviations), abs=1e-6)
    else:
        assert np.isnan(found.interval_deviation)
