"""The catalog of datasets: one TOML file an entry, validated strictly."""

from __future__ import annotations

import json
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from hqgen.errors import UsageError
from hqgen.spikes.recording import Axes

__all__ = [
    "MANIFESTS",
    "Annotations",
    "CatalogEntry",
    "Centre",
    "KeyIds",
    "Layout",
    "SourceSettings",
    "Stride",
    "load_catalog",
    "load_folder_settings",
]

MANIFESTS = next(
    (folder for level in (1, 2) if (folder := Path(__file__).parents[level] / "manifests").is_dir()),
    Path(__file__).parents[2] / "manifests",
)
"""Where the catalog lies: inside the package once it is installed, at the top of a checkout before that."""

Format = Literal["dat", "npz", "npy", "hdf5"]
SUFFIXES: dict[str | None, tuple[str, ...]] = {
    "dat": (".dat",),
    "npz": (".npz",),
    "npy": (".npy",),
    "hdf5": (".h5", ".hdf5"),
    None: (".dat", ".npz", ".npy", ".h5", ".hdf5"),
}

Text = Annotated[str, Field(min_length=1)]
Size = Annotated[int, Field(gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Layout(_Strict):
    """Where the recordings of one split lie, relative to the source's folder.

    Attributes:
        split: its name, or None for a dataset without splits.
        recordings: patterns of the files without their ending; `*` stays within a folder, `**/` crosses any.
        truth: patterns of the ground-truth pictures, with their ending.
        numbers: first and last number of the recordings that belong here: the last number in a file's name.
    """

    split: Text | None = None
    recordings: Annotated[tuple[Text, ...], Field(min_length=1)]
    truth: tuple[Text, ...] = ()
    numbers: tuple[int, int] | None = None


class KeyIds(_Strict):
    """Key frames named in the files: the id in a recording's name and those of its ground-truth pictures.

    Attributes:
        pattern: of a file name without its ending; the group `prefix` is what a recording and its pictures
            share, the group `id` the key id, which counts from 1.
    """

    rule: Literal["key-id"]
    pattern: str

    @field_validator("pattern")
    @classmethod
    def _has_groups(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groupindex
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from error
        if not {"prefix", "id"} <= groups.keys():
            raise ValueError("needs the groups `prefix` and `id`")
        return pattern


class Stride(_Strict):
    """A key frame every `stride` frames, each with the whole window of 41 frames around it."""

    rule: Literal["stride"]
    stride: Size = 41


class Centre(_Strict):
    """One key frame a recording: its middle frame."""

    rule: Literal["centre"]


class Annotations(_Strict):
    """Label files that lie beside the recordings; hqgen only says what they are.

    Attributes:
        files: pattern of their paths.
        format: the convention in words.
        columns: what the columns hold, in order.
    """

    files: Text
    format: Text
    columns: tuple[Text, ...]


class SourceSettings(_Strict):
    """How to read a source: the fields that a `source.toml` may hold, all optional.

    Attributes:
        title: the dataset's own name.
        layout: where recordings lie; every supported one below the folder when nothing is said.
        format: the only format looked for; None for any that is supported.
        axes: order of the axes of arrays in files.
        geometry: (H, W); None when the files say it.
        order: of the recordings: by path, or by the last number in their name.
        key_frames: the rule by which samples are chosen.
        rate_per_brightness: firing rate (spikes a frame) over ground-truth brightness in [0, 1], if known.
        light: the light of the scenes.
        labels: class names; a label is an index in this list.
        annotations: label files beside the recordings.
        citation: the paper to cite.
        licence: as its publisher states it.
        obtain: how a person gets the files.
    """

    title: str = ""
    layout: Annotated[tuple[Layout, ...], Field(min_length=1)] = (Layout(recordings=("**/*",)),)
    format: Format | None = None
    axes: Axes = "THW"
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
    def suffixes(self) -> tuple[str, ...]:
        """Endings, in lower case, of the files that are taken for recordings."""
        return SUFFIXES[self.format]


class CatalogEntry(SourceSettings):
    """A dataset of the catalog.

    Attributes:
        folder: where its files lie under the data root; None when it needs no files.
    """

    folder: Text | None = None
    title: Text
    citation: Text
    licence: Text
    obtain: Text


@cache
def load_catalog() -> dict[str, CatalogEntry]:
    """Every entry by its name, which is its file's name without the ending; in alphabetical order.

    Raises:
        UsageError: an entry that is no valid TOML or has unknown, missing or wrong fields.
    """
    return {path.stem: _read(path, CatalogEntry) for path in sorted(MANIFESTS.glob("*.toml"))}


def load_folder_settings(folder: Path) -> SourceSettings:
    """What the `source.toml` in `folder` says, or the defaults without one.

    Raises:
        UsageError: it cannot be read or has unknown or wrong fields.
    """
    path = folder / "source.toml"
    return _read(path, SourceSettings) if path.exists() else SourceSettings()


S = TypeVar("S", bound=SourceSettings)


def _read(path: Path, model: type[S]) -> S:
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
        # As JSON, because only there the strict mode takes an array for a tuple.
        return model.model_validate_json(json.dumps(fields, default=str))
    except ValidationError as error:
        raise UsageError(
            f"`{path}`: {'; '.join(_complaint(item['loc'], item['msg']) for item in error.errors())}",
            hint=f"legal fields: {', '.join(model.model_fields)}",
        ) from error
    except (OSError, ValueError) as error:
        raise UsageError(f"`{path}`: cannot be read as TOML: {error}") from error


def _complaint(where: tuple[int | str, ...], what: str) -> str:
    return f"`{'.'.join(map(str, where))}`: {what[:1].lower()}{what[1:]}"
