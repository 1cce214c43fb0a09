"""The catalog of datasets: one TOML file per entry, checked strictly."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from hqgen.config import MANIFESTS, read_toml, validated, with_tuples
from hqgen.download import RemoteFile
from hqgen.spikes.camera import FORMATS, PLAIN, RAW, Axes, Camera

NOT_SOURCES = {"weights"}
"""Files in the folder of the catalog that are not entries."""

Format = Literal["dat", "raw", "npz", "npy", "hdf5", "mat"]
SUFFIXES: dict[str | None, tuple[str, ...]] = {
    "dat": (".dat",),
    "raw": RAW,
    "npz": (".npz",),
    "npy": (".npy",),
    "hdf5": (".h5", ".hdf5"),
    "mat": (".mat",),
    None: FORMATS,
}

Text = Annotated[str, Field(min_length=1)]
Size = Annotated[int, Field(gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Layout(_Strict):
    """Where the recordings of one split are, relative to the folder of the source.

    Attributes:
        split: its name, or None for a dataset without splits.
        recordings: patterns of the files, without their ending; `*` stays in one folder, `**/` means any
            folders.
        truth: patterns of the ground-truth pictures, with their ending.
        numbers: first and last number of its recordings; the number of a file is the last one in its name.
    """

    split: Text | None = None
    recordings: Annotated[tuple[Text, ...], Field(min_length=1)]
    truth: tuple[Text, ...] = ()
    numbers: tuple[int, int] | None = None


class KeyIds(_Strict):
    """Key frames named in the files: the id in a recording's name and those of its ground-truth pictures.

    Attributes:
        pattern: regular expression for a file name without its ending. A recording and its pictures share the
            group `prefix`; the group `id` is the key id, which counts from 1.
    """

    rule: Literal["key-id"]
    pattern: str

    @field_validator("pattern")
    @classmethod
    def _has_groups(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groupindex
        except re.error as error:
            raise ValueError(f"is not a regular expression: {error}") from error
        if not {"prefix", "id"} <= groups.keys():
            raise ValueError("needs the groups `prefix` and `id`")
        return pattern


class Stride(_Strict):
    """A key frame every `stride` frames, each with a whole window of 41 frames around it."""

    rule: Literal["stride"]
    stride: Size = 41


class Centre(_Strict):
    """One key frame per recording: its middle frame."""

    rule: Literal["centre"]


class Annotations(_Strict):
    """Label files beside the recordings; hqgen only describes them.

    Attributes:
        files: pattern of their paths.
        format: the convention in words.
        columns: what the columns hold, in order.
    """

    files: Text
    format: Text
    columns: tuple[Text, ...]


class OfferedFile(_Strict):
    """A file that a program can fetch.

    Attributes:
        path: where it goes, relative to the folder of the source.
        at: where it is, relative to the base of its offer; by default `path`.
        size: in bytes.
        git_sha1: see `hqgen.download.RemoteFile`.
    """

    path: Text
    at: Text | None = None
    size: Size
    git_sha1: Text


class Offer(_Strict):
    """Files of a dataset in somebody's repository.

    Attributes:
        what: which part of the dataset they are.
        licence: in the words of the publisher.
        base: the beginning of their addresses.
        files: the files.
    """

    what: Text
    licence: Text
    base: Text
    files: Annotated[tuple[OfferedFile, ...], Field(min_length=1)]

    def remote(self, file: OfferedFile) -> RemoteFile:
        """Where a file is, and how to know it."""
        address = self.base + (file.at or file.path)
        return RemoteFile(address=address, size=file.size, git_sha1=file.git_sha1)


class SourceSettings(_Strict):
    """How to read a source: the fields of a `source.toml`, all optional.

    Attributes:
        title: the dataset's own name.
        layout: where the recordings are; by default every supported file below the folder.
        format: the only format of the recordings; None for any supported one.
        camera: how the recordings are laid out, or the name of a preset.
        axes: short for those of the camera.
        geometry: short for height and width of the camera.
        order: of the recordings: by path, or by the last number in their name.
        key_frames: the rule by which samples are chosen.
        rate_per_brightness: firing rate (spikes per frame) divided by ground-truth brightness in [0, 1], if
            known.
        light: the light of the scenes.
        labels: class names; a label is an index into this list.
        annotations: label files beside the recordings.
        citation: the paper to cite.
        licence: in the words of the publisher.
        obtain: how to get the files.
    """

    title: str = ""
    layout: Annotated[tuple[Layout, ...], Field(min_length=1)] = (Layout(recordings=("**/*",)),)
    format: Format | None = None
    camera: Camera = PLAIN
    axes: Axes | None = None
    geometry: tuple[Size, Size] | None = None
    order: Literal["path", "number"] = "path"
    key_frames: Annotated[KeyIds | Stride | Centre, Field(discriminator="rule")] = Stride(rule="stride")
    rate_per_brightness: Annotated[float, Field(gt=0)] | None = None
    light: Literal["normal", "low"] = "normal"
    labels: tuple[Text, ...] = ()
    annotations: Annotations | None = None
    citation: str = ""
    licence: str = ""
    obtain: str = ""

    @property
    def described_camera(self) -> Camera:
        """The camera, with `geometry` and `axes` where it does not state them."""
        height, width = self.geometry or (None, None)
        return self.camera.over(Camera(height=height, width=width, axes=self.axes))

    @property
    def has_truth(self) -> bool:
        """Whether it says where ground truth is."""
        return any(layout.truth for layout in self.layout)

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Endings of recordings, in lower case."""
        return SUFFIXES[self.format]


class CatalogEntry(SourceSettings):
    """A dataset of the catalog.

    Attributes:
        folder: of its files, under the data root; None if it needs no files.
        fetch: the files that a program can fetch.
    """

    folder: Text | None = None
    fetch: tuple[Offer, ...] = ()
    title: Text
    citation: Text
    licence: Text
    obtain: Text


@cache
def load_catalog() -> dict[str, CatalogEntry]:
    """Every entry by name (the name of its file without the ending), in alphabetical order.

    Raises:
        UsageError: an entry is not valid TOML, or has unknown, missing or wrong fields.
    """
    return {
        path.stem: validated(CatalogEntry, _fields(path), f"`{path}`")
        for path in sorted(MANIFESTS.glob("*.toml"))
        if path.stem not in NOT_SOURCES
    }


def load_folder_settings(folder: Path) -> SourceSettings:
    """The settings in the `source.toml` of `folder`, or the defaults if there is no such file.

    Raises:
        UsageError: it cannot be read or has unknown or wrong fields.
    """
    path = folder / "source.toml"
    return validated(SourceSettings, _fields(path), f"`{path}`") if path.exists() else SourceSettings()


def _fields(path: Path) -> dict[str, Any]:
    return with_tuples(read_toml(path, "description of a source"))
