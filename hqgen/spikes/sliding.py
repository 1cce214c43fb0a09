"""Windows that slide along a stream: the numbers of one frame are made from those of the frame before.

What a window holds changes little from one frame to the next. So a count adds the frame that comes in and
subtracts the one that goes out; and of the last spike of every pixel only the time is kept, which a new spike
replaces. Numbers are bit planes, as in `hqgen.spikes.kernels`. The results are equal to the last bit to those
of each window alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hqgen.compiled import compiled
from hqgen.spikes.kernels import Bytes, Numbers, no_planes, numbers_of, planes_of_counts
from hqgen.spikes.packed import PackedSpikes, mirrored

SLIDE = 48
"""Frames to which a window slides before it starts again, where a video is made in pieces."""


def sliding_counts(spikes: PackedSpikes, frames: range, before: int, after: int) -> Iterator[Numbers]:
    """Spikes of every pixel over the window of each of `frames`, mirrored at the ends of the stream.

    Args:
        spikes: (T, H, W).
        frames: in ascending order, each 0..T-1.
        before: frames of a window before its centre.
        after: frames of a window behind its centre.

    Yields:
        As `count_spikes` of the window: uint8 (H, W), or uint16 for more than 255 frames.

    Raises:
        RecordingError: the window reaches over the ends of a stream of one frame.
    """
    length = before + 1 + after
    order = mirrored(frames[0] - before, frames[-1] + after + 1, len(spikes))
    planes = planes_of_counts(spikes.data[order[:length]])
    used = planes[: length.bit_length()]
    yield numbers_of(planes, spikes)
    for start in range(frames.step, len(order) - length + 1, frames.step):
        for place in range(start - frames.step, start):
            _exchange_frames(spikes.data[order[place + length]], spikes.data[order[place]], used)
        yield numbers_of(planes, spikes)


def sliding_steps(spikes: PackedSpikes, frames: range, reach: int) -> Iterator[tuple[Numbers, Numbers]]:
    """Steps from each of `frames` to the spikes on both sides, which are at most `reach` steps away.

    Args:
        spikes: (T, H, W).
        frames: in ascending order, each 0..T-1.
        reach: steps, at least 1.

    Yields:
        As `steps_to_previous` and `steps_to_next`: each uint8 (H, W), or uint16 where more than 255 frames
        are looked at; values 0 (no spike) to `reach`.
    """
    first, last = max(0, frames[0] + 1 - reach), min(len(spikes), frames[-1] + 1 + reach)
    near = spikes[first:last]
    centres = range(frames[0] - first, frames[-1] - first + 1, frames.step)
    following = _planes_of_next(near, centres)
    times = no_planes(len(near), near.data.shape[1])
    done = 0
    for centre, next_times in zip(centres, following, strict=True):
        for frame in range(done, centre + 1):
            _set_times(near.data[frame], frame + 1, times)
        done = centre + 1
        back = _steps(numbers_of(times, near), centre + 2, -1, reach)
        yield back, _steps(numbers_of(next_times, near), -1 - centre, 1, reach)


def _planes_of_next(spikes: PackedSpikes, centres: range) -> Bytes:
    """Bit planes (N, 8 or 16, bytes) of the time of the first spike after each centre; times begin at 1."""
    times = no_planes(len(spikes), spikes.data.shape[1])
    kept = np.empty((len(centres), *times.shape), np.uint8)
    done = len(spikes)
    for index in range(len(centres) - 1, -1, -1):
        for frame in range(done - 1, centres[index], -1):
            _set_times(spikes.data[frame], frame + 1, times)
        done = centres[index] + 1
        kept[index] = times
    return kept


def _steps(times: Numbers, offset: int, sign: int, reach: int) -> Numbers:
    """`offset + sign * time` where there is a spike within reach, else 0; takes the place of the times."""
    stored = times if times.flags.c_contiguous else times[::-1]  # of a recording stored bottom-up
    highest = min(reach, np.iinfo(np.uint16).max)
    _measure(stored.reshape(-1), np.uint16(offset % 65536), np.uint16(sign % 65536), np.uint16(highest))
    return times


_BLOCK = 2048
"""Bytes of a frame worked on at a time: two of them stay in the cache nearest to the core."""


@compiled
def _exchange_frames(arriving: Bytes, leaving: Bytes, planes: Bytes) -> None:
    """Add a frame (bytes,) to the numbers in planes (K, bytes), and subtract another one.

    A pixel that fires in both frames, or in neither, keeps its number. For the others a carry or a borrow
    runs up the planes.
    """
    carry, borrow = np.empty(_BLOCK, np.uint8), np.empty(_BLOCK, np.uint8)
    for first in range(0, arriving.size, _BLOCK):
        last = min(first + _BLOCK, arriving.size)
        _differ(arriving[first:last], leaving[first:last], carry, borrow)
        for weight in range(planes.shape[0]):
            _count_on(planes[weight, first:last], carry, borrow)


@compiled
def _differ(arriving: Bytes, leaving: Bytes, carry: Bytes, borrow: Bytes) -> None:
    for j in range(arriving.size):
        a, b = arriving[j], leaving[j]
        carry[j] = a & np.uint8(~b)
        borrow[j] = b & np.uint8(~a)


@compiled
def _count_on(plane: Bytes, carry: Bytes, borrow: Bytes) -> None:
    """Add carry to plane and subtract borrow; both become what is left for the next plane."""
    for j in range(plane.size):
        a, up, down = plane[j], carry[j], borrow[j]
        plane[j] = a ^ np.uint8(up | down)
        carry[j] = up & a
        borrow[j] = down & np.uint8(~a)


@compiled
def _set_times(frame: Bytes, time: int, planes: Bytes) -> None:
    """Set the numbers of the pixels that fire to `time`."""
    for weight in range(planes.shape[0]):
        if time >> weight & 1:
            _set_bits(planes[weight], frame)
        else:
            _clear_bits(planes[weight], frame)


@compiled
def _set_bits(plane: Bytes, frame: Bytes) -> None:
    for j in range(plane.size):
        plane[j] |= frame[j]


@compiled
def _clear_bits(plane: Bytes, frame: Bytes) -> None:
    for j in range(plane.size):
        plane[j] &= np.uint8(~frame[j])


@compiled
def _measure(times: Numbers, offset: np.uint16, sign: np.uint16, reach: np.uint16) -> None:
    """Turn times into steps; a sign of -1 is 65,535 in 16 bits, whose arithmetic goes round."""
    for j in range(times.size):
        time = np.uint16(times[j])
        away = np.uint16(offset + np.uint16(sign * time))
        times[j] = away if (time > 0) & (away <= reach) else np.uint16(0)
