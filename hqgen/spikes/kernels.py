"""Counts, intervals and voxels straight from packed bits.

Nothing is unpacked on the way. A small number that belongs to every pixel (a count, a distance in frames) is
kept as bit planes: plane k holds bit k of the number of all pixels, packed exactly as a frame is. Adding
frames is then XOR and AND over whole frames, eight pixels to a byte and, compiled, many bytes to an
instruction. Only the finished planes are spread out into numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hqgen.compiled import compiled
from hqgen.spikes.packed import PackedSpikes

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.uint8] | NDArray[np.uint16]
"""Small numbers of pixels, in the smaller type where they fit: new memory costs more than the arithmetic."""


def count_spikes(spikes: PackedSpikes) -> Numbers:
    """Spikes of every pixel over all frames.

    Returns:
        uint8 (H, W), or uint16 for more than 255 frames; values 0..T.

    Raises:
        ValueError: more than 65,535 frames, whose counts would not fit.
    """
    _check_length(len(spikes))
    return numbers_of(planes_of_counts(spikes.data), spikes)


def steps_to_previous(spikes: PackedSpikes, frame: int) -> Numbers:
    """Steps back to the last spike at or before `frame`, counted from 1 for `frame` itself; 0 without one.

    Returns:
        uint8 (H, W), or uint16 where the search goes over more than 255 frames; values 0..frame + 1.

    Raises:
        IndexError: `frame` is not one of the frames.
    """
    return _search(spikes, frame, start=frame, step=-1, count=frame + 1)


def steps_to_next(spikes: PackedSpikes, frame: int) -> Numbers:
    """Steps on to the first spike after `frame`, counted from 1; 0 without one.

    Returns:
        uint8 (H, W), or uint16 where the search goes over more than 255 frames; values 0..T - 1 - frame.

    Raises:
        IndexError: `frame` is not one of the frames.
    """
    return _search(spikes, frame, start=frame + 1, step=1, count=len(spikes) - 1 - frame)


def voxel_sums(spikes: PackedSpikes, bins: int) -> NDArray[np.uint8]:
    """Spike counts over `bins` consecutive groups of T / bins frames each (SpikeCLIP: 200 frames, 50 bins).

    Returns:
        uint8 (bins, H, W), values 0..T/bins.

    Raises:
        ValueError: T is not a multiple of `bins`, or a bin holds more than 255 frames.
    """
    count = len(spikes)
    if bins < 1 or count % bins or count == 0:
        raise ValueError(f"{count} frames do not divide into {bins} bins of equal length")
    length = count // bins
    if length > np.iinfo(np.uint8).max:
        raise ValueError(f"a bin of {length} frames can count past 255; take more than {bins} bins")
    voxels = np.empty((bins, spikes.height, spikes.width), np.uint8)
    for index in range(bins):
        part = spikes.data[index * length : (index + 1) * length]
        voxels[index] = numbers_of(planes_of_counts(part), spikes)
    return voxels


def _check_length(frames: int) -> None:
    if frames > np.iinfo(np.uint16).max:
        raise ValueError(f"numbers up to {frames} do not fit 16 bits; take at most 65,535 frames at a time")


def planes_of_counts(frames: Bytes) -> Bytes:
    """Bit planes (8 or 16, bytes) of the sum over frames (T, bytes)."""
    planes = no_planes(len(frames), frames.shape[1])
    _add_frames(frames, planes)
    return planes


def no_planes(largest: int, size: int) -> Bytes:
    """Bit planes (8 or 16, size) of zeros, for numbers up to `largest`."""
    return np.zeros((8 if largest <= np.iinfo(np.uint8).max else 16, size), np.uint8)


def _search(spikes: PackedSpikes, frame: int, *, start: int, step: int, count: int) -> Numbers:
    """The place, from 1, of each pixel's first spike in the frames start, start + step, ...; or 0."""
    if not 0 <= frame < len(spikes):
        raise IndexError(f"frame {frame} is not one of the {len(spikes)} frames")
    _check_length(count)
    planes = no_planes(count, spikes.data.shape[1])
    _find_spikes(spikes.data, start, step, count, planes)
    return numbers_of(planes, spikes)


def numbers_of(planes: Bytes, spikes: PackedSpikes) -> Numbers:
    """The numbers that bit planes (8 or 16, bytes) hold: (H, W), top row first."""
    pixels, size = spikes.height * spikes.width, planes.shape[1]
    low = np.empty(size, np.uint64)
    _spread(planes[:8], low)
    if len(planes) == 8:
        return spikes.image(low.view(np.uint8)[:pixels])
    high = np.empty(size, np.uint64)
    _spread(planes[8:], high)
    numbers = low.view(np.uint8).astype(np.uint16)
    numbers |= high.view(np.uint8).astype(np.uint16) << np.uint16(8)
    return spikes.image(numbers[:pixels])


_BLOCK = 4096
"""Bytes of a frame worked on at a time, so that its planes stay in the cache nearest to the core."""


@compiled
def _add_frames(frames: Bytes, planes: Bytes) -> None:
    """Add frames (T, bytes) to the numbers in planes (K, bytes), which start as 0.

    Two frames and the running sum are three bits of weight 1, of which a full adder makes one of weight 1 and
    one of weight 2. That one waits for the next of its weight, and so on: a frame costs one adder on average,
    however many planes there are.
    """
    waiting = np.zeros(planes.shape[0], np.bool_)
    for first in range(0, frames.shape[1], _BLOCK):
        last = min(first + _BLOCK, frames.shape[1])
        pending = np.empty((planes.shape[0], last - first), np.uint8)
        carry = np.empty(last - first, np.uint8)
        waiting[:] = False
        for t in range(1, frames.shape[0], 2):
            _copy(frames[t, first:last], carry)
            _full_add(planes[0, first:last], frames[t - 1, first:last], carry)
            weight = 1
            while waiting[weight]:
                _full_add(planes[weight, first:last], pending[weight], carry)
                waiting[weight] = False
                weight += 1
            _copy(carry, pending[weight])
            waiting[weight] = True
        if frames.shape[0] % 2:
            _copy(frames[frames.shape[0] - 1, first:last], carry)
            _ripple(planes[:, first:last], 0, carry)
        for weight in range(1, planes.shape[0]):
            if waiting[weight]:
                _ripple(planes[:, first:last], weight, pending[weight])


@compiled
def _ripple(planes: Bytes, weight: int, carry: Bytes) -> None:
    """Add a frame of weight 2**weight to the numbers in planes; carry is used up."""
    for above in range(weight, planes.shape[0]):
        _half_add(planes[above], carry)


@compiled
def _copy(source: Bytes, target: Bytes) -> None:
    for j in range(source.size):  # an assignment of slices is four times slower
        target[j] = source[j]


@compiled
def _full_add(plane: Bytes, other: Bytes, carry: Bytes) -> None:
    """Add three bits of one weight: plane becomes their sum, carry the bit of the next weight."""
    for j in range(plane.size):
        a, b, c = plane[j], other[j], carry[j]
        half = np.uint8(a ^ b)  # without the cast it is 64 bits wide, and the loop five times slower
        plane[j] = half ^ c
        carry[j] = np.uint8(a & b) | np.uint8(half & c)


@compiled
def _half_add(plane: Bytes, carry: Bytes) -> None:
    """Add carry to plane; carry becomes the bit of the next weight."""
    for j in range(plane.size):
        a, c = plane[j], carry[j]
        plane[j] = a ^ c
        carry[j] = a & c


@compiled
def _find_spikes(frames: Bytes, start: int, step: int, count: int, planes: Bytes) -> None:
    """Find each pixel's first spike in the `count` frames start, start + step, ...

    Planes (K, bytes) get its place in that order, counted from 1; without a spike they stay 0.
    """
    for first in range(0, frames.shape[1], _BLOCK):
        last = min(first + _BLOCK, frames.shape[1])
        waiting = np.full(last - first, 0xFF, np.uint8)
        hit = np.empty(last - first, np.uint8)
        for place in range(1, count + 1):
            if not _take_hits(frames[start + (place - 1) * step, first:last], waiting, hit):
                break
            weight = 0
            while place >> weight:
                if place >> weight & 1:
                    _mark(planes[weight, first:last], hit)
                weight += 1


@compiled
def _take_hits(frame: Bytes, waiting: Bytes, hit: Bytes) -> bool:
    """Move the pixels that fire from `waiting` to `hit`; False when no pixel was waiting."""
    any_waiting = np.uint8(0)
    for j in range(frame.size):
        any_waiting |= waiting[j]
        hit[j] = frame[j] & waiting[j]
        waiting[j] ^= hit[j]
    return bool(any_waiting != 0)


@compiled
def _mark(plane: Bytes, hit: Bytes) -> None:
    for j in range(plane.size):
        plane[j] |= hit[j]


@compiled
def _spread(planes: Bytes, numbers: NDArray[np.uint64]) -> None:
    """Turn eight bit planes (8, bytes) into 8-bit numbers, eight pixels to a uint64 (bytes,).

    The bytes of the planes at one place are a matrix of 8x8 bits; its transpose has a pixel to a row. Bits,
    pairs and quadruples change places in turn (Warren, Hacker's Delight, section 7-3).
    """
    for j in range(planes.shape[1]):
        low = np.uint64(planes[0, j]) | np.uint64(planes[1, j]) << np.uint64(8)
        low |= np.uint64(planes[2, j]) << np.uint64(16) | np.uint64(planes[3, j]) << np.uint64(24)
        high = np.uint64(planes[4, j]) | np.uint64(planes[5, j]) << np.uint64(8)
        high |= np.uint64(planes[6, j]) << np.uint64(16) | np.uint64(planes[7, j]) << np.uint64(24)
        word = low | high << np.uint64(32)
        word = _exchange(word, np.uint64(7), np.uint64(0x00AA_00AA_00AA_00AA))
        word = _exchange(word, np.uint64(14), np.uint64(0x0000_CCCC_0000_CCCC))
        numbers[j] = _exchange(word, np.uint64(28), np.uint64(0x0000_0000_F0F0_F0F0))


@compiled
def _exchange(word: np.uint64, distance: np.uint64, mask: np.uint64) -> np.uint64:
    """Let the bits under the mask change places with those `distance` above them."""
    change = (word ^ word >> distance) & mask
    return word ^ change ^ change << distance
