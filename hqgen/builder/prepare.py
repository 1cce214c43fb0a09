"""From what the user asked for to a plan, and to what the plan's names stand for on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from hqgen.builder.digests import digest_recordings
from hqgen.builder.legs import Judge
from hqgen.builder.plan import SHARD_SIZE, make_plan
from hqgen.errors import UsageError
from hqgen.manifest import Plan
from hqgen.methods.base import Method
from hqgen.methods.registry import available_methods, default_ensemble, parse_methods
from hqgen.progress import Observer
from hqgen.quality.normalise import Normalisation
from hqgen.quality.scorers import get_scorer
from hqgen.sources.recordings import Rejected, SourceRecording
from hqgen.sources.resolve import resolve_sources
from hqgen.sources.source import Source

__all__ = ["BuildSettings", "Device", "Existing", "Found", "find", "plan_for"]

Existing = Literal["error", "resume", "append", "overwrite"]
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class BuildSettings:
    """What the user asked for.

    Attributes:
        sources: names of sources, as `resolve_sources` takes them.
        data_root: where the catalog's folders lie.
        out: receives `hq.zarr` and `manifest.json`.
        methods: as `parse_methods` takes them; None for every available one.
        source_methods: the same for single sources, instead of `methods`.
        metric: name of the scorer.
        existing: what to do where a build lies already.
        scheduler: `local`, `sync`, an address or a scheduler file.
        workers: processes of the local scheduler; None for one a core.
        device: where networks run.
        shard_size: samples in a shard.
    """

    sources: tuple[str, ...]
    data_root: Path
    out: Path
    methods: str | None = None
    source_methods: Mapping[str, str] = field(default_factory=dict)
    metric: str = "niqe"
    existing: Existing = "resume"
    scheduler: str = "local"
    workers: int | None = None
    device: Device = "auto"
    shard_size: int = SHARD_SIZE


@dataclass(frozen=True)
class Found:
    """What the names that the user gave stand for.

    Attributes:
        sources: in the order of their names.
        methods: by source, in rank order.
        judge: scorer and normalisation.
        shard_size: samples in a shard.
    """

    sources: tuple[Source, ...]
    methods: Mapping[str, Sequence[Method]]
    judge: Judge
    shard_size: int

    def method(self, source: str, name: str) -> Method:
        """A method of a source by its name."""
        return next(method for method in self.methods[source] if method.name == name)


def find(settings: BuildSettings, observer: Observer) -> Found:
    """Find sources, methods and scorer; reads no recording and writes nothing.

    Raises:
        UsageError: a name or parameter that makes no sense.
        SourceError: a source without usable recordings.
        MethodError: a method that was asked for by name cannot run here.
        ScoreError: the metric cannot run here, or refuses pictures of a source's size.
    """
    if settings.shard_size < 1 or (settings.workers is not None and settings.workers < 1):
        raise UsageError("`--workers` and the size of a shard are at least 1")
    judge = Judge(Normalisation(), get_scorer(settings.metric))
    sources = sorted(resolve_sources(settings.sources, settings.data_root), key=lambda source: source.name)
    for name in settings.source_methods:
        if name not in {source.name for source in sources}:
            raise UsageError(
                f"methods are set for the source `{name}`, which is not built",
                hint=f"sources of this build: {', '.join(source.name for source in sources)}",
            )
    ensembles = _ensembles(settings, [source.name for source in sources], observer)
    for source in sources:
        # A flat picture has no score, but one of a size that the metric refuses has an error.
        judge.scorer.score(np.zeros((1, *source.geometry), np.uint8))
    return Found(tuple(sources), ensembles, judge, settings.shard_size)


def _ensembles(
    settings: BuildSettings, names: Sequence[str], observer: Observer
) -> dict[str, Sequence[Method]]:
    own: dict[str, Sequence[Method]] = {
        name: _parsed(text, settings) for name, text in settings.source_methods.items()
    }
    rest = [name for name in names if name not in own]
    if not rest:
        return own
    if settings.methods is not None:
        shared: Sequence[Method] = _parsed(settings.methods, settings)
    else:
        left_out = [item.name for item in available_methods() if item.reason is not None]
        if left_out:
            observer.note(f"not available here (`hqgen methods` says why): {', '.join(left_out)}")
        shared = [method.on(settings.device) for method in default_ensemble()]
    return own | dict.fromkeys(rest, shared)


def _parsed(text: str, settings: BuildSettings) -> list[Method]:
    return [method.on(settings.device) for method in parse_methods(text)]


def plan_for(found: Found, cache: Path, observer: Observer) -> tuple[Plan, Found]:
    """Digest the recordings and make the plan.

    A recording that cannot be read is moved from its source's recordings to the rejected ones.

    Returns:
        The plan, and `found` with sources that hold just what the plan holds.
    """
    recordings = [recording for source in found.sources for recording in source.recordings]
    total = sum(recording.size for recording in recordings)
    with observer.progress("reading recordings", total, "bytes") as job:
        digests, failed = digest_recordings(recordings, cache, advance=job.advance)
    usable = replace(found, sources=tuple(_without(source, failed) for source in found.sources))
    return draft_plan(usable, digests.__getitem__), usable


def draft_plan(found: Found, digest: Callable[[SourceRecording], str]) -> Plan:
    """The plan, given a digest for every recording."""
    scorer = found.judge.scorer
    return make_plan(
        [(source, found.methods[source.name]) for source in found.sources],
        digest=digest,
        scorer={"name": scorer.name, "version": scorer.version, "parameters": scorer.parameters()},
        normalisation=found.judge.normalisation.parameters(),
        shard_size=found.shard_size,
    )


def _without(source: Source, failed: Mapping[SourceRecording, str]) -> Source:
    lost = [recording for recording in source.recordings if recording in failed]
    return replace(
        source,
        recordings=tuple(recording for recording in source.recordings if recording not in failed),
        samples=tuple(sample for sample in source.samples if sample.recording not in failed),
        rejected=(*source.rejected, *(Rejected(recording.name, failed[recording]) for recording in lost)),
    )
