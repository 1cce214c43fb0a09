"""Fetch published weights: download, check, register, remember the digest."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hqgen.download import download, require_online
from hqgen.errors import DownloadError, HqgenError, MethodError
from hqgen.files import held, sha256_file, weights_folder, write_atomically
from hqgen.methods.learned.network import NetworkMethod
from hqgen.methods.published import PublishedWeights
from hqgen.methods.registration import add_weights
from hqgen.methods.registry import parse_method
from hqgen.methods.weights import WeightsEntry, read_registry
from hqgen.progress import SILENT, Observer
from hqgen.text import count

PARTS = ".fetching"
"""The folder of unfinished downloads, inside that of the weights."""

PINS = "pinned.json"
"""The digests of files without a published one, by address, as they were at the first download."""


@dataclass(frozen=True)
class Fetched:
    """What became of one file.

    Attributes:
        method: that it is for, as users type it.
        origin: who publishes it; empty for weights that were there and are not those of the catalog.
        address: where; of such weights, what was said when they were added.
        file: the registered file; None if there is none.
        sha256: its digest.
        downloaded: whether this call downloaded it; otherwise it was there already.
        problem: why there is none.
    """

    method: str
    origin: str
    address: str
    file: Path | None
    sha256: str | None
    downloaded: bool
    problem: str | None = None


def fetch_weights(
    published: Iterable[PublishedWeights],
    *,
    keep: bool = True,
    folder: str | Path | None = None,
    observer: Observer = SILENT,
) -> list[Fetched]:
    """Download files of the catalog and register each for its method; one that fails stops no other.

    The licences are shown before the first download.

    Args:
        published: the files, each for another method or variant.
        keep: leave a method alone that has sound weights already, whoever published them; otherwise only one
            that has those of the same address.
        folder: see `weights_folder`.
        observer: gets the progress, the licences and pinned digests.

    Raises:
        DownloadError: offline, and not all is here already.
        MethodError: the registry cannot be read, or another process fetches into the same folder.
    """
    target = weights_folder(folder)
    plan = [(entry, _present(entry, target, keep)) for entry in published]
    if all(present for _, present in plan):
        return [_fetched(entry, present, False) for entry, present in plan if present]
    wanted = [entry for entry, present in plan if present is None]
    require_online(count(len(wanted), "file") + " of weights")
    _show_licences(wanted, target, observer)
    with held(target / PARTS / "lock", target, "download", MethodError):
        return [
            _fetched(entry, present, False) if present else _attempt(entry, target, observer)
            for entry, present in plan
        ]


def _present(published: PublishedWeights, folder: Path, keep: bool) -> WeightsEntry | None:
    """The sound registered weights that need no download, or None."""
    entry = read_registry(folder).get(_method(published).weights_name)
    if entry is None or not (keep or entry.source == published.address):
        return None
    return entry if entry.file.is_file() and sha256_file(entry.file) == entry.sha256 else None


def _method(published: PublishedWeights) -> NetworkMethod:
    method = parse_method(published.method)
    if not isinstance(method, NetworkMethod):
        raise MethodError(f"the method `{published.method}` of the catalog takes no weights")
    return method


def _show_licences(wanted: Iterable[PublishedWeights], folder: Path, observer: Observer) -> None:
    licences: dict[str, list[str]] = {}
    for entry in wanted:
        licences.setdefault(entry.licence, []).append(f"{entry.method} ({entry.origin})")
    observer.note(f"published weights go to `{folder}`; their licences:")
    for licence, methods in licences.items():
        observer.note(f"  {licence}: {', '.join(methods)}")


def _attempt(published: PublishedWeights, folder: Path, observer: Observer) -> Fetched:
    try:
        return _fetched(published, _fetch(published, folder, observer), True)
    except HqgenError as error:
        problem = f"{error.message} ({error.hint})" if error.hint else error.message
        return Fetched(published.method, published.origin, published.address, None, None, False, problem)


def _fetched(published: PublishedWeights, entry: WeightsEntry, downloaded: bool) -> Fetched:
    origin = published.origin if entry.source == published.address else ""
    return Fetched(published.method, origin, entry.source, entry.file, entry.sha256, downloaded)


def _fetch(published: PublishedWeights, folder: Path, observer: Observer) -> WeightsEntry:
    method = _method(published)
    name = Path(urlsplit(published.address).path).name
    file = folder / PARTS / f"{method.weights_name}-{published.origin}-{name}"
    download(published, file, observer=observer)
    pins = folder / PINS
    known, found = _pinned(pins), sha256_file(file)
    if published.address in known and known[published.address] != found:
        raise DownloadError(
            f"`{published.address}` has changed since its first download: its sha256 is {found}, and was "
            f"{known[published.address]}",
            hint=f"if you trust the new file, remove its line from `{pins}`",
        )
    entry = add_weights(
        file,
        method,
        licence=published.licence,
        source=published.address,
        brightness=published.brightness,
        folder=folder,
    )
    if not published.has_digest and published.address not in known:
        write_atomically(pins, json.dumps(known | {published.address: found}, indent=1) + "\n")
        observer.note(f"{published.method}: no digest is published, so the one of today is kept: {found}")
    file.unlink()
    return entry


def _pinned(path: Path) -> dict[str, str]:
    """The digests by address in the file of pins; empty without one."""
    try:
        return dict(json.loads(path.read_text())) if path.exists() else {}
    except (OSError, ValueError, TypeError) as error:
        raise MethodError(f"cannot read `{path}`: {error}", hint="remove the file") from error
