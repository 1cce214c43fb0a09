"""Spikes as the network sees them: counts over short bins, and the coarse target of the same stream.

Streams stay packed until their bits have become numbers. On a GPU that is done with bit planes, as
`hqgen.spikes.kernels` does it on a CPU: plane k holds bit k of the numbers of all pixels, eight pixels to a
byte, so that frames are added with XOR and AND over bytes and only the few finished planes are spread out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import RecordingError, UsageError
from hqgen.spikes.kernels import voxel_sums
from hqgen.spikes.packed import PackedSpikes, Window, frame_bytes
from hqgen.spikes.recording import Recording

if TYPE_CHECKING:
    from torch import Tensor

Area = tuple[slice, slice]

BINS = 50
FRAMES_PER_BIN = 4
"""As in the published network; its streams have 200 frames."""


def voxelize(spikes: Recording | PackedSpikes | NDArray[np.generic], bins: int = BINS) -> NDArray[np.float32]:
    """Count the spikes of every pixel over `bins` consecutive groups of frames.

    The groups have T // bins frames each; the frames that are left over are left out at both ends.

    Args:
        spikes: a stream of T frames; of an array (T, H, W), every value that is not zero is a spike.
        bins: number of groups.

    Returns:
        float32 (bins, H, W), whole numbers 0..T // bins, not scaled (SpikeCLIP's evaluation code).

    Raises:
        RecordingError: the stream has fewer frames than bins, or so many that a bin could count past 255.
        ValueError: an array without three axes.
    """
    stream = PackedSpikes.pack(spikes) if isinstance(spikes, np.ndarray) else spikes
    frames = binned_frames(stream.shape[0], bins)
    if isinstance(stream, Recording):
        return voxel_sums(stream.spikes(frames.start, frames.stop), bins).astype(np.float32)
    return voxel_sums(stream[frames], bins).astype(np.float32)


def binned_frames(frames: int, bins: int) -> slice:
    """The frames of a stream of `frames` that are binned: the middle `bins * (frames // bins)`.

    Raises:
        RecordingError: fewer frames than bins, or more than 255 a bin.
    """
    length = frames // bins
    if not 1 <= length <= np.iinfo(np.uint8).max:
        raise RecordingError(
            f"a stream of {frames} frames cannot be counted over {bins} bins",
            hint=f"give it {bins} to {bins * 256 - 1} frames, for the published network 200",
        )
    start = (frames - bins * length) // 2
    return slice(start, start + bins * length)


def centre_crop(height: int, width: int, crop: int | None) -> Area:
    """Rows and columns of the middle `crop` x `crop` pixels: 13..236 for 224 of 250; None takes all.

    Raises:
        UsageError: the frame is smaller than the crop.
    """
    if crop is None:
        return slice(0, height), slice(0, width)
    if not 1 <= crop <= min(height, width):
        raise UsageError(
            f"the frames are {height}x{width} pixels, too small for a crop of {crop}x{crop}",
            hint=f"take a `crop` of at most {min(height, width)}",
        )
    top, left = (height - crop) // 2, (width - crop) // 2
    return slice(top, top + crop), slice(left, left + crop)


def voxelize_packed(
    packed: Tensor, height: int, width: int, bins: int = BINS, crop: int | None = None
) -> Tensor:
    """`voxelize` for a batch of packed streams, then the crop, on the tensor's device.

    Args:
        packed: uint8 (B, T, ceil(height * width / 8)), least significant bit first, top row first.
        height: H of a frame.
        width: W of a frame.
        bins: number of groups of frames.
        crop: side of the middle square to keep; None keeps all.

    Returns:
        float32 (B, bins, h, w), equal to `voxelize` bit for bit. Nothing waits for the device.

    Raises:
        RecordingError: as `voxelize`.
        ValueError: the shape is not that of packed streams of this geometry.
        UsageError: the crop is larger than the frames.
    """
    _check_packed(packed, height, width)
    frames, area = packed[:, binned_frames(packed.shape[1], bins)], centre_crop(height, width, crop)
    count = _count_on_cpu if packed.device.type == "cpu" else _count_on_device
    return count(frames, height, width, bins, area)


def tfi_packed(packed: Tensor, height: int, width: int, crop: int | None = None) -> Tensor:
    """The target of the coarse stage: TFI at the middle frame, as SpikeCLIP's evaluation code computes it.

    1 / (t+ - t-), where t- is the last spike in frames m - h + 1 .. m and t+ the first one in m + 1 .. m + h,
    m = T // 2, h = T // 4 - 1; a side without a spike counts as m - h or m + h. Paper: Eq. 5 with theta = 1.

    Args:
        packed: uint8 (B, T, ceil(height * width / 8)), T at least 8; as for `voxelize_packed`.
        height: H of a frame.
        width: W of a frame.
        crop: side of the middle square to keep; None keeps all.

    Returns:
        float32 (B, 1, h, w), spikes per frame in [1 / (2 h), 1], equal to hqgen's `tfi` of the variant
        `spikeclip` bit for bit. Nothing waits for the device.

    Raises:
        RecordingError: fewer than 8 frames.
        ValueError, UsageError: as `voxelize_packed`.
    """
    _check_packed(packed, height, width)
    middle, reach = packed.shape[1] // 2, packed.shape[1] // 4 - 1
    if reach < 1:
        raise RecordingError(f"a stream of {packed.shape[1]} frames is too short for TFI, which takes 8")
    near = packed[:, middle + 1 - reach : middle + 1 + reach]
    invert = _invert_on_cpu if packed.device.type == "cpu" else _invert_on_device
    return invert(near, height, width, centre_crop(height, width, crop)).unsqueeze(1)


def _check_packed(packed: Tensor, height: int, width: int) -> None:
    if packed.ndim != 3 or packed.shape[2] != frame_bytes(height, width):
        raise ValueError(
            f"packed streams of {height}x{width} pixels are (B, T, {frame_bytes(height, width)}), "
            f"not {tuple(packed.shape)}"
        )


def _count_on_cpu(frames: Tensor, height: int, width: int, bins: int, area: Area) -> Tensor:
    import torch

    rows, columns = area
    shape = (len(frames), bins, rows.stop - rows.start, columns.stop - columns.start)
    voxels = np.empty(shape, np.float32)  # NumPy asks for huge pages, PyTorch does not: a third of the time
    for stream, voxel in zip(frames.numpy(), voxels, strict=True):
        voxel[:] = voxel_sums(PackedSpikes(stream, height, width), bins)[:, rows, columns]
    return torch.from_numpy(voxels)


def _count_on_device(frames: Tensor, _height: int, width: int, bins: int, area: Area) -> Tensor:
    rows = frames[..., _byte_rows(area[0], width)]
    groups = rows.reshape(len(rows), bins, -1, rows.shape[-1])
    return _pixels(_count_planes(groups), width, area).float()


def _invert_on_cpu(near: Tensor, height: int, width: int, area: Area) -> Tensor:
    """TFI (B, h, w) of streams (B, 2 h, bytes) whose frame h - 1 is the middle one."""
    import torch

    from hqgen.methods.tfi import TFI

    reach = near.shape[1] // 2
    method = TFI(variant="spikeclip", half_window=reach)
    streams = [PackedSpikes(stream, height, width) for stream in near.numpy()]
    images = [method.reconstruct(Window(stream, reach - 1))[area] for stream in streams]
    return torch.from_numpy(np.stack(images))


def _invert_on_device(near: Tensor, _height: int, width: int, area: Area) -> Tensor:
    reach = near.shape[1] // 2
    rows = near[..., _byte_rows(area[0], width)]
    back, on = _pixels(_place_planes(rows[:, :reach].flip(1), rows[:, reach:]), width, area).int()
    # Steps back count from 1 for the middle frame itself.
    interval: Tensor = back.where(back > 0, reach + 1) + on.where(on > 0, reach) - 1
    return interval.float().reciprocal()


def _byte_rows(rows: slice, width: int) -> slice:
    """The bytes of a packed frame that hold some rows; the first one may begin with bits of the row above."""
    return slice(rows.start * width // 8, (rows.stop * width + 7) // 8)


def _count_planes(groups: Tensor) -> list[Tensor]:
    """Bit planes, each (B, bins, bytes), of the sums over the frames of groups (B, bins, L, bytes)."""
    import torch

    planes = [torch.zeros_like(groups[:, :, 0]) for _ in range(groups.shape[2].bit_length())]
    for frame in range(groups.shape[2]):
        carry = groups[:, :, frame]
        for weight in range((frame + 1).bit_length()):
            planes[weight], carry = planes[weight] ^ carry, planes[weight] & carry
    return planes


def _place_planes(*sides: Tensor) -> list[Tensor]:
    """Bit planes, each (sides, B, bytes), of the place, from 1, of the first spike in (B, L, bytes); or 0."""
    import torch

    frames = torch.stack(sides).unbind(2)
    planes = [torch.zeros_like(frames[0]) for _ in range(len(frames).bit_length())]
    waiting = torch.full_like(frames[0], 0xFF)
    for place, frame in enumerate(frames, start=1):
        hit = frame & waiting
        waiting ^= hit
        for weight, plane in enumerate(planes):
            if place >> weight & 1:
                plane |= hit
    return planes


def _pixels(planes: list[Tensor], width: int, area: Area) -> Tensor:
    """The numbers (..., h, w) in planes (..., bytes) that hold the rows of `area`, uint8 where they fit."""
    import torch

    rows, columns = area
    shifts = torch.arange(8, dtype=torch.uint8, device=planes[0].device)
    kind = torch.uint8 if len(planes) <= 8 else torch.int32
    numbers = torch.zeros((*planes[0].shape, 8), dtype=kind, device=planes[0].device)
    for weight, plane in enumerate(planes):
        numbers |= (plane.unsqueeze(-1) >> shifts & 1).to(kind) << weight
    height, above = rows.stop - rows.start, rows.start * width % 8
    pixels = numbers.flatten(-2)[..., above : above + height * width]
    return pixels.reshape(*pixels.shape[:-1], height, width)[..., columns]
