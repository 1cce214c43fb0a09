"""Spike streams as packed bits, and the window of one that a method looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


def frame_bytes(height: int, width: int) -> int:
    """Whole bytes that hold one packed frame of `height` x `width` bits."""
    return (height * width + 7) // 8


@dataclass(frozen=True, slots=True, eq=False)
class PackedSpikes:
    """A spike stream of T binary frames, eight pixels to a byte.

    Pixel p of a frame (row-major, in the order of the stored rows) is bit p % 8, least significant first, of
    byte p // 8; a frame takes whole bytes and the padding bits of its last byte are zero. Vidar cameras store
    the bottom row first; `bottom_up` says so, and whatever leaves the packed form (`frames`, `image`) is
    turned the right way up. The kernels work on `data` as it is, so a memory-mapped file is read once and
    never unpacked on the way.

    Args:
        data: uint8 (T, ceil(H * W / 8)).
        height: H, rows.
        width: W, columns.
        bottom_up: whether the first stored row is the bottom one.

    Raises:
        ValueError: `data` does not have that shape and type.
    """

    data: NDArray[np.uint8]
    height: int
    width: int
    bottom_up: bool = False

    def __post_init__(self) -> None:
        expected = frame_bytes(self.height, self.width)
        if self.data.dtype != np.uint8 or self.data.ndim != 2 or self.data.shape[1] != expected:
            raise ValueError(
                f"packed frames of {self.height}x{self.width} pixels are uint8 (T, {expected}), "
                f"not {self.data.dtype} {self.data.shape}"
            )

    def __len__(self) -> int:
        return int(self.data.shape[0])

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, H, W)."""
        return (len(self), self.height, self.width)

    @classmethod
    def pack(cls, frames: NDArray[np.generic]) -> PackedSpikes:
        """Pack (T, H, W) frames; every value that is not zero is a spike.

        Raises:
            ValueError: `frames` does not have three axes.
        """
        if frames.ndim != 3:
            raise ValueError(f"spike frames have the axes (T, H, W), not the shape {frames.shape}")
        count, height, width = frames.shape
        flat = frames.reshape(count, height * width)
        return cls(np.packbits(flat != 0, axis=1, bitorder="little"), height, width)

    def __getitem__(self, frames: slice) -> PackedSpikes:
        return PackedSpikes(self.data[frames], self.height, self.width, self.bottom_up)

    def frames(self) -> NDArray[np.uint8]:
        """Unpack to uint8 (T, H, W), values 0 and 1, top row first."""
        bits = np.unpackbits(self.data, axis=1, count=self.height * self.width, bitorder="little")
        return self.image(bits)

    def image(self, flat: NDArray[Scalar]) -> NDArray[Scalar]:
        """Give per-pixel values (..., H * W) in stored order the shape (..., H, W), top row first."""
        shaped = flat.reshape(*flat.shape[:-1], self.height, self.width)
        return shaped[..., ::-1, :] if self.bottom_up else shaped


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The frames around one frame of a recording: what a method sees.

    At the edge of a recording a window holds fewer frames on that side; `before` and `after` say how many.

    Args:
        spikes: the frames.
        centre: index in `spikes` of the frame to reconstruct.

    Raises:
        ValueError: `centre` is not one of the frames.
    """

    spikes: PackedSpikes
    centre: int

    def __post_init__(self) -> None:
        if not 0 <= self.centre < len(self.spikes):
            raise ValueError(f"the centre frame {self.centre} is not one of the {len(self.spikes)} frames")

    @property
    def before(self) -> int:
        """Frames that there are before the centre frame."""
        return self.centre

    @property
    def after(self) -> int:
        """Frames that there are after the centre frame."""
        return len(self.spikes) - 1 - self.centre

    def around(self, before: int, after: int) -> Window:
        """At most `before` frames before the centre and `after` behind it; shares the data."""
        start = max(0, self.centre - before)
        return Window(self.spikes[start : self.centre + after + 1], self.centre - start)
