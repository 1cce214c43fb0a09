"""Recordings: spike streams in files, opened lazily.

=========== ============================================ =========================================
file        holds                                        geometry
=========== ============================================ =========================================
``.dat``    Vidar: packed bits, no header; least         must be given; H * W a multiple of 8
            significant bit first, bottom row first
``.npz``    key ``spk`` (T, H, W), optional ``label``    its own; ``axes="HWT"`` for SpikingSIM's
``.npy``    one array (T, H, W)                          its own
``.h5``     dataset ``spk``, ``spikes``, or the only     its own
            one with three axes; (T, H, W)
=========== ============================================ =========================================

`.dat`, `.npy` and HDF5 are read frame by frame from disk. An `.npz` is a compressed archive: its first access
decodes the stream whole, packs it (an eighth of the size) and keeps that.
"""

from __future__ import annotations

import math
import mmap
import os
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import RecordingError, UnreadableError
from hqgen.files import write_atomically
from hqgen.spikes.packed import PackedSpikes, Window, frame_bytes, mirrored

Axes = Literal["THW", "HWT"]
FORMATS = (".dat", ".npz", ".npy", ".h5", ".hdf5")
_SPIKE_KEYS = ("spk", "spikes", "spike")


class Recording(ABC):
    """A spike stream in a file; nothing is read until frames are asked for.

    Attributes:
        name: the file's path, for messages.
        shape: (T, H, W).
        label: class label stored with the stream, if any.
    """

    name: str
    shape: tuple[int, int, int]
    label: int | None = None

    @abstractmethod
    def _read(self, start: int, stop: int) -> PackedSpikes:
        """Frames start..stop-1, both checked."""

    def __len__(self) -> int:
        return self.shape[0]

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
            raise UnreadableError(f"`{self.name}`: frames {start}..{stop}: {_reason(error)}") from error

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


def _require_whole_bytes(path: Path, height: int, width: int) -> None:
    if height < 1 or width < 1 or height * width % 8:
        raise RecordingError(
            f"`{path}`: frames of {height}x{width} are {height * width} bits, not a whole number of bytes "
            "as .dat needs it",
            hint="keep such streams as .npz: `numpy.savez_compressed(path, spk=frames)`",
        )


class _DatRecording(Recording):
    """Packed bits without a header, memory-mapped."""

    def __init__(self, path: Path, height: int | None, width: int | None) -> None:
        if height is None or width is None:
            raise RecordingError(
                f"`{path}`: a .dat file has no header, so its geometry must be given",
                hint="give height and width; for Vidar cameras 250 and 400",
            )
        _require_whole_bytes(path, height, width)
        size, frame = path.stat().st_size, frame_bytes(height, width)
        if size == 0:
            raise RecordingError(f"`{path}`: the file is empty")
        if size % frame:
            raise RecordingError(
                f"`{path}`: {size:,} bytes are {size // frame} frames of {height}x{width} ({frame:,} bytes "
                f"each) and {size % frame:,} bytes more",
                hint="either the file is truncated or its frames have another height and width",
            )
        self.name, self.shape = str(path), (size // frame, height, width)
        self._path = path

    @cached_property
    def _data(self) -> NDArray[np.uint8]:
        count, height, width = self.shape
        with self._path.open("rb") as file:
            # A file that shrank since it was opened would end the process with SIGBUS at the first access.
            if os.fstat(file.fileno()).st_size < count * frame_bytes(height, width):
                raise RecordingError(f"`{self._path}`: the file has become shorter since it was opened")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return np.frombuffer(mapped, np.uint8).reshape(-1, frame_bytes(height, width))

    def _read(self, start: int, stop: int) -> PackedSpikes:
        return PackedSpikes(self._data[start:stop], self.shape[1], self.shape[2], bottom_up=True)


class _ArrayFileRecording(Recording):
    """Unpacked arrays in a file; slices are read of what `load` gives."""

    def __init__(
        self,
        path: Path,
        stored_shape: tuple[int, ...],
        axes: Axes,
        load: Callable[[], Any],
        label: int | None = None,
    ) -> None:
        if len(stored_shape) != 3:
            raise RecordingError(f"`{path}`: a stream has the axes {axes}, found the shape {stored_shape}")
        shape = stored_shape if axes == "THW" else (stored_shape[2], *stored_shape[:2])
        if 0 in shape:
            raise RecordingError(f"`{path}`: the stream is empty, its shape is {stored_shape}")
        self.name, self.shape, self.label = str(path), (shape[0], shape[1], shape[2]), label
        self._path, self._axes, self._load = path, axes, load

    @cached_property
    def _source(self) -> Any:
        return self._load()

    def _read(self, start: int, stop: int) -> PackedSpikes:
        if self._axes == "THW":
            frames = np.asarray(self._source[start:stop])
        else:
            frames = np.moveaxis(np.asarray(self._source[:, :, start:stop]), 2, 0)
        if frames.dtype.kind not in "bui" or (frames.size and (frames.min() < 0 or frames.max() > 1)):
            raise RecordingError(
                f"`{self._path}`: spikes are 0 and 1, found {frames.dtype} values "
                f"{frames.min()}..{frames.max()} in frames {start}..{stop}"
            )
        return PackedSpikes.pack(frames)


class _NpzRecording(_ArrayFileRecording):
    """A compressed archive: decoded and packed once, at the first access."""

    @cached_property
    def _whole(self) -> PackedSpikes:
        return super()._read(0, len(self))

    def _read(self, start: int, stop: int) -> PackedSpikes:
        return self._whole[start:stop]

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_source", "_whole")}


def open_recording(
    path: str | os.PathLike[str],
    *,
    height: int | None = None,
    width: int | None = None,
    axes: Axes = "THW",
) -> Recording:
    """Open a recording by the ending of its name; no frame is read.

    Args:
        path: a `.dat`, `.npz`, `.npy`, `.h5` or `.hdf5` file.
        height: H; needed for `.dat`; for the others a check against what the file says.
        width: W; the same.
        axes: order of the axes of an array in the file.

    Raises:
        UnreadableError: the file is missing, or may not be read.
        RecordingError: a directory, an unknown ending, an empty or truncated file, or another geometry than
            asked for.
    """
    path = Path(path)
    try:
        recording = _open(path, height, width, axes)
    except RecordingError:
        raise
    except OSError as error:
        raise UnreadableError(f"`{path}`: {_reason(error)}") from error
    except Exception as error:
        raise _damaged(path, error) from error
    found = recording.shape[1:]
    if (height or found[0], width or found[1]) != found:
        raise RecordingError(f"`{path}`: frames are {found[0]}x{found[1]}, expected {height}x{width}")
    return recording


def _open(path: Path, height: int | None, width: int | None, axes: Axes) -> Recording:
    if path.is_dir():
        raise RecordingError(f"`{path}`: is a directory, not a recording")
    with path.open("rb"):  # so that the operating system says what is wrong
        pass
    match path.suffix.lower():
        case ".dat":
            return _DatRecording(path, height, width)
        case ".npz":
            return _open_npz(path, axes)
        case ".npy":
            return _open_npy(path, axes)
        case ".h5" | ".hdf5":
            return _open_hdf5(path, axes)
        case other:
            raise RecordingError(
                f"`{path}`: unknown ending `{other}`", hint=f"recordings end in {', '.join(FORMATS)}"
            )


def _open_npz(path: Path, axes: Axes) -> Recording:
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        key = _spike_key(path, names)
        with archive.open(f"{key}.npy") as member:
            shape, _ = _npy_header(member)
        label = None
        if "label" in names:
            with archive.open("label.npy") as member:
                label = int(np.lib.format.read_array(member, allow_pickle=False))
    return _NpzRecording(path, shape, axes, partial(_load_npz, path, key), label)


def _load_npz(path: Path, key: str) -> NDArray[Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            array: NDArray[Any] = archive[key]
            return array
    except OSError:
        raise
    except Exception as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> RecordingError:
    """One error for all that NumPy, zipfile, zlib and h5py raise on damaged files."""
    return RecordingError(f"`{path}`: is damaged, or not a recording: {_reason(error)}")


def _open_npy(path: Path, axes: Axes) -> Recording:
    with path.open("rb") as file:
        shape, kind = _npy_header(file)
        expected = file.tell() + math.prod(shape) * kind.itemsize
    if path.stat().st_size < expected:
        raise RecordingError(
            f"`{path}`: has {path.stat().st_size:,} bytes, its header says {expected:,}; it is truncated"
        )
    return _ArrayFileRecording(path, shape, axes, partial(np.load, path, mmap_mode="r"))


def _open_hdf5(path: Path, axes: Axes) -> Recording:
    import h5py

    if not h5py.is_hdf5(path):  # h5py reports damage as an OSError, as if the file could not be read
        raise RecordingError(f"`{path}`: is not an HDF5 file, or is truncated")
    with h5py.File(path, "r") as file:
        streams = [name for name, item in file.items() if isinstance(item, h5py.Dataset) and item.ndim == 3]
        key = _spike_key(path, streams)
        shape = tuple(int(size) for size in file[key].shape)
        label = int(file["label"][()]) if "label" in file else None
    return _ArrayFileRecording(path, shape, axes, lambda: h5py.File(path, "r")[key], label)


def _spike_key(path: Path, names: list[str]) -> str:
    for key in _SPIKE_KEYS:
        if key in names:
            return key
    if len(names) == 1:
        return names[0]
    raise RecordingError(
        f"`{path}`: holds no `spk`, only {', '.join(f'`{name}`' for name in names) or 'nothing'}",
        hint="store the stream under the key `spk`",
    )


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type from an .npy header, without the data."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(file)
    return shape, kind


def _reason(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__


def write_dat(path: str | os.PathLike[str], spikes: PackedSpikes) -> None:
    """Write a Vidar `.dat`: least significant bit first, bottom row first, no header.

    The file appears whole or not at all.

    Raises:
        RecordingError: H * W is not a multiple of 8, there is no frame, or the file cannot be written.
    """
    path = Path(path)
    count, height, width = spikes.shape
    _require_whole_bytes(path, height, width)
    if count == 0:
        raise RecordingError(f"`{path}`: a recording needs at least one frame")
    data = spikes.data if spikes.bottom_up else _bottom_up(spikes)
    try:
        write_atomically(path, data.tobytes())
    except OSError as error:
        raise RecordingError(f"`{path}`: cannot be written: {_reason(error)}") from error


def _bottom_up(spikes: PackedSpikes) -> NDArray[np.uint8]:
    """The packed bytes with the rows in reverse order."""
    count, height, width = spikes.shape
    if width % 8 == 0:  # rows are whole bytes
        return spikes.data.reshape(count, height, width // 8)[:, ::-1].reshape(count, -1)
    return PackedSpikes.pack(spikes.frames()[:, ::-1]).data
