"""What of the catalog is there, and how to get what is not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hqgen.errors import SourceError
from hqgen.sources.catalog import CatalogEntry, load_catalog
from hqgen.sources.recordings import Rejected
from hqgen.sources.resolve import complaint, read_entry

__all__ = ["SourceRow", "describe_sources"]


@dataclass(frozen=True, slots=True)
class SourceRow:
    """What there is of one dataset of the catalog.

    Attributes:
        name: what users type.
        entry: what the catalog says; its `obtain` says how to get the files.
        folder: where they are looked for; None when the dataset needs none.
        geometry: (H, W), None where only files could tell and there are none.
        recordings: how many can be used.
        samples: how many they give.
        size: bytes of those recordings.
        rejected: the files that cannot be used, with the reasons.
        missing: why the source gives no sample; empty if it does.
    """

    name: str
    entry: CatalogEntry
    folder: Path | None
    geometry: tuple[int, int] | None
    recordings: int = 0
    samples: int = 0
    size: int = 0
    rejected: tuple[Rejected, ...] = ()
    missing: str = ""


def describe_sources(data_root: Path) -> list[SourceRow]:
    """One row a dataset of the catalog, in alphabetical order; what is missing is said, not raised."""
    return [_describe(name, entry, data_root) for name, entry in load_catalog().items()]


def _describe(name: str, entry: CatalogEntry, data_root: Path) -> SourceRow:
    folder = None if entry.folder is None else data_root / entry.folder
    try:
        source = read_entry(name, entry, data_root)
    except SourceError as error:
        reason = error.message.removeprefix(f"source `{name}`: ")
        return SourceRow(name, entry, folder, entry.geometry, missing=reason)
    return SourceRow(
        name,
        entry,
        folder,
        source.geometry if source.recordings else entry.geometry,
        len(source.recordings),
        len(source.samples),
        source.size,
        source.rejected,
        complaint(source),
    )
