"""Rates of intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.methods.intervals import interval_rates
from hqgen.spikes.packed import PackedSpikes


def rates(spikes: list[int]) -> list[float]:
    return [
        float(rate) for rate in interval_rates(PackedSpikes.pack(np.array(spikes)[:, None, None]))[:, 0, 0]
    ]


def test_a_frame_has_the_rate_of_the_interval_that_it_belongs_to() -> None:
    assert rates([1, 0, 1, 0, 0, 0, 1]) == [0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25]


def test_open_ends_have_the_rate_of_the_interval_beside_them() -> None:
    assert rates([0, 1, 0, 0, 0, 1, 0, 0]) == [0.25] * 8


def test_an_open_end_too_long_for_that_rate_has_less() -> None:
    assert rates([0, 0, 0, 1, 1, 0, 0, 0, 0]) == pytest.approx([0.25] * 4 + [1] + [0.2] * 4)


def test_one_spike_is_spread_over_all_frames_and_none_gives_zero() -> None:
    assert rates([0, 0, 1, 0]) == [0.25] * 4
    assert rates([0, 0, 0]) == [0, 0, 0]
    assert rates([1, 1, 1]) == [1, 1, 1]


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 70), rate=st.floats(0.05, 1))
def test_whole_intervals_hold_one_spike(seed: int, count: int, rate: float) -> None:
    frames = np.random.default_rng(seed).random((count, 3, 5)) < rate
    found = interval_rates(PackedSpikes.pack(frames))
    assert found.shape == frames.shape
    assert found.min() >= 0
    assert found.max() <= 1
    for y, x in np.ndindex(3, 5):
        times = np.flatnonzero(frames[:, y, x])
        if len(times) > 1:
            inner = found[times[0] + 1 : times[-1] + 1, y, x]
            assert inner.sum() == pytest.approx(len(times) - 1, rel=1e-5)


def test_rows_are_the_right_way_up() -> None:
    frames = np.zeros((4, 3, 8), np.uint8)
    frames[:, 0] = 1
    spikes = PackedSpikes(PackedSpikes.pack(frames).data, 3, 8, bottom_up=True)
    assert interval_rates(spikes)[0, :, 0].tolist() == [0, 0, 1]
