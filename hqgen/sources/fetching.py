"""Fetch recordings of a dataset from public repositories."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hqgen.download import download, git_sha1
from hqgen.errors import SourceError, UnknownNameError
from hqgen.progress import SILENT, Observer
from hqgen.sources.catalog import CatalogEntry, Offer, OfferedFile, load_catalog


@dataclass(frozen=True)
class FetchedFile:
    """A file of a dataset that is here now; `downloaded`: by this call, not before."""

    path: Path
    downloaded: bool


def fetch_source(name: str, data_root: Path, *, observer: Observer = SILENT) -> list[FetchedFile]:
    """Download the files of a dataset that a program can fetch, and that are not here yet.

    What they are, and their licence, is shown first.

    Args:
        name: of the dataset.
        data_root: folder of the datasets; the files go into the dataset's own folder below.
        observer: gets the progress.

    Raises:
        UnknownNameError: there is no such dataset in the catalog.
        SourceError: it has no address that a program can use (the hint says how to get the files), or another
            file is in the place of one.
        DownloadError: a file cannot be downloaded.
    """
    entry = load_catalog().get(name)
    if entry is None:
        raise UnknownNameError("dataset", name, load_catalog())
    if entry.folder is None or not entry.fetch:
        raise SourceError(
            f"source `{name}`: no program can fetch its files", hint=" ".join(entry.obtain.split())
        )
    folder = data_root / entry.folder
    for offer in entry.fetch:
        observer.note(f"{name}: {offer.what}; licence: {offer.licence}")
    return [_fetch(offer, file, folder, observer) for offer in entry.fetch for file in offer.files]


def _fetch(offer: Offer, file: OfferedFile, folder: Path, observer: Observer) -> FetchedFile:
    target = folder / file.path
    if target.exists():
        if git_sha1(target) != file.git_sha1:
            raise SourceError(
                f"`{target}` is another file than the published one", hint="move it to another place"
            )
        return FetchedFile(target, False)
    download(offer.remote(file), target, observer=observer)
    return FetchedFile(target, True)


def what_can_be_fetched(entry: CatalogEntry) -> str:
    """Which parts of a dataset `fetch_source` gets, in words; empty if none."""
    return " and ".join(offer.what for offer in entry.fetch)
