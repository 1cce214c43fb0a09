"""Whether recordings are read as they were written; what was found is remembered between runs."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

from hqgen.builder.digests import stamp
from hqgen.documents import read_sealed, write_sealed
from hqgen.errors import HqgenError, UsageError
from hqgen.progress import Observer
from hqgen.provenance import document_id
from hqgen.sources.recordings import FileRecording, SourceRecording
from hqgen.sources.samples import Sample
from hqgen.sources.source import Source
from hqgen.spikes.plausibility import check, upside_down
from hqgen.text import count, first

log = logging.getLogger(__name__)

_Entry = tuple[int, int, str, str, str]  # size, time of change in ns, id of the camera, verdict, reason
VERSION = 1
"""Goes up by one when the check could come to another verdict."""

ARCHIVES = (".npz", ".mat")
ONE_IN = 16
"""One archive in so many is checked: each must be decoded whole, a tenth of the work on one sample.

Their header states the geometry, and one program has written the axes of all.
"""

SHOWN = 3
"""Recordings in doubt that are named; the rest is counted."""


def misread_recordings(
    sources: Sequence[Source], cache: Path, observer: Observer
) -> dict[SourceRecording, str]:
    """Check the first window of recordings, of those that changed since `cache` was written.

    All raw files and plain arrays are checked, and of archives one in 16: all of them if one is misread.

    Args:
        sources: with their recordings; ground truth, where there is some, shows what is upside down.
        cache: JSON file to remember the verdicts in, if its folder is there.
        observer: gets the progress.

    Returns:
        The recordings that are clearly misread, with the reason and the reading that fits.

    Raises:
        UsageError: all recordings of a source are.
    """
    known = _load(cache)
    fresh: dict[str, _Entry] = {}
    misread: dict[SourceRecording, str] = {}
    total = sum(recording.size for source in sources for recording in source.recordings)
    with observer.progress("checking recordings", total, "bytes") as job:
        for source in sources:
            found = _verdicts(source, known, job.advance)
            fresh |= {str(recording.path): entry for recording, entry in found.items()}
            misread |= _sorted_out(source, found)
    if fresh != known and cache.parent.is_dir():
        write_sealed(cache, [json.dumps(fresh, indent=0, sort_keys=True), "\n"], within=cache.parent)
    return misread


def _verdicts(
    source: Source, known: dict[str, _Entry], advance: Callable[[int], None]
) -> dict[FileRecording, _Entry]:
    """The verdicts on the files of a source: of many archives on a few, or on all if one is misread."""
    files = [item for item in source.recordings if isinstance(item, FileRecording)]
    archives = [item for item in files if item.path.suffix.lower() in ARCHIVES]
    later = {item for place, item in enumerate(archives) if place % ONE_IN}
    first_samples = {sample.recording: sample for sample in reversed(source.samples)}

    def verdict(recording: FileRecording) -> _Entry:
        return _verdict(recording, source, first_samples.get(recording), known)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = _mapped(pool, verdict, [item for item in files if item not in later], advance)
        if any(found[item][3] == "misread" for item in archives if item in found):
            found |= _mapped(pool, verdict, [item for item in files if item in later], advance)
        else:
            advance(sum(item.size for item in later))
    return found


def _mapped(
    pool: Executor,
    verdict: Callable[[FileRecording], _Entry],
    files: list[FileRecording],
    advance: Callable[[int], None],
) -> dict[FileRecording, _Entry]:
    found = {}
    for recording, entry in zip(files, pool.map(verdict, files), strict=True):
        found[recording] = entry
        advance(recording.size)
    return found


def _sorted_out(source: Source, found: dict[FileRecording, _Entry]) -> dict[SourceRecording, str]:
    """The recordings of a source that are misread; the user is warned of those in doubt."""
    wrong: dict[SourceRecording, str] = {
        recording: entry[4] for recording, entry in found.items() if entry[3] == "misread"
    }
    doubts = [f"`{item.name}`: {entry[4]}" for item, entry in found.items() if entry[3] == "doubtful"]
    if doubts:
        log.warning("source `%s`: may be misread: %s", source.name, "; ".join(first(doubts, SHOWN)))
    if wrong and len(wrong) == len(source.recordings):
        recording, reason = next(iter(wrong.items()))
        raise UsageError(
            f"source `{source.name}`: {count(len(wrong), 'recording')}, none read as it was written; "
            f"`{recording.name}`: {reason}",
            hint="describe the camera by flags or in `source.toml`: see docs/sources.md. `hqgen probe` shows "
            "the readings of a file, `--force` builds with the files as they are read now",
        )
    return wrong


def _verdict(
    recording: FileRecording, source: Source, sample: Sample | None, known: dict[str, _Entry]
) -> _Entry:
    path, status = stamp(recording)
    size, time = status or (0, 0)
    camera = document_id({"version": VERSION, **recording.camera.stated()})
    entry = known.get(path)
    if entry is not None and entry[:3] == (size, time, camera):
        return entry
    return (size, time, camera, *_examined(recording, source, sample))


def _examined(recording: FileRecording, source: Source, sample: Sample | None) -> tuple[str, str]:
    """Kind of the verdict, and its reason."""
    try:
        opened = recording.open()
        verdict = check(opened, recording.path)
        if verdict.kind == "misread":
            return "misread", f"{verdict.reason}; use `{verdict.proposal}`"
        truth = None if sample is None or verdict.kind != "fits" else source.truth(sample)
        if sample is not None and truth is not None and upside_down(opened, sample.centre, truth.light()):
            order = "bottom-up" if opened.camera.row_order == "top-down" else "top-down"
            return "misread", f"it is upside down beside its ground truth; use `--row-order {order}`"
    except HqgenError:
        return "unclear", ""  # the build itself says what cannot be read
    return verdict.kind, verdict.reason


def _load(cache: Path) -> dict[str, _Entry]:
    try:
        found = json.loads(read_sealed(cache))
        return {
            path: (size, time, camera, kind, why) for path, (size, time, camera, kind, why) in found.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, LookupError, TypeError):
        return {}  # every recording is checked again
