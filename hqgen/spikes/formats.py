"""Files of recordings.

========================== =========================================== ====================================
file                       holds                                       geometry
========================== =========================================== ====================================
``.dat``, ``.raw``,        packed bits, no header; least significant   must be given; a frame is whole bytes
``.bin``                   bit first, bottom row first
``.npz``                   key ``spk`` (T, H, W), optional ``label``   its own
``.npy``                   one array (T, H, W)                         its own
``.h5``, ``.hdf5``         dataset ``spk``, ``spikes``, or the only    its own
                           one with three axes, in any group
``.mat``, v5 and v7.3      the same; (H, W, T) as MATLAB shows it      its own
========================== =========================================== ====================================

A `Camera` states what differs from that. Raw files, `.npy` and HDF5 (so MATLAB v7.3, too) are read frame by
frame from disk. An `.npz` or a MATLAB v5 file is a compressed archive: its first access decodes the stream
whole, packs it (an eighth of the size) and keeps that.
"""

from __future__ import annotations

import math
import mmap
import os
import zipfile
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import RecordingError
from hqgen.spikes.camera import FORMATS, PRESETS, RAW, Axes, Camera, usual_axes
from hqgen.spikes.packed import PackedSpikes, frame_bytes
from hqgen.spikes.recording import Recording, damaged, require_whole_bytes

_SPIKE_KEYS = ("spk", "spikes", "spike")
_ONE = {"0/1": 1, "0/255": 255}
_REVERSED = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1], axis=1)[:, 0]
"""Every byte with its bits in reverse order: uint8 (256,)."""


def open_file(path: Path, camera: Camera) -> Recording:
    """Open a file by the ending of its name, as `camera` describes it.

    Raises:
        RecordingError: it is not a recording, or not of this camera.
        OSError: it cannot be read.
    """
    if path.is_dir():
        raise RecordingError(f"`{path}`: is a directory, not a recording")
    with path.open("rb"):  # so that the operating system says what is wrong
        pass
    match path.suffix.lower():
        case ending if ending in RAW:
            return _RawFile(path, camera)
        case ".npz":
            return _open_npz(path, camera)
        case ".npy":
            return _open_npy(path, camera)
        case ".h5" | ".hdf5":
            return _open_hdf5(path, camera, camera.axes or usual_axes(path))
        case ".mat":
            return _open_mat(path, camera)
        case other:
            raise RecordingError(
                f"`{path}`: unknown ending `{other}`", hint=f"recordings end in {', '.join(FORMATS)}"
            )


class _FileRecording(Recording):
    """A file as a camera describes it: of the stored frames, the picture's part and the frames to use."""

    _first: int

    def _take(self, path: Path, camera: Camera, axes: Axes, stored: tuple[int, int, int]) -> None:
        """Set name, shape and camera, given the stored shape (T, H, W with the padding)."""
        count, height, columns = stored
        width = columns - (camera.padding or 0)
        if width < 1 or (camera.height or height, camera.width or width) != (height, width):
            wanted = f"{camera.height or height}x{(camera.width or width) + (camera.padding or 0)}"
            raise RecordingError(f"`{path}`: frames are {height}x{columns}, expected {wanted}")
        top, left, rows, columns = camera.region or (0, 0, height, width)
        if top + rows > height or left + columns > width:
            raise RecordingError(
                f"`{path}`: the region {rows}x{columns} from row {top}, column {left} is not within the "
                f"picture of {height}x{width}"
            )
        first, last = camera.frame_range or (0, count)
        if last > count:
            raise RecordingError(f"`{path}`: has {count} frames, and the frame range ends at {last}")
        self._path, self._part, self._first = path, (top, left, rows, columns), first
        self.name, self.shape = str(path), (last - first, rows, columns)
        self.camera = Camera(height=height, width=width, axes=axes).over(camera)

    @abstractmethod
    def _stored(self, start: int, stop: int) -> PackedSpikes:
        """Whole stored frames, counted from the first one of the file."""

    def _read(self, start: int, stop: int) -> PackedSpikes:
        spikes = self._stored(self._first + start, self._first + stop)
        if self.camera.bit_order == "msb":
            spikes = replace(spikes, data=_REVERSED[spikes.data])
        return spikes.cropped(*self._part)


class _RawFile(_FileRecording):
    """Packed bits without a header, memory-mapped."""

    def __init__(self, path: Path, camera: Camera) -> None:
        if camera.height is None or camera.width is None:
            raise RecordingError(
                f"`{path}`: a {path.suffix.lower()} file has no header, so its geometry must be given",
                hint="give height and width, or the name of a camera; for Vidar cameras `vidar-250x400`",
            )
        height, width = camera.height, camera.width + (camera.padding or 0)
        require_whole_bytes(path, height, width)
        size, frame = path.stat().st_size, frame_bytes(height, width)
        if size == 0:
            raise RecordingError(f"`{path}`: the file is empty")
        if size % frame:
            fitting = [f"`{name}`" for name in PRESETS if size % Camera(preset=name).frame_bytes == 0]
            raise RecordingError(
                f"`{path}`: {size:,} bytes are {size // frame} frames of {height}x{width} ({frame:,} bytes "
                f"each) and {size % frame:,} bytes more",
                hint=f"its size fits the camera {' or '.join(fitting)}; `hqgen probe` shows what is in it"
                if fitting
                else "either the file is truncated or its frames have another height and width; "
                "`hqgen probe` shows what is in it",
            )
        self._frame, self._count, self._height, self._width = frame, size // frame, height, width
        self._take(path, camera, "THW", (self._count, height, width))

    @cached_property
    def _data(self) -> NDArray[np.uint8]:
        with self._path.open("rb") as file:
            # A file that shrank since it was opened would end the process with SIGBUS at the first access.
            if os.fstat(file.fileno()).st_size < self._count * self._frame:
                raise RecordingError(f"`{self._path}`: the file has become shorter since it was opened")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return np.frombuffer(mapped, np.uint8).reshape(-1, self._frame)

    def _stored(self, start: int, stop: int) -> PackedSpikes:
        bottom_up = self.camera.row_order != "top-down"
        return PackedSpikes(self._data[start:stop], self._height, self._width, bottom_up)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_data"}


class _ArrayFile(_FileRecording):
    """Unpacked arrays in a file; slices are read of what `load` gives."""

    def __init__(
        self,
        path: Path,
        camera: Camera,
        axes: Axes,
        stored_shape: Sequence[int],
        load: Callable[[], Any],
        label: int | str | None = None,
    ) -> None:
        if len(stored_shape) != 3:
            raise _wrong_axes(path, tuple(stored_shape), axes)
        if 0 in stored_shape:
            raise RecordingError(f"`{path}`: the stream is empty, its shape is {tuple(stored_shape)}")
        count, height, width = (int(stored_shape[axes.index(axis)]) for axis in "THW")
        if camera.bit_order == "msb" and width % 8:
            raise RecordingError(
                f"`{path}`: rows of {width} pixels were not made of whole bytes, so `bit_order` says nothing"
            )
        self._take(path, camera, axes, (count, height, width))
        self.label, self._load = label, load
        self._order = tuple(axes.index(axis) for axis in "THW")

    @cached_property
    def _source(self) -> Any:
        return self._load()

    def _stored(self, start: int, stop: int) -> PackedSpikes:
        index = [slice(None)] * 3
        index[self._order[0]] = slice(start, stop)
        frames = np.asarray(self._source[tuple(index)]).transpose(self._order)
        spikes = PackedSpikes.pack(self._checked(frames, start, stop))
        return replace(spikes, bottom_up=self.camera.row_order == "bottom-up")

    def _checked(self, frames: NDArray[Any], start: int, stop: int) -> NDArray[np.bool_]:
        """Where the spikes are, of frames that hold only two values."""
        values = self.camera.values or "0/1"
        if frames.dtype.kind not in "buif":
            raise RecordingError(f"`{self._path}`: spikes are numbers, found {frames.dtype}")
        spikes: NDArray[np.bool_] = frames == _ONE[values]
        if np.count_nonzero(spikes) != np.count_nonzero(frames):
            other = frames[(frames != 0) & ~spikes].flat[0]
            other_values = next((name for name, one in _ONE.items() if other == one), None)
            raise RecordingError(
                f"`{self._path}`: spikes are {values.replace('/', ' and ')}, found the value {other:g} "
                f"({frames.dtype}) in frames {start}..{stop}",
                hint=f"if the file holds {other_values.replace('/', ' and ')}, say so: `values` is "
                f"`{other_values}`"
                if other_values
                else "counts, brightness or a video are not spikes: each pixel of a frame fires or does not",
            )
        return spikes

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_source", "_whole")}


class _ArchivedArray(_ArrayFile):
    """A compressed archive: decoded and packed once, at the first access."""

    @cached_property
    def _whole(self) -> PackedSpikes:
        return super()._read(0, len(self))

    def _read(self, start: int, stop: int) -> PackedSpikes:
        return self._whole[start:stop]


def _wrong_axes(path: Path, shape: tuple[int, ...], axes: Axes) -> RecordingError:
    hint = "a stream has the axes time, rows and columns"
    if len(shape) == 4 and 3 in shape:
        hint = (
            "hqgen reads one bit per pixel and frame: save each colour plane as its own recording; where a "
            "colour filter gave one plane, save that mosaic and say `colour`, as in `RGGB`"
        )
    elif len(shape) == 4 and 1 in shape:
        hint = "take out the axis of length 1: `numpy.squeeze`"
    return RecordingError(f"`{path}`: a stream has the axes {axes}, found the shape {shape}", hint=hint)


def _open_npz(path: Path, camera: Camera) -> Recording:
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        shapes = {}
        for name in names:
            with archive.open(f"{name}.npy") as member:
                shapes[name], _ = _npy_header(member)
        key = _spike_key(path, camera, shapes)
        label = None
        if "label" in names:
            with archive.open("label.npy") as member:
                label = _label(partial(np.lib.format.read_array, member, allow_pickle=False))
    load = partial(_decoded, path, partial(_load_npz, path, key))
    return _ArchivedArray(path, camera, camera.axes or usual_axes(path), shapes[key], load, label)


def _load_npz(path: Path, key: str) -> Any:
    with np.load(path, allow_pickle=False) as archive:
        return archive[key]


def _decoded(path: Path, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except OSError:
        raise
    except Exception as error:
        raise damaged(path, error) from error


def _open_npy(path: Path, camera: Camera) -> Recording:
    with path.open("rb") as file:
        shape, kind = _npy_header(file)
        expected = file.tell() + math.prod(shape) * kind.itemsize
    if path.stat().st_size < expected:
        raise RecordingError(
            f"`{path}`: has {path.stat().st_size:,} bytes, its header says {expected:,}; it is truncated"
        )
    load = partial(np.load, path, mmap_mode="r")
    return _ArrayFile(path, camera, camera.axes or usual_axes(path), shape, load)


def _open_hdf5(path: Path, camera: Camera, axes: Axes) -> Recording:
    import h5py

    if not h5py.is_hdf5(path):  # h5py reports damage as an OSError, as if the file could not be read
        raise RecordingError(f"`{path}`: is not an HDF5 file, or is truncated")
    with h5py.File(path, "r") as file:
        shapes: dict[str, tuple[int, ...]] = {}

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and not name.startswith("#"):  # MATLAB keeps references here
                shapes[name] = item.shape or ()

        file.visititems(visit)
        key = _spike_key(path, camera, shapes)
        label = _label(lambda: file["label"][()]) if "label" in shapes else None
    return _ArrayFile(path, camera, axes, shapes[key], partial(_load_hdf5, path, key), label)


def _load_hdf5(path: Path, key: str) -> Any:
    import h5py

    return h5py.File(path, "r")[key]


def _open_mat(path: Path, camera: Camera) -> Recording:
    import h5py

    axes = camera.axes or usual_axes(path)
    if h5py.is_hdf5(path):  # version 7.3, in which the axes are in reverse order
        reverse: dict[str, Axes] = {
            "THW": "WHT", "WHT": "THW", "TWH": "HWT", "HWT": "TWH", "HTW": "WTH", "WTH": "HTW"
        }  # fmt: skip
        return _open_hdf5(path, camera, reverse[axes])
    from scipy.io import loadmat, whosmat

    shapes = {name: shape for name, shape, _ in whosmat(path)}
    key = _spike_key(path, camera, shapes)
    label = _label(lambda: loadmat(path, variable_names=["label"])["label"]) if "label" in shapes else None
    load = partial(_decoded, path, partial(_load_mat, path, key))
    return _ArchivedArray(path, camera, axes, shapes[key], load, label)


def _load_mat(path: Path, key: str) -> Any:
    from scipy.io import loadmat

    return loadmat(path, variable_names=[key])[key]


def _label(read: Callable[[], Any]) -> int | str | None:
    """The one number or text that a label is; None for anything else, which only labels' users can refuse."""
    try:
        value = np.asarray(read())
    except (ValueError, TypeError):  # an object, which NumPy would have to execute
        return None
    if value.size != 1:
        return None
    item = value.reshape(-1)[0]
    item = item.decode(errors="replace") if isinstance(item, bytes) else item
    if isinstance(item, str):
        return str(item)
    return int(item) if value.dtype.kind in "buif" and float(item).is_integer() else None


def _spike_key(path: Path, camera: Camera, shapes: dict[str, tuple[int, ...]]) -> str:
    """The name of the stream: the one that was asked for, a usual one, or the only one with three axes."""
    streams = [name for name, shape in shapes.items() if len(shape) == 3]
    if camera.key is not None:
        key = camera.key.strip("/")
        within = [name for name in streams if name.startswith(f"{key}/")]
        if key in shapes or len(within) == 1:
            return key if key in shapes else within[0]
        raise RecordingError(
            f"`{path}`: holds no `{key}`; arrays: {_named(list(shapes))}", hint="give `key` as one of them"
        )
    for name in _SPIKE_KEYS:
        if name in shapes:
            return name
    if len(streams) == 1 or len(shapes) == 1:
        return (streams or list(shapes))[0]
    usual = [name for name in streams if name.rpartition("/")[2] in _SPIKE_KEYS]
    if len(usual) == 1:
        return usual[0]
    if not streams:
        raise RecordingError(
            f"`{path}`: holds no stream: no array has three axes; arrays: {_named(list(shapes))}",
            hint="store the stream (T, H, W) under the key `spk`",
        )
    raise RecordingError(
        f"`{path}`: holds no `spk`, but several other streams: {_named(streams)}",
        hint=f"say which one with `key`, as in `{streams[0]}`",
    )


def _named(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type from an .npy header, without the data."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(file)
    return shape, kind
