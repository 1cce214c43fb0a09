"""Recordings: spike streams, read by frames; nothing is read until frames are asked for.

`hqgen.spikes.formats` has the kinds of files.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import RecordingError, UnreadableError
from hqgen.files import write_atomically
from hqgen.spikes.camera import PLAIN, Axes, Camera
from hqgen.spikes.packed import PackedSpikes, Window, mirrored
from hqgen.text import count


class Recording(ABC):
    """A spike stream in a file; nothing is read until frames are asked for.

    Attributes:
        name: the file's path, for messages.
        shape: (T, H, W).
        label: class label stored with the stream, if any: a number, or a name.
        camera: how it was read; `height`, `width` and `axes` are stated.
    """

    name: str
    shape: tuple[int, int, int]
    label: int | str | None = None
    camera: Camera = PLAIN

    @abstractmethod
    def _read(self, start: int, stop: int) -> PackedSpikes:
        """Frames start..stop-1, both checked."""

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def extent(self) -> str:
        """What it holds, in words: `250 frames of 400x500`."""
        frames, height, width = self.shape
        return f"{count(frames, 'frame')} of {height}x{width}"

    def spikes(self, start: int = 0, stop: int | None = None) -> PackedSpikes:
        """Frames start..stop-1 as packed spikes.

        Raises:
            IndexError: not 0 <= start <= stop <= T.
            UnreadableError: the file can no longer be read.
            RecordingError: it does not hold a spike stream.
        """
        stop = len(self) if stop is None else stop
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"frames {start}..{stop} are not within 0..{len(self)} of `{self.name}`")
        try:
            return self._read(start, stop)
        except OSError as error:
            raise UnreadableError(f"`{self.name}`: frames {start}..{stop}: {reason_of(error)}") from error

    def frames(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
        """Unpacked frames: uint8 (stop - start, H, W), values 0 and 1, top row first."""
        return self.spikes(start, stop).frames()

    def window(self, centre: int, before: int, after: int) -> Window:
        """The window of `before` frames before frame `centre` and `after` behind it.

        It is whole at the ends of the recording, too: frames beyond them are mirrored. Only frames that it
        holds are read.

        Raises:
            IndexError: `centre` is not a frame of the recording.
            RecordingError: the window reaches over the ends of a recording of one frame; or as `spikes`.
        """
        count = len(self)
        if not 0 <= centre < count:
            raise IndexError(f"frame {centre} is not one of the {count} frames of `{self.name}`")
        frames = mirrored(centre - before, centre + after + 1, count)
        start = int(frames.min())
        return Window(self.spikes(start, int(frames.max()) + 1), centre - start, (before, after))


class ArrayRecording(Recording):
    """A recording in memory."""

    def __init__(self, spikes: PackedSpikes, *, name: str = "array", label: int | None = None) -> None:
        self.name, self.shape, self.label = name, spikes.shape, label
        self._spikes = spikes

    def _read(self, start: int, stop: int) -> PackedSpikes:
        return self._spikes[start:stop]


def open_recording(
    path: str | os.PathLike[str],
    camera: Camera | str | None = None,
    *,
    height: int | None = None,
    width: int | None = None,
    axes: Axes | None = None,
) -> Recording:
    """Open a recording by the ending of its name; no frame is read.

    Args:
        path: a `.dat`, `.raw`, `.bin`, `.npz`, `.npy`, `.h5`, `.hdf5` or `.mat` file.
        camera: how it is laid out, or the name of a preset, such as `vidar-416`.
        height: H, which is stronger than the camera's. A raw file needs it; for others it is a check.
        width: W; the same.
        axes: order of the axes of an array, as in `HWT`; stronger than the camera's.

    Raises:
        UnknownNameError: there is no preset of this name.
        UnreadableError: the file is missing, or may not be read.
        RecordingError: a directory, an unknown ending, an empty or truncated file, or another geometry than
            asked for.
    """
    from hqgen.spikes.formats import open_file

    path = Path(path)
    named = Camera(preset=camera) if isinstance(camera, str) else camera or Camera()
    described = Camera(height=height, width=width, axes=axes).over(named)
    try:
        return open_file(path, described)
    except RecordingError:
        raise
    except OSError as error:
        raise UnreadableError(f"`{path}`: {reason_of(error)}") from error
    except Exception as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> RecordingError:
    """One error for all that NumPy, zipfile, zlib, SciPy and h5py raise on damaged files."""
    return RecordingError(f"`{path}`: is damaged, or not a recording: {reason_of(error)}")


def reason_of(error: BaseException) -> str:
    """What an error says, without its number."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__


def require_whole_bytes(path: Path, height: int, width: int) -> None:
    """Refuse frames that a raw file cannot hold.

    Raises:
        RecordingError: H * W is not a multiple of 8.
    """
    if height < 1 or width < 1 or height * width % 8:
        raise RecordingError(
            f"`{path}`: frames of {height}x{width} are {height * width} bits, not a whole number of bytes "
            "as a raw file needs it",
            hint="keep such streams as .npz: `numpy.savez_compressed(path, spk=frames)`",
        )


def write_dat(path: str | os.PathLike[str], spikes: PackedSpikes) -> None:
    """Write a Vidar `.dat`: least significant bit first, bottom row first, no header.

    The file appears whole or not at all.

    Raises:
        RecordingError: H * W is not a multiple of 8, there is no frame, or the file cannot be written.
    """
    path = Path(path)
    count, height, width = spikes.shape
    require_whole_bytes(path, height, width)
    if count == 0:
        raise RecordingError(f"`{path}`: a recording needs at least one frame")
    data = spikes.data if spikes.bottom_up else _bottom_up(spikes)
    try:
        write_atomically(path, data.tobytes())
    except OSError as error:
        raise RecordingError(f"`{path}`: cannot be written: {reason_of(error)}") from error


def _bottom_up(spikes: PackedSpikes) -> NDArray[np.uint8]:
    """The packed bytes with the rows in reverse order."""
    count, height, width = spikes.shape
    if width % 8 == 0:  # rows are whole bytes
        return spikes.data.reshape(count, height, width // 8)[:, ::-1].reshape(count, -1)
    return PackedSpikes.pack(spikes.frames()[:, ::-1]).data
