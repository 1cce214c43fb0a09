"""Counts, intervals and voxels straight from packed bits.

Nothing is unpacked on the way. A small number that belongs to every pixel (a count, a distance in frames)
is kept as bit planes: plane k holds bit k of the number of all pixels, packed exactly as a frame is. Adding
frames is then XOR and AND over whole frames, eight pixels to a byte. Only the finished planes are unpacked.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hqgen.spikes.packed import PackedSpikes, frame_bytes

__all__ = ["count_spikes", "first_spike", "last_spike", "next_spike", "previous_spike", "voxel_sums"]

Plane = NDArray[np.uint8]


def count_spikes(spikes: PackedSpikes) -> NDArray[np.uint16]:
    """Spikes of every pixel over all frames.

    Returns:
        uint16 (H, W), values 0..T.

    Raises:
        ValueError: more than 65,535 frames, whose counts would not fit.
    """
    if len(spikes) > np.iinfo(np.uint16).max:
        raise ValueError(f"counts of {len(spikes)} frames do not fit 16 bits; count in pieces of 65,535")
    return _numbers(_count_planes(spikes.data), spikes).astype(np.uint16, copy=False)


def previous_spike(spikes: PackedSpikes, frame: int) -> NDArray[np.int32]:
    """Index of the last spike at or before `frame`, for every pixel.

    Returns:
        int32 (H, W), values 0..frame, and -1 where no frame up to `frame` has a spike.

    Raises:
        IndexError: `frame` is not one of the frames.
    """
    _check_frame(spikes, frame)
    distance, found = _distance_to_spike(spikes.data[frame::-1], spikes)
    return np.where(found, frame - distance, np.int32(-1))


def next_spike(spikes: PackedSpikes, frame: int) -> NDArray[np.int32]:
    """Index of the first spike strictly after `frame`, for every pixel.

    Returns:
        int32 (H, W), values frame+1..T-1, and -1 where no frame after `frame` has a spike.

    Raises:
        IndexError: `frame` is not one of the frames.
    """
    _check_frame(spikes, frame)
    distance, found = _distance_to_spike(spikes.data[frame + 1 :], spikes)
    return np.where(found, frame + 1 + distance, np.int32(-1))


def first_spike(spikes: PackedSpikes) -> NDArray[np.int32]:
    """Index of the first spike of every pixel: int32 (H, W), -1 where it never fires."""
    distance, found = _distance_to_spike(spikes.data, spikes)
    return np.where(found, distance, np.int32(-1))


def last_spike(spikes: PackedSpikes) -> NDArray[np.int32]:
    """Index of the last spike of every pixel: int32 (H, W), -1 where it never fires."""
    distance, found = _distance_to_spike(spikes.data[::-1], spikes)
    return np.where(found, len(spikes) - 1 - distance, np.int32(-1))


def voxel_sums(spikes: PackedSpikes, bins: int) -> NDArray[np.uint8]:
    """Spike counts over `bins` consecutive groups of T / bins frames each (SpikeCLIP: 200 frames, 50 bins).

    Returns:
        uint8 (bins, H, W), values 0..T/bins.

    Raises:
        ValueError: T is no multiple of `bins`, or a bin holds more than 255 frames.
    """
    count = len(spikes)
    if bins < 1 or count % bins or count == 0:
        raise ValueError(f"{count} frames do not divide into {bins} bins of equal length")
    length = count // bins
    if length > np.iinfo(np.uint8).max:
        raise ValueError(f"a bin of {length} frames can count past 255; take more than {bins} bins")
    frames = spikes.data.reshape(bins, length, spikes.data.shape[1])
    return _numbers(_count_planes(frames.swapaxes(0, 1)), spikes).astype(np.uint8, copy=False)


def _check_frame(spikes: PackedSpikes, frame: int) -> None:
    if not 0 <= frame < len(spikes):
        raise IndexError(f"frame {frame} is not one of the {len(spikes)} frames")


def _count_planes(frames: NDArray[np.uint8]) -> list[Plane]:
    """Count along the first axis, as bit planes.

    `pending[k]` is a frame of weight 2**k that waits for a partner. Three frames of one weight (the two that
    meet and the running sum) make one of that weight and one of the next: a full adder, as in hardware. So
    every frame costs five operations, whatever the number of planes.
    """
    if len(frames) == 0:
        return [np.zeros(frames.shape[1:], np.uint8)]
    sums: list[Plane] = []
    pending: list[Plane | None] = []
    for frame in frames:
        carry: Plane = frame
        for weight in range(len(frames).bit_length()):
            if weight == len(sums):
                sums.append(np.zeros(frame.shape, np.uint8))
                pending.append(None)
            other = pending[weight]
            if other is None:
                pending[weight] = carry
                break
            pending[weight] = None
            sums[weight], carry = _full_adder(sums[weight], other, carry)
    for weight, left in enumerate(pending):
        if left is not None:
            _add_plane(sums, weight, left)
    return sums


def _full_adder(a: Plane, b: Plane, c: Plane) -> tuple[Plane, Plane]:
    """Sum bit and carry bit of three planes."""
    half = a ^ b
    carry = (a & b) | (half & c)
    half ^= c
    return half, carry


def _add_plane(sums: list[Plane], weight: int, plane: Plane) -> None:
    """Add one plane of weight 2**weight to the number in `sums`."""
    carry = plane
    for index in range(weight, len(sums)):
        sums[index], carry = sums[index] ^ carry, sums[index] & carry
    if carry.any():
        sums.append(carry)


def _distance_to_spike(
    frames: NDArray[np.uint8], spikes: PackedSpikes
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Index along `frames` of every pixel's first spike, and whether it has one; both (H, W)."""
    size = frame_bytes(spikes.height, spikes.width)
    waiting = np.full(size, 0xFF, np.uint8)
    planes = [np.zeros(size, np.uint8) for _ in range(max(1, (len(frames) - 1).bit_length()))]
    hit = np.empty(size, np.uint8)
    for index, frame in enumerate(frames):
        np.bitwise_and(frame, waiting, out=hit)
        waiting ^= hit
        for bit, plane in enumerate(planes):
            if index >> bit & 1:
                plane |= hit
        if index % 8 == 7 and not waiting.any():
            break
    found = _unpack(~waiting, spikes).astype(np.bool_)
    return _numbers(planes, spikes).astype(np.int32), found


def _numbers(planes: list[Plane], spikes: PackedSpikes) -> NDArray[np.unsignedinteger]:
    """The numbers that bit planes (..., bytes) hold: (..., H, W) in the smallest type that fits."""
    kind: type[np.unsignedinteger] = (
        np.uint8 if len(planes) <= 8 else np.uint16 if len(planes) <= 16 else np.uint32
    )
    total: NDArray[np.unsignedinteger] = _unpack(planes[0], spikes).astype(kind)
    for bit, plane in enumerate(planes[1:], start=1):
        np.bitwise_or(total, np.left_shift(_unpack(plane, spikes), bit, dtype=kind), out=total)
    return total


def _unpack(plane: Plane, spikes: PackedSpikes) -> NDArray[np.uint8]:
    bits = np.unpackbits(plane, axis=-1, count=spikes.height * spikes.width, bitorder="little")
    return spikes.image(bits)
