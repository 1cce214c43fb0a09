"""Which files of a folder are recordings and ground truth of a source; no file is opened."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from hqgen.sources.catalog import SourceSettings
from hqgen.sources.recordings import Rejected

Order = Literal["path", "number"]

_WILDCARDS = {"**/": "(?:[^/]+/)*", "*": "[^/]*", "?": "[^/]"}


@dataclass(frozen=True, slots=True)
class Found:
    """A file, by its path relative to the folder of the source, and its split."""

    path: str
    split: str | None


@dataclass(slots=True)
class Listing:
    """The files of a source: recordings and ground truth in order, and unusable files."""

    recordings: list[Found] = field(default_factory=list)
    truth: list[Found] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


def find_files(settings: SourceSettings, folder: Path) -> Listing:
    """Sort the files below `folder` into recordings, ground truth and unusable files.

    Links are followed; hidden files and folders are skipped. A folder with the name of a recording is listed
    as one, so that the error of opening it is reported.
    """
    rows = [
        _Row(row.split, _compile(row.recordings), _compile(row.truth), row.numbers) for row in settings.layout
    ]
    listing = Listing()
    for path in _walk(str(folder), "", _depth(settings), (), settings.suffixes, listing.rejected):
        _sort_in(path, rows, settings.suffixes, listing)
    for found in (listing.recordings, listing.truth):
        found.sort(key=lambda item: _place(item.path, by_number=settings.order == "number"))
    return listing


def in_order(paths: Iterable[str], order: Order) -> list[str]:
    """Paths of recordings in the order of their source: by path, or by the last number in their name."""
    return sorted(paths, key=lambda path: _place(path, by_number=order == "number"))


def stem(path: str) -> str:
    """The name of a file without its folders and ending."""
    return path.rpartition("/")[2].rpartition(".")[0]


class _Row(NamedTuple):
    """A row of the layout with compiled patterns."""

    split: str | None
    recordings: re.Pattern[str]
    truth: re.Pattern[str]
    numbers: tuple[int, int] | None


def _compile(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for all patterns; without patterns it never matches."""
    return re.compile("|".join(map(_translate, patterns)) or r"(?!)")


def _translate(pattern: str) -> str:
    tokens = re.findall(r"\*\*/|\*|\?|[^*?]+", pattern)
    return "".join(_WILDCARDS.get(token) or re.escape(token) for token in tokens)


def _depth(settings: SourceSettings) -> int | None:
    """Levels of folders that the patterns reach; None for any number."""
    patterns = [pattern for row in settings.layout for pattern in (*row.recordings, *row.truth)]
    return None if any("**/" in pattern for pattern in patterns) else max(p.count("/") for p in patterns)


def _walk(
    folder: str,
    prefix: str,
    depth: int | None,
    above: tuple[tuple[int, int], ...],
    suffixes: tuple[str, ...],
    rejected: list[Rejected],
) -> Iterator[str]:
    """Paths of the files below `folder`, and of directories named like recordings.

    `above` holds the identities of the folders above: a link to one of them is not followed.
    """
    try:
        status = Path(folder).stat()
        if (identity := (status.st_dev, status.st_ino)) in above:
            return
        with os.scandir(folder) as entries:
            children = [(entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        rejected.append(Rejected(prefix, f"the folder cannot be read: {error.strerror or error}"))
        return
    for name, is_folder in children:
        path = prefix + name
        if not _is_text(name):
            shown = os.fsencode(path).decode(errors="backslashreplace")
            rejected.append(Rejected(shown, "its name is not valid UTF-8, so it cannot have a key"))
        elif not is_folder or name.lower().endswith(suffixes):
            yield path
        elif depth is None or path.count("/") < depth:
            below = (*above, identity)
            yield from _walk(f"{folder}/{name}", f"{path}/", depth, below, suffixes, rejected)


def _is_text(name: str) -> bool:
    """Whether a file name is valid UTF-8; Python turns invalid bytes into lone surrogates."""
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)


def _sort_in(path: str, rows: list[_Row], suffixes: tuple[str, ...], listing: Listing) -> None:
    if not path.lower().endswith(suffixes):
        row = next((row for row in rows if row.truth.fullmatch(path)), None)
        if row is not None:
            listing.truth.append(Found(path, row.split))
        return
    candidates = [row for row in rows if row.recordings.fullmatch(path.rpartition(".")[0])]
    number = _number(path)
    for row in candidates:
        if row.numbers is None or (number is not None and row.numbers[0] <= number <= row.numbers[1]):
            listing.recordings.append(Found(path, row.split))
            return
    if candidates:
        what = "no number" if number is None else f"the number {number}"
        listing.rejected.append(Rejected(path, f"its name has {what}, which does not belong to a split"))


def _number(path: str) -> int | None:
    """The last number in the file's name: 4144 for `helicopter_04144.npz`."""
    digits = re.findall(r"[0-9]+", stem(path))
    return int(digits[-1]) if digits else None


def _place(path: str, *, by_number: bool) -> tuple[float, list[str | int], str]:
    """Sort key: the number if wanted, then the path, with its numbers compared as numbers."""
    parts: list[str | int] = list(re.split(r"([0-9]+)", path))
    parts[1::2] = map(int, parts[1::2])
    number = _number(path) if by_number else 0
    return (float("inf") if number is None else number, parts, path)
