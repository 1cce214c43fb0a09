"""What a video is written as: an MP4, a folder of PNGs, or an array of the method's own values.

Each is written under another name first, which begins with a dot and ends in `.partial`, and gets its own
name when it is complete. So a file that has the name of a video is a whole video.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hqgen.errors import UsageError
from hqgen.files import appearing, writing
from hqgen.pictures import png

Write = Callable[[int, Any], None]
"""Takes the number of a frame and what `Target.encode` made of it; in the order of the video."""

QUALITY = "16"
"""Constant rate factor of H.264: lower is better, 18 is called visually lossless."""

PRESET = "veryfast"
"""Speed of the encoder: `medium`, its default, takes three times as long for a file of the same size."""


@dataclass(frozen=True)
class Target(ABC):
    """Where a video goes.

    Class attributes:
        levels: whether it holds grey levels or colours, uint8; else the method's own values, float32.
    """

    levels: ClassVar[bool] = True

    path: Path

    @abstractmethod
    def encode(self, picture: NDArray[Any]) -> Any:
        """The part of the work that one picture needs by itself; called in any thread."""

    @abstractmethod
    def open(self, count: int) -> AbstractContextManager[Write]:
        """Write a video of `count` pictures in a block; it appears at the end of the block, or not at all.

        Raises:
            UsageError: it cannot be written.
        """


@dataclass(frozen=True)
class Values(Target):
    """One array in a `.npy` file: float32 (N, H, W), with a colour filter (N, H, W, 3)."""

    levels: ClassVar[bool] = False

    def encode(self, picture: NDArray[Any]) -> NDArray[Any]:
        """The values as they are."""
        return np.ascontiguousarray(picture)

    @contextmanager
    def open(self, count: int) -> Iterator[Write]:
        """See `Target`; the file grows picture by picture."""
        with _appearing(self.path) as partial, partial.open("wb") as file:

            def write(_frame: int, picture: NDArray[Any]) -> None:
                if file.tell() == 0:
                    _write_header(file, (count, *picture.shape), picture.dtype)
                file.write(picture.data)

            yield write


def _write_header(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


@dataclass(frozen=True)
class Pictures(Target):
    """A new folder of PNGs, each named by its frame: `frame-000120.png`."""

    def encode(self, picture: NDArray[Any]) -> bytes:
        """A PNG file."""
        return png(Image.fromarray(picture))

    @contextmanager
    def open(self, count: int) -> Iterator[Write]:  # noqa: ARG002 - a folder may hold any number
        """See `Target`."""
        with _appearing(self.path) as partial:
            partial.mkdir()
            yield lambda frame, data: _write_bytes(partial / f"frame-{frame:06d}.png", data)


def _write_bytes(path: Path, data: bytes) -> None:
    path.write_bytes(data)


@dataclass(frozen=True)
class Film(Target):
    """H.264 in an MP4, which browsers and players show: 4:2:0, so colours have half the resolution.

    Height and width must be even there; an odd one gets one more row or column, the last one again.

    Args:
        rate: pictures per second.
    """

    rate: float

    def encode(self, picture: NDArray[Any]) -> NDArray[Any]:
        """The picture with an even height and width."""
        height, width = picture.shape[:2]
        return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0))[: picture.ndim], mode="edge")

    @contextmanager
    def open(self, count: int) -> Iterator[Write]:  # noqa: ARG002 - a film may have any length
        """See `Target`."""
        import av

        with _appearing(self.path) as partial, av.open(str(partial), "w", format="mp4") as container:
            streams: list[Any] = []

            def write(_frame: int, picture: NDArray[Any]) -> None:
                if not streams:  # the first picture says how large they are
                    streams.append(_new_stream(container, self.rate, picture))
                image = av.VideoFrame.from_ndarray(picture, format="gray" if picture.ndim == 2 else "rgb24")
                container.mux(streams[0].encode(image))

            yield write
            container.mux(streams[0].encode(None))


def _new_stream(container: Any, rate: float, picture: NDArray[Any]) -> Any:
    stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
    stream.height, stream.width = picture.shape[:2]
    stream.codec_context.thread_type = "AUTO"  # whole frames side by side, not slices of one
    stream.pix_fmt, stream.options = "yuv420p", {"crf": QUALITY, "preset": PRESET}
    return stream


def target_at(path: Path, rate: float) -> Target:
    """What a video of this name is written as.

    Raises:
        UsageError: the ending is unknown, the folder holds files already, or PyAV is not installed.
    """
    match path.suffix.lower():
        case ".npy":
            return Values(path)
        case ".mp4":
            _require_av(path)
            return Film(path, rate)
        case "":
            if path.exists() and not (path.is_dir() and not any(path.iterdir())):
                raise UsageError(f"`{path}` is already there", hint="name a new folder, or an empty one")
            return Pictures(path)
        case other:
            raise UsageError(
                f"`{path}` cannot be written: no kind of video ends in `{other}`",
                hint="name an `.mp4`, a folder for pictures, or `.npy` for the values",
            )


def _require_av(path: Path) -> None:
    try:
        import av  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise UsageError(
            f"`{path}` needs the package `av`, which is not installed",
            hint="`pip install hqgen[video]`, or name a folder: it receives pictures",
        ) from error


@contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """See `appearing`, for a place that a user named."""
    with writing(path), appearing(path) as partial:
        yield partial
