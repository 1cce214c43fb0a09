"""Numbers of windows that slide are those of each window alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.errors import RecordingError
from hqgen.spikes.kernels import count_spikes, steps_to_next, steps_to_previous
from hqgen.spikes.packed import PackedSpikes, Window
from hqgen.spikes.sliding import sliding_counts, sliding_steps


@st.composite
def streams_and_frames(draw: st.DrawFn) -> tuple[PackedSpikes, range]:
    length = draw(st.integers(2, 40))
    height, width = draw(st.sampled_from([(3, 5), (1, 1), (4, 16)]))
    rate = draw(st.sampled_from([0.0, 0.05, 0.5, 1.0]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    spikes = PackedSpikes.pack(rng.random((length, height, width)) < rate)
    start = draw(st.integers(0, length - 1))
    frames = range(start, draw(st.integers(start + 1, length)), draw(st.integers(1, 9)))
    return replace(spikes, bottom_up=draw(st.booleans())), frames


@given(streams_and_frames(), st.integers(0, 50), st.integers(0, 50))
def test_counts_are_those_of_each_window(drawn: tuple[PackedSpikes, range], before: int, after: int) -> None:
    spikes, frames = drawn
    found = list(sliding_counts(spikes, frames, before, after))
    assert len(found) == len(frames)
    for frame, counts in zip(frames, found, strict=True):
        expected = count_spikes(Window(spikes, frame, (before, after)).spikes)
        assert counts.dtype == expected.dtype
        np.testing.assert_array_equal(counts, expected)


@given(streams_and_frames(), st.integers(1, 50))
def test_steps_are_those_of_each_window(drawn: tuple[PackedSpikes, range], reach: int) -> None:
    spikes, frames = drawn
    found = list(sliding_steps(spikes, frames, reach))
    assert len(found) == len(frames)
    for frame, (back, on) in zip(frames, found, strict=True):
        near = Window(spikes, frame, (reach - 1, reach)).real
        np.testing.assert_array_equal(back, steps_to_previous(near.spikes, near.centre))
        np.testing.assert_array_equal(on, steps_to_next(near.spikes, near.centre))


@pytest.mark.parametrize("size", [(1, 5), (130, 131)], ids=["part of a byte", "more than a block"])
def test_long_windows_and_large_frames_are_exact(size: tuple[int, int]) -> None:
    spikes = PackedSpikes.pack(np.random.default_rng(0).random((340, *size)) < 0.004)
    frames = range(150, 170, 7)
    for frame, counts in zip(frames, sliding_counts(spikes, frames, 150, 149), strict=True):
        np.testing.assert_array_equal(counts, count_spikes(spikes[frame - 150 : frame + 150]))
    for frame, (back, on) in zip(frames, sliding_steps(spikes, frames, 100_000), strict=True):
        np.testing.assert_array_equal(back, steps_to_previous(spikes, frame))
        np.testing.assert_array_equal(on, steps_to_next(spikes, frame))


def test_one_frame_has_nothing_to_mirror() -> None:
    spikes = PackedSpikes.pack(np.ones((1, 2, 8)))
    with pytest.raises(RecordingError, match="nothing to mirror"):
        list(sliding_counts(spikes, range(1), 1, 1))
