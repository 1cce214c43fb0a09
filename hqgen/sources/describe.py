"""Which datasets of the catalog are there, and how to get the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hqgen.errors import SourceError
from hqgen.sources.catalog import CatalogEntry, SourceSettings, load_catalog
from hqgen.sources.recordings import Rejected
from hqgen.sources.resolve import complaint, read_named


@dataclass(frozen=True, slots=True)
class SourceRow:
    """The state of one source.

    Attributes:
        name: what users type.
        entry: of the catalog, or what a folder's `source.toml` says; its `obtain` says how to get the files.
        folder: where the files are expected; None for a source without files, or a folder that is not there.
        geometry: (H, W); None if only missing files could say it.
        recordings: number of usable recordings.
        samples: number of their samples.
        size: bytes of those recordings.
        rejected: the files that cannot be used, with the reasons.
        missing: why the source gives no samples; empty if it does.
    """

    name: str
    entry: SourceSettings
    folder: Path | None
    geometry: tuple[int, int] | None
    recordings: int = 0
    samples: int = 0
    size: int = 0
    rejected: tuple[Rejected, ...] = ()
    missing: str = ""


def describe_sources(data_root: Path, names: Sequence[str] = ()) -> list[SourceRow]:
    """One row per source: those of the catalog in alphabetical order, or the named ones.

    A missing dataset is not an error.

    Args:
        data_root: the folder that holds the folders of the catalog.
        names: of the catalog, or `folder:PATH`; none for the whole catalog.

    Raises:
        UsageError: a name makes no sense, or a `source.toml` is wrong.
        UnknownNameError: a name is neither in the catalog nor `folder:PATH`.
    """
    return [_describe(name, data_root) for name in names or load_catalog()]


def _describe(name: str, data_root: Path) -> SourceRow:
    entry = load_catalog().get(name, SourceSettings())
    try:
        source = read_named(name, data_root)
    except SourceError as error:
        folder = data_root / entry.folder if isinstance(entry, CatalogEntry) and entry.folder else None
        reason = error.message.removeprefix(f"source `{name}`: ")
        return SourceRow(name, entry, folder, entry.described_camera.geometry, missing=reason)
    return SourceRow(
        name,
        source.entry,
        source.folder,
        source.geometry if source.recordings else source.entry.described_camera.geometry,
        len(source.recordings),
        len(source.samples),
        source.size,
        source.rejected,
        complaint(source),
    )
