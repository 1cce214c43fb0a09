"""From what the user asked for to a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hqgen.builder.digests import digest_recordings
from hqgen.builder.near_duplicates import MotionRule, NearDuplicate, find_near_duplicates
from hqgen.builder.output import Output
from hqgen.builder.plan import PlannedBuild, Request, RequestedSource, make_plan
from hqgen.builder.readings import misread_recordings
from hqgen.builder.scoring import make_scoring
from hqgen.builder.settings import BuildSettings
from hqgen.decision import make_decider
from hqgen.errors import UsageError
from hqgen.methods.base import Method
from hqgen.methods.registry import default_ensemble, method_label, missing_methods, parse_methods
from hqgen.progress import Observer
from hqgen.sources.recordings import Rejected, SourceRecording
from hqgen.sources.resolve import resolve_sources
from hqgen.sources.source import Source
from hqgen.text import count

NAMED = 3
"""Files of a source that cannot be used, and that a build names; the others are counted."""


def resolve(settings: BuildSettings, observer: Observer) -> Request:
    """Find sources, methods, scorer, judges and rule; reads no recording and writes nothing.

    Raises:
        UsageError: a name or parameter that makes no sense, a rule whose judges are not asked for, or
            pictures that are too small for the least motion.
        SourceError: a source without usable recordings.
        MethodError: a method that was asked for by name cannot run here.
        ScoreError: the metric or a judge cannot run here, or refuses pictures of a source's size.
    """
    scoring = make_scoring(settings.metric, settings.judges)
    limits = settings.max_score, settings.min_consistency
    decider = make_decider(settings.rule, scoring.measures, *limits)
    found = resolve_sources(settings.sources, settings.data_root, settings.camera)
    sources = sorted(found, key=lambda source: source.name)
    names = [source.name for source in sources]
    for name in settings.source_methods:
        if name not in names:
            raise UsageError(
                f"methods are set for the source `{name}`, which is not built",
                hint=f"sources of this build: {', '.join(names)}",
            )
    special = {name: _parsed(text, settings) for name, text in settings.source_methods.items()}
    shared = () if len(special) == len(sources) else _shared_methods(settings, observer)
    motion = None if settings.min_motion is None else MotionRule(settings.min_motion)
    for source in sources:
        scoring.check_size(*source.geometry)
        if motion is not None:
            motion.check_size(source)
        note_rejected(source, source.rejected, observer)
    requested = (RequestedSource(source, special.get(source.name, shared)) for source in sources)
    return Request(tuple(requested), scoring, decider, settings.keep_candidates, settings.shard_size, motion)


def note_rejected(source: Source, rejected: Sequence[Rejected], observer: Observer) -> None:
    """Name the first few files of a source that cannot be used, with the reasons."""
    if not rejected:
        return
    observer.note(f"{source.name}: {count(len(rejected), 'file')} cannot be used")
    for item in rejected[:NAMED]:
        observer.note(f"  {item.path}: {item.reason}")
    if len(rejected) > NAMED:
        observer.note(f"  and {len(rejected) - NAMED:,} more: see `hqgen sources {source.asked_as}`")


def _shared_methods(settings: BuildSettings, observer: Observer) -> Sequence[Method]:
    """The methods of all sources that have none of their own in the settings."""
    if settings.methods is not None:
        return _parsed(settings.methods, settings)
    begun = Output(settings.out.absolute()).begun
    if (left_out := missing_methods()) and not begun:
        observer.note(f"not available (`hqgen methods` says why): {', '.join(left_out)}")
    methods = default_ensemble()
    if variants := [label for method in methods if (label := method_label(method)) != method.name]:
        observer.note(f"by the variant that has weights here: {', '.join(variants)}")
    return [method.on(settings.device) for method in methods]


def _parsed(text: str, settings: BuildSettings) -> Sequence[Method]:
    return [method.on(settings.device) for method in parse_methods(text)]


def without_misread(request: Request, work: Path, observer: Observer) -> Request:
    """Move recordings that are clearly misread from those of their source to the rejected ones.

    Args:
        request: what is asked for.
        work: the folder of the file that remembers verdicts, if it is there.
        observer: is shown the progress.

    Raises:
        UsageError: all recordings of a source are misread.
    """
    sources = [source for source, _ in request.sources]
    return _leave_out(request, misread_recordings(sources, work / "readings.json", observer), observer)


def plan_request(request: Request, cache: Path, observer: Observer) -> PlannedBuild:
    """Digest the recordings and make the plan.

    A recording that cannot be read is moved from its source's recordings to the rejected ones.

    Args:
        request: what is asked for.
        cache: the file of digests that are known already.
        observer: is shown the progress.
    """
    recordings = [recording for source, _ in request.sources for recording in source.recordings]
    total = sum(recording.size for recording in recordings)
    with observer.progress("reading recordings", total, "bytes") as job:
        digests, failed = digest_recordings(recordings, cache, advance=job.advance)
    request = without_near_duplicates(_leave_out(request, failed, observer), observer)
    return make_plan(request, digests.__getitem__)


def without_near_duplicates(request: Request, observer: Observer) -> Request:
    """Move near-duplicates from the samples of their source to `left_out`, if that is asked for.

    Args:
        request: what is asked for, with recordings that can be read.
        observer: is shown the progress, and how many are left out.
    """
    if request.motion is None:
        return request
    found = find_near_duplicates([source for source, _ in request.sources], request.motion, observer)
    for source, _ in request.sources:
        if lost := found[source.name]:
            observer.note(
                f"{source.name}: {len(lost):,} of {count(len(source.samples), 'key frame')} left out, "
                f"they move less than {request.motion.least:g} pixels"
            )
    usable = (RequestedSource(_thinned(source, found[source.name]), m) for source, m in request.sources)
    return replace(request, sources=tuple(usable), left_out=found)


def _thinned(source: Source, left_out: Sequence[NearDuplicate]) -> Source:
    lost = {item.sample for item in left_out}
    return replace(source, samples=tuple(sample for sample in source.samples if sample not in lost))


def _leave_out(request: Request, failed: Mapping[SourceRecording, str], observer: Observer) -> Request:
    for source, _ in request.sources:
        lost = [item for item in source.recordings if item in failed]
        note_rejected(source, [Rejected(item.name, failed[item]) for item in lost], observer)
    usable = (RequestedSource(_without(source, failed), methods) for source, methods in request.sources)
    return replace(request, sources=tuple(usable))


def _without(source: Source, failed: Mapping[SourceRecording, str]) -> Source:
    lost = [recording for recording in source.recordings if recording in failed]
    return replace(
        source,
        recordings=tuple(recording for recording in source.recordings if recording not in failed),
        samples=tuple(sample for sample in source.samples if sample.recording not in failed),
        rejected=(*source.rejected, *(Rejected(recording.name, failed[recording]) for recording in lost)),
    )
