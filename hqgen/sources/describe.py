"""Which datasets of the catalog are there, and how to get the others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hqgen.errors import SourceError
from hqgen.sources.catalog import CatalogEntry, load_catalog
from hqgen.sources.recordings import Rejected
from hqgen.sources.resolve import complaint, read_entry


@dataclass(frozen=True, slots=True)
class SourceRow:
    """The state of one dataset of the catalog.

    Attributes:
        name: what users type.
        entry: of the catalog; its `obtain` says how to get the files.
        folder: where the files are expected; None if the dataset needs no files.
        geometry: (H, W); None if only missing files could say it.
        recordings: number of usable recordings.
        samples: number of their samples.
        size: bytes of those recordings.
        rejected: the files that cannot be used, with the reasons.
        missing: why the source gives no samples; empty if it does.
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
    """One row per dataset of the catalog, in alphabetical order; a missing dataset is not an error."""
    return [_describe(name, entry, data_root) for name, entry in load_catalog().items()]


def _describe(name: str, entry: CatalogEntry, data_root: Path) -> SourceRow:
    folder = None if entry.folder is None else data_root / entry.folder
    try:
        source = read_entry(name, entry, data_root)
    except SourceError as error:
        reason = error.message.removeprefix(f"source `{name}`: ")
        return SourceRow(name, entry, folder, entry.described_camera.geometry, missing=reason)
    return SourceRow(
        name,
        entry,
        folder,
        source.geometry if source.recordings else entry.described_camera.geometry,
        len(source.recordings),
        len(source.samples),
        source.size,
        source.rejected,
        complaint(source),
    )
