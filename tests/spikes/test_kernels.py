from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hqgen.spikes.kernels import count_spikes, steps_to_next, steps_to_previous, voxel_sums
from hqgen.spikes.packed import PackedSpikes


@st.composite
def streams(draw: st.DrawFn, *, longest: int = 70) -> NDArray[np.uint8]:
    """Random streams, also of frames whose bits fill no whole number of bytes."""
    count = draw(st.integers(1, longest))
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 11))
    rate = draw(st.sampled_from([0.0, 0.02, 0.3, 0.9, 1.0]))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    return (generator.random((count, height, width)) < rate).astype(np.uint8)


def brute_steps(frames: NDArray[np.uint8], order: range) -> NDArray[np.int64]:
    """The place, from 1, of every pixel's first spike in some order of the frames; 0 without one."""
    steps = np.zeros(frames.shape[1:], np.int64)
    for place in range(len(order), 0, -1):
        steps[frames[order[place - 1]] == 1] = place
    return steps


@given(streams())
def test_counts_equal_the_sum_of_the_frames(frames: NDArray[np.uint8]) -> None:
    counts = count_spikes(PackedSpikes.pack(frames))
    assert counts.dtype == np.uint8
    np.testing.assert_array_equal(counts, frames.sum(axis=0))


@given(streams(), st.data())
def test_neighbouring_spikes_equal_a_search_frame_by_frame(
    frames: NDArray[np.uint8], data: st.DataObject
) -> None:
    spikes = PackedSpikes.pack(frames)
    frame = data.draw(st.integers(0, len(frames) - 1))
    np.testing.assert_array_equal(steps_to_previous(spikes, frame), brute_steps(frames, range(frame, -1, -1)))
    np.testing.assert_array_equal(
        steps_to_next(spikes, frame), brute_steps(frames, range(frame + 1, len(frames)))
    )


@given(streams(longest=12), st.integers(1, 9))
def test_voxels_are_sums_over_consecutive_frames(frames: NDArray[np.uint8], bins: int) -> None:
    frames = np.repeat(frames, bins, axis=0)
    height, width = frames.shape[1:]
    expected = frames.reshape(bins, -1, height, width).sum(axis=1)
    voxels = voxel_sums(PackedSpikes.pack(frames), bins)
    assert voxels.dtype == np.uint8
    np.testing.assert_array_equal(voxels, expected)


@given(streams())
def test_a_stream_stored_bottom_up_gives_the_same_numbers_the_right_way_up(
    frames: NDArray[np.uint8],
) -> None:
    flipped = PackedSpikes.pack(frames[:, ::-1])
    stored = PackedSpikes(flipped.data, flipped.height, flipped.width, bottom_up=True)
    upright = PackedSpikes.pack(frames)
    middle = len(frames) // 2
    np.testing.assert_array_equal(count_spikes(stored), count_spikes(upright))
    for steps in (steps_to_previous, steps_to_next):
        np.testing.assert_array_equal(steps(stored, middle), steps(upright, middle))
    np.testing.assert_array_equal(voxel_sums(stored, 1), voxel_sums(upright, 1))


def test_long_streams_count_past_eight_bits() -> None:
    frames = np.ones((300, 2, 3), np.uint8)
    spikes = PackedSpikes.pack(frames)
    assert count_spikes(spikes).dtype == np.uint16
    assert (count_spikes(spikes) == 300).all()
    assert (steps_to_previous(spikes, 299) == 1).all()
    sparse = np.zeros((600, 2, 3), np.uint8)
    sparse[0] = sparse[599] = 1
    assert (steps_to_previous(PackedSpikes.pack(sparse), 598) == 599).all()
    assert (steps_to_next(PackedSpikes.pack(sparse), 0) == 599).all()


def test_no_frames_count_nothing() -> None:
    empty = PackedSpikes(np.zeros((0, 2), np.uint8), 2, 8)
    assert not count_spikes(empty).any()


@pytest.mark.parametrize("frame", [-1, 3])
def test_a_frame_outside_the_stream_is_an_index_error(frame: int) -> None:
    spikes = PackedSpikes.pack(np.zeros((3, 2, 2), np.uint8))
    with pytest.raises(IndexError, match="3 frames"):
        steps_to_previous(spikes, frame)
    with pytest.raises(IndexError, match="3 frames"):
        steps_to_next(spikes, frame)


@pytest.mark.parametrize("bins", [0, 3, 7])
def test_voxels_need_bins_of_equal_length(bins: int) -> None:
    with pytest.raises(ValueError, match=f"4 frames do not divide into {bins} bins"):
        voxel_sums(PackedSpikes.pack(np.zeros((4, 2, 2), np.uint8)), bins)


def test_a_voxel_that_could_overflow_is_refused() -> None:
    with pytest.raises(ValueError, match="256 frames can count past 255"):
        voxel_sums(PackedSpikes.pack(np.ones((256, 1, 8), np.uint8)), 1)
