"""Digests of recordings, remembered between runs by path, size and time of change."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hqgen.documents import read_sealed, write_sealed
from hqgen.errors import RecordingError
from hqgen.sources.recordings import FileRecording, SourceRecording

log = logging.getLogger(__name__)

_Entry = tuple[int, int, str]  # size, time of change in ns, BLAKE3


def digest_recordings(
    recordings: Iterable[SourceRecording],
    cache: Path,
    *,
    advance: Callable[[int], None],
) -> tuple[dict[SourceRecording, str], dict[SourceRecording, str]]:
    """Digest recordings, reading only those that changed since `cache` was written.

    Args:
        recordings: what to digest.
        cache: JSON file to remember the digests in.
        advance: called with the bytes of every recording when its digest is known.

    Returns:
        The digests; and the reasons of those recordings that could not be read.
    """
    known = _load(cache)
    fresh: dict[str, _Entry] = {}
    digests: dict[SourceRecording, str] = {}
    failed: dict[SourceRecording, str] = {}

    def digest(recording: SourceRecording) -> tuple[SourceRecording, str | None, str]:
        path, status = stamp(recording)
        try:
            value = _remembered(known, path, status) or recording.digest()
        except RecordingError as error:
            return recording, None, error.message
        if status:
            fresh[path] = (*status, value)
        return recording, value, ""

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # hashing and reading let the interpreter lock go
        for recording, value, reason in pool.map(digest, recordings):
            if value is None:
                failed[recording] = reason
            else:
                digests[recording] = value
            advance(recording.size)
    if fresh != known:
        write_sealed(cache, [json.dumps(fresh, indent=0, sort_keys=True), "\n"], within=cache.parent)
    return digests, failed


def remembered_digests(
    recordings: Iterable[SourceRecording], cache: Path
) -> dict[SourceRecording, str] | None:
    """Digests of all recordings without reading any file; None where one is not known."""
    known = _load(cache)
    digests: dict[SourceRecording, str] = {}
    for recording in recordings:
        is_file = isinstance(recording, FileRecording)
        value = _remembered(known, *stamp(recording)) if is_file else recording.digest()
        if value is None:
            return None
        digests[recording] = value
    return digests


def _remembered(known: dict[str, _Entry], path: str, status: tuple[int, int] | None) -> str | None:
    entry = known.get(path)
    return entry[2] if entry and entry[:2] == status else None


def stamp(recording: SourceRecording) -> tuple[str, tuple[int, int] | None]:
    """Path, and what changes with the content: size and time of change; None where there is not a file."""
    if not isinstance(recording, FileRecording):
        return recording.name, None
    try:
        status = recording.path.stat()
    except OSError:
        return str(recording.path), None
    return str(recording.path), (status.st_size, status.st_mtime_ns)


def _load(cache: Path) -> dict[str, _Entry]:
    try:
        return {path: (size, time, sha) for path, (size, time, sha) in json.loads(read_sealed(cache)).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, LookupError, TypeError):
        log.warning("the remembered digests in `%s` cannot be read; every recording is read again", cache)
        return {}
