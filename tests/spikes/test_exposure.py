"""The brief exposure that candidates are compared with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.spikes.exposure import SHORTEST, SPAN, WANTED, key_exposure
from hqgen.spikes.packed import PackedSpikes, Window


def window(frames: np.ndarray, centre: int | None = None) -> Window:
    return Window(PackedSpikes.pack(frames), len(frames) // 2 if centre is None else centre)


def random_frames(rate: float, count: int = 41, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random((count, 9, 13)) < rate).astype(np.uint8)


def test_a_bright_scene_is_counted_over_the_shortest_exposure() -> None:
    frames = random_frames(0.4)
    middle = slice(20 - SHORTEST // 2, 20 + SHORTEST // 2 + 1)
    np.testing.assert_array_equal(key_exposure(window(frames)), frames[middle].sum(0))


def test_a_dim_scene_is_counted_until_there_are_enough_spikes() -> None:
    frames = random_frames(0.03)
    counts = key_exposure(window(frames))
    assert WANTED * 0.6 < counts.mean() < 2 * WANTED


def test_a_very_dim_scene_is_counted_over_the_whole_span() -> None:
    frames = random_frames(0.004)
    np.testing.assert_array_equal(key_exposure(window(frames)), frames.sum(0))


@pytest.mark.parametrize("count", [1, 3, 20])
def test_a_short_recording_gives_the_frames_that_are_there(count: int) -> None:
    frames = random_frames(0.01, count)
    np.testing.assert_array_equal(key_exposure(window(frames, 0)), frames[: SPAN[1] + 1].sum(0))


def test_frames_beyond_the_span_change_nothing() -> None:
    frames = random_frames(0.01, 101)
    near = frames[50 - SPAN[0] : 50 + SPAN[1] + 1]
    np.testing.assert_array_equal(key_exposure(window(frames)), key_exposure(window(near)))


def test_without_any_spike_the_exposure_is_zero() -> None:
    assert not key_exposure(window(np.zeros((41, 9, 13)))).any()


@given(rate=st.floats(0, 1), seed=st.integers(0, 99), count=st.integers(1, 60))
def test_the_counts_are_whole_numbers_of_a_float32_picture(rate: float, seed: int, count: int) -> None:
    counts = key_exposure(window(random_frames(rate, count, seed)))
    assert counts.dtype == np.float32
    assert counts.shape == (9, 13)
    assert np.array_equal(counts, np.rint(counts))
    assert counts.max() <= count
