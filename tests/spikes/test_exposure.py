"""The brief exposure that candidates are compared with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.spikes.exposure import key_exposure
from hqgen.spikes.packed import PackedSpikes, Window


def window(frames: np.ndarray, centre: int | None = None) -> Window:
    return Window(PackedSpikes.pack(frames), len(frames) // 2 if centre is None else centre)


def random_frames(rate: float, count: int = 41, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random((count, 9, 13)) < rate).astype(np.uint8)


@pytest.mark.parametrize("rate", [0.01, 0.4])
def test_seven_frames_around_the_key_frame_are_counted(rate: float) -> None:
    frames = random_frames(rate)
    np.testing.assert_array_equal(key_exposure(window(frames)), frames[17:24].sum(0))


@pytest.mark.parametrize("count", [1, 3, 20])
def test_the_end_of_a_recording_gives_the_frames_that_are_there(count: int) -> None:
    frames = random_frames(0.3, count)
    np.testing.assert_array_equal(key_exposure(window(frames, 0)), frames[:4].sum(0))


def test_without_any_spike_the_exposure_is_zero() -> None:
    assert not key_exposure(window(np.zeros((41, 9, 13)))).any()


@given(rate=st.floats(0, 1), seed=st.integers(0, 99), count=st.integers(1, 60))
def test_the_counts_are_whole_numbers_of_a_float32_picture(rate: float, seed: int, count: int) -> None:
    counts = key_exposure(window(random_frames(rate, count, seed)))
    assert counts.dtype == np.float32
    assert counts.shape == (9, 13)
    assert np.array_equal(counts, np.rint(counts))
    assert counts.max() <= min(count, 7)
