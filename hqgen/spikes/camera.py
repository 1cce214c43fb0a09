"""The description of a camera: how its recordings are laid out in files.

A description is what a file does not say itself. It is the table `camera` of a `source.toml`, the flags of a
command, or the name of a preset; a later one of these is stronger in every field that it states. Fields that
are not stated follow the format: a raw file has the bottom row first, an array the top row; arrays are
(T, H, W), those of MATLAB (H, W, T).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from hqgen.config import FLAG, Flag, Section, split_names
from hqgen.errors import UnknownNameError

Pattern = Literal["RGGB", "BGGR", "GRBG", "GBRG"]
Axes = Literal["THW", "TWH", "HTW", "WTH", "HWT", "WHT"]

RAW = (".dat", ".raw", ".bin")
"""Endings of files without a header, in lower case."""

FORMATS = (*RAW, ".npz", ".npy", ".h5", ".hdf5", ".mat")
"""Endings of recordings, in lower case."""

VIDAR = (250, 400)
"""(H, W) of a Vidar camera: the default geometry of a file without a header."""

PRESETS: Mapping[str, Mapping[str, int]] = {
    "vidar-250x400": {"height": 250, "width": 400, "padding": 0},
    "vidar-416": {"height": 250, "width": 400, "padding": 16},
    "vidar-1000": {"height": 1000, "width": 1000, "padding": 0},
    "vidar-1024": {"height": 1000, "width": 1000, "padding": 24},
}
"""Cameras by name: SpikeCV and Spike-Zoo read these four layouts."""


def _numbers(value: Any) -> Any:
    """Whole numbers; a text holds them separated by commas, or by a colon for a range."""
    parts = split_names(value.replace(":", ",")) if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        return parts
    return tuple(int(part) if isinstance(part, str) and part.isdecimal() else part for part in parts)


Region = Annotated[tuple[int, int, int, int], BeforeValidator(_numbers)]
Range = Annotated[tuple[int, int], BeforeValidator(_numbers)]


class Camera(Section):
    """How recordings are laid out; a field that is None follows the format of the file.

    Raises:
        UnknownNameError: `preset` is not the name of a camera.
    """

    preset: Annotated[str | None, Flag(name="camera")] = None
    """A known camera: `vidar-250x400`, `vidar-416`, `vidar-1000`, `vidar-1024`."""
    height: Annotated[int | None, Field(ge=1), FLAG] = None
    """Rows of the picture. [default of raw files: 250]"""
    width: Annotated[int | None, Field(ge=1), FLAG] = None
    """Columns of the picture. [default of raw files: 400]"""
    padding: Annotated[int | None, Field(ge=0), FLAG] = None
    """Columns at the end of each stored row that are not part of the picture."""
    bit_order: Annotated[Literal["lsb", "msb"] | None, FLAG] = None
    """Which bit of a byte is the first pixel: the least or the most significant. [default: lsb]"""
    row_order: Annotated[Literal["bottom-up", "top-down"] | None, FLAG] = None
    """Which row is stored first. [default: raw files bottom-up, arrays top-down]"""
    axes: Annotated[Axes | None, FLAG] = None
    """Order of an array's axes: T time, H rows, W columns. [default: THW, MATLAB files HWT]"""
    key: Annotated[str | None, FLAG] = None
    """Name of the stream in an archive, HDF5 or MATLAB file, as in `cam0/spk`."""
    values: Annotated[Literal["0/1", "0/255"] | None, FLAG] = None
    """What an array holds, in any type of number. [default: 0/1]"""
    frame_rate: Annotated[float | None, Field(gt=0), FLAG] = None
    """Frames per second."""
    region: Annotated[Region | None, FLAG] = None
    """The part of the picture to use: top, left, height, width."""
    frame_range: Annotated[Range | None, FLAG] = None
    """The frames to use: from the first to before the second, as in 100:400."""
    colour: Annotated[Pattern | None, FLAG] = None
    """The colour filter of a mosaic: the colours of its first two rows, from the left."""

    @model_validator(mode="before")
    @classmethod
    def _expand_preset(cls, values: Any) -> Any:
        """Fields of the preset, where no others are stated; a text is the name of a preset."""
        fields = {"preset": values} if isinstance(values, str) else values
        if not isinstance(fields, Mapping) or (name := fields.get("preset")) is None:
            return fields
        if name not in PRESETS:
            raise UnknownNameError("camera", str(name), PRESETS)
        stated = {key: value for key, value in fields.items() if value is not None}
        return {**PRESETS[name], **stated}

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if self.frame_range is not None and not 0 <= self.frame_range[0] < self.frame_range[1]:
            raise ValueError("`frame_range` must be a first frame from 0, and a later one")
        if self.region is not None and (min(self.region[:2]) < 0 or min(self.region[2:]) < 1):
            raise ValueError("`region` must be top and left from 0, height and width from 1")
        return self

    def over(self, other: Camera) -> Camera:
        """What this description states, and where it states nothing, what `other` states."""
        return other.model_copy(update=self.stated())

    def stated(self) -> dict[str, Any]:
        """The fields that are not None."""
        return self.model_dump(exclude_none=True)

    def described(self) -> dict[str, Any]:
        """The fields that are not the default: what a plan says of a camera, besides the size of pictures."""
        usual: dict[str, Any] = {"padding": 0, "bit_order": "lsb", "values": "0/1"}
        if self.region is None:
            usual |= {"height": self.height, "width": self.width}
        fields = self.model_dump(mode="json", exclude_none=True, exclude={"preset"})
        return {name: value for name, value in fields.items() if usual.get(name) != value}

    @classmethod
    def planned(cls, described: Mapping[str, Any] | None, height: int, width: int) -> Camera:
        """The description of a plan, and its height and width of pictures: the inverse of `described`."""
        camera = cls.model_validate(described or {})
        return camera if camera.region else camera.over(cls(height=height, width=width))

    def for_file(self, path: Path) -> Camera:
        """The same; a file without a header has the geometry of a Vidar camera unless another is stated."""
        return self.over(Camera(height=VIDAR[0], width=VIDAR[1])) if is_raw(path) else self

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame in a raw file; 0 if height and width are not stated."""
        return ((self.height or 0) * ((self.width or 0) + (self.padding or 0)) + 7) // 8

    @property
    def geometry(self) -> tuple[int, int] | None:
        """(H, W) of the pictures; None if only the files say it."""
        if self.region is not None:
            return self.region[2:]
        return (self.height, self.width) if self.height and self.width else None


PLAIN = Camera()
"""The description that states nothing."""


def usual_axes(path: Path) -> Axes:
    """The axes of the arrays in a file, where no others are stated."""
    return "HWT" if path.suffix.lower() == ".mat" else "THW"


def is_raw(path: Path) -> bool:
    """Whether a file has no header, by its name."""
    return path.suffix.lower() in RAW
