"""What a build would do, before it does it: work, bytes, memory and time."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from hqgen.builder.digests import remembered_digests
from hqgen.builder.earlier import FinishedSamples
from hqgen.builder.jobs import ShardJob, missing_jobs
from hqgen.builder.legs import BATCH, run_methods
from hqgen.builder.output import Output
from hqgen.builder.plan import Request, Shard, make_plan, planned_methods
from hqgen.builder.prepare import resolve, without_misread, without_near_duplicates
from hqgen.builder.scoring import Scoring
from hqgen.builder.settings import BuildSettings, Existing
from hqgen.methods.base import Method
from hqgen.progress import Observer
from hqgen.sources.source import Source
from hqgen.spikes.packed import frame_bytes

_WORKER_BYTES = 250_000_000
"""A worker process with its libraries and nothing to do (measured: 205 to 240 MB without torch)."""


@dataclass(frozen=True)
class SourceEstimate:
    """One source of a build that was not started.

    Attributes:
        name: the source's name.
        recordings: how many can be used.
        quarantined: how many cannot.
        left_out: key frames that are near-duplicates, so they are not samples.
        samples, shards: in all.
        missing: shards that are not there yet; None where that is not known before recordings are read.
        to_make: samples that methods run on; the others are there, or are taken from an earlier build.
        read_bytes: of its recordings.
        store_bytes: of its images before compression.
        candidate_bytes: of its candidates before compression; 0 where they are not kept.
        seconds: for one sample, by method, scoring included; measured just now on the first sample.
    """

    name: str
    recordings: int
    quarantined: int
    left_out: int
    samples: int
    shards: int
    missing: int | None
    to_make: int
    read_bytes: int
    store_bytes: int
    candidate_bytes: int
    seconds: dict[str, float]


@dataclass(frozen=True)
class BuildEstimate:
    """A build that was not started.

    Attributes:
        sources: one entry each.
        workers: processes at work.
        worker_bytes: memory that one of them needs at most.
        seconds: for all samples that methods run on, start-up apart.
    """

    sources: tuple[SourceEstimate, ...]
    workers: int
    worker_bytes: int
    seconds: float


def estimate(settings: BuildSettings, observer: Observer) -> BuildEstimate:
    """Say what `build` would do; runs every method once on the first sample of every source.

    Raises:
        HqgenError: as `build`, for names, sources, methods and metrics that cannot be used.
    """
    request = resolve(settings, observer)
    output = Output(settings.out.absolute())
    if not settings.force:
        request = without_misread(request, output.work, observer)
    request = without_near_duplicates(request, observer)
    jobs = _missing_jobs(request, output, settings.existing)
    sources = tuple(
        _source_estimate(source, methods, request, missing)
        for (source, methods), missing in zip(request.sources, jobs, strict=True)
    )
    workers = 1 if settings.scheduler == "sync" else settings.workers or os.cpu_count() or 1
    return BuildEstimate(
        sources,
        workers,
        max(_worker_bytes(source, methods, request) for source, methods in request.sources),
        sum(source.to_make * sum(source.seconds.values()) for source in sources) / workers,
    )


def _missing_jobs(request: Request, output: Output, existing: Existing) -> list[list[ShardJob] | None]:
    """What is to be done for each source; None where digests of recordings are not known."""
    recordings = (item for source, _ in request.sources for item in source.recordings)
    digests = remembered_digests(recordings, output.work / "blake3.json")
    if digests is None:
        return [None] * len(request.sources)
    planned = make_plan(request, digests.__getitem__)
    builds = [*output.earlier(), output] if existing == "update" else output.earlier()
    finished = FinishedSamples(output, builds, retry=existing == "retry")
    return [list(missing_jobs(source, finished)) for source in planned.sources]


def _source_estimate(
    source: Source, methods: Sequence[Method], request: Request, jobs: Sequence[ShardJob] | None
) -> SourceEstimate:
    height, width = source.geometry
    return SourceEstimate(
        name=source.name,
        recordings=len(source.recordings),
        quarantined=len(source.rejected),
        left_out=len(request.left_out.get(source.name, ())),
        samples=len(source.samples),
        shards=-(-len(source.samples) // request.shard_size),
        missing=None if jobs is None else len(jobs),
        to_make=len(source.samples) if jobs is None else sum(job.to_make for job in jobs),
        read_bytes=source.size,
        store_bytes=len(source.samples) * height * width,
        candidate_bytes=request.keep_candidates * len(methods) * len(source.samples) * height * width,
        seconds={method.name: _time(source, method, request.scoring) for method in methods},
    )


def _time(source: Source, method: Method, scoring: Scoring) -> float:
    """Seconds that a method takes for one sample; the second run of two, as the first loads and compiles."""
    shard = Shard("", source.name, 0, 0, *source.geometry, (method.name,), source.samples[:1])
    methods = planned_methods([method])
    run_methods(shard, methods, scoring)
    start = time.perf_counter()
    run_methods(shard, methods, scoring)
    return time.perf_counter() - start


def _worker_bytes(source: Source, methods: Sequence[Method], request: Request) -> int:
    """Windows and images of a batch, and three shards of candidates and winners on their way."""
    height, width = source.geometry
    spans = [request.scoring.span, *(method.span for method in methods)]
    frames = max(before for before, _ in spans) + max(after for _, after in spans) + 1
    batch = BATCH * (frames * frame_bytes(height, width) + 5 * height * width)
    return _WORKER_BYTES + batch + 3 * request.shard_size * (len(methods) + 1) * height * width
