"""Spike streams as packed bits, and the window of one that a method looks at.

A window is always whole. Beyond the ends of a recording it continues with the frames in reverse order: frame
-1 is frame 1, and of T frames, frame T is frame T - 2. The end frame itself is not repeated. Where a window
reaches further than the recording is long, it is reflected at the other end, too, and so on: the order of
`numpy.pad(mode="reflect")`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import RecordingError

Scalar = TypeVar("Scalar", bound=np.generic)

ENDS = {"name": "mirror", "version": 1}
"""The rule for windows that reach over an end of a recording, as a plan names it."""


def mirrored(start: int, stop: int, count: int) -> NDArray[np.int64]:
    """The frames of a recording of `count` frames that stand for start..stop-1, from before it to behind it.

    Returns:
        int64 (stop - start,), values 0..count-1.

    Raises:
        RecordingError: there is one frame only, and more than that one are asked for.
    """
    if count == 1 and (start, stop) != (0, 1):
        raise RecordingError(
            f"one frame is too few for a window of {stop - start} frames: there is nothing to mirror",
            hint="a recording needs at least 2 frames",
        )
    period = max(1, 2 * count - 2)
    folded = np.abs(np.arange(start, stop)) % period
    return np.minimum(folded, period - folded) if count > 1 else folded


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

    def __getitem__(self, frames: slice | NDArray[np.int64]) -> PackedSpikes:
        """Some frames: a slice shares the data, indices copy it."""
        return PackedSpikes(self.data[frames], self.height, self.width, self.bottom_up)

    def cropped(self, top: int, left: int, height: int, width: int) -> PackedSpikes:
        """A part of every frame; rows count from the top of the picture.

        Whole bytes are copied where the part begins and ends at multiples of 8 columns; else bits are moved.

        Raises:
            ValueError: the part is not within the frames.
        """
        if not (0 <= top < top + height <= self.height and 0 <= left < left + width <= self.width):
            raise ValueError(
                f"a part of {height}x{width} from row {top}, column {left} is not within frames of "
                f"{self.height}x{self.width}"
            )
        if (top, left, height, width) == (0, 0, self.height, self.width):
            return self
        if (self.width | left | width) % 8:
            part = self.frames()[:, top : top + height, left : left + width]
            return PackedSpikes.pack(part)
        first = self.height - top - height if self.bottom_up else top
        rows = self.data.reshape(len(self), self.height, self.width // 8)
        part = rows[:, first : first + height, left // 8 : (left + width) // 8]
        return PackedSpikes(part.reshape(len(self), height * width // 8), height, width, self.bottom_up)

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

    A window is whole: frames beyond an end of the stream are mirrored, as the head of this module says.
    `spikes` has all its frames, and `centre` is the index in `spikes` of the frame to reconstruct. A method
    with another rule for the ends looks at `real` only.

    Args:
        stream: consecutive frames of the recording: those of the window, and those that mirrored ones repeat.
        frame: index in `stream` of the frame to reconstruct.
        reach: frames before and after that frame; by default all of `stream`.

    Raises:
        ValueError: `frame` is not one of the frames of `stream`, or `reach` is negative.
    """

    stream: PackedSpikes
    frame: int
    reach: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        count = len(self.stream)
        if not 0 <= self.frame < count:
            raise ValueError(f"the centre frame {self.frame} is not one of the {count} frames")
        if min(self.before, self.after) < 0:
            raise ValueError(f"a window reaches 0 frames or more to each side, not {self.reach}")

    def __len__(self) -> int:
        return self.before + 1 + self.after

    @property
    def before(self) -> int:
        """Frames before the centre frame, the mirrored ones among them."""
        return self.frame if self.reach is None else self.reach[0]

    @property
    def after(self) -> int:
        """Frames after the centre frame, the mirrored ones among them."""
        return len(self.stream) - 1 - self.frame if self.reach is None else self.reach[1]

    @property
    def centre(self) -> int:
        """Index in `spikes` of the frame to reconstruct."""
        return self.before

    @property
    def mirrored(self) -> int:
        """How many of its frames are mirrored."""
        return len(self) - len(self.real)

    @property
    def spikes(self) -> PackedSpikes:
        """All its frames; shares the data of `stream` if none is mirrored.

        Raises:
            RecordingError: the window reaches over the ends of a stream of one frame.
        """
        start, stop = self.frame - self.before, self.frame + self.after + 1
        if start >= 0 and stop <= len(self.stream):
            return self.stream[start:stop]
        return self.stream[mirrored(start, stop, len(self.stream))]

    @property
    def real(self) -> Window:
        """The same window without its mirrored frames: fewer before or after the centre; shares the data."""
        before = min(self.before, self.frame)
        return Window(self.stream, self.frame, (before, min(self.after, len(self.stream) - 1 - self.frame)))

    def around(self, before: int, after: int) -> Window:
        """The window of `before` frames before the centre and `after` behind it.

        A wider window than this one takes the ends of `stream` for the ends of the recording.

        Raises:
            ValueError: a number is negative.
        """
        return Window(self.stream, self.frame, (before, after))
