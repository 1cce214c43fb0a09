"""What a build would do, before it does it: work, bytes, memory and time."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from hqgen.builder.digests import remembered_digests
from hqgen.builder.legs import BATCH, Shard, run_leg
from hqgen.builder.output import Output
from hqgen.builder.prepare import BuildSettings, Found, draft_plan, find
from hqgen.builder.run import missing_jobs
from hqgen.methods.base import Method
from hqgen.progress import Observer
from hqgen.sources.source import Source
from hqgen.spikes.packed import frame_bytes

__all__ = ["BuildEstimate", "SourceEstimate", "estimate"]

_WORKER_BYTES = 250_000_000
"""A worker process with its libraries and nothing to do (measured: 205 to 240 MB without torch)."""


@dataclass(frozen=True)
class SourceEstimate:
    """One source of a build that was not started.

    Attributes:
        name: the source's name.
        recordings: how many can be used.
        quarantined: how many cannot.
        samples, shards: in all.
        missing: shards that are not there yet; None where that cannot be told without reading recordings.
        read_bytes: of its recordings.
        store_bytes: of its images before compression.
        seconds: for one sample, by method, scoring included; measured just now on the first sample.
    """

    name: str
    recordings: int
    quarantined: int
    samples: int
    shards: int
    missing: int | None
    read_bytes: int
    store_bytes: int
    seconds: dict[str, float]


@dataclass(frozen=True)
class BuildEstimate:
    """A build that was not started.

    Attributes:
        sources: one entry each.
        workers: processes at work.
        worker_bytes: memory that one of them needs at most.
        seconds: for all missing shards, start-up apart.
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
    found = find(settings, observer)
    output = Output(settings.out.absolute())
    missing = _missing(found, output)
    rows = tuple(_row(source, found, missing) for source in found.sources)
    workers = 1 if settings.scheduler == "sync" else settings.workers or os.cpu_count() or 1
    return BuildEstimate(
        rows,
        workers,
        max(_worker_bytes(source, found) for source in found.sources),
        sum(_seconds(row, found.shard_size) for row in rows) / workers,
    )


def _missing(found: Found, output: Output) -> dict[str, int] | None:
    """Shards that are not there yet by source; None where digests of recordings are not known."""
    digests = remembered_digests(
        (item for source in found.sources for item in source.recordings), output.work / "blake3.json"
    )
    if digests is None:
        return None
    plan = draft_plan(found, digests.__getitem__)
    counts = dict.fromkeys((source.name for source in found.sources), 0)
    for job in missing_jobs(plan, found, output):
        counts[job.shard.source] += 1
    return counts


def _row(source: Source, found: Found, missing: dict[str, int] | None) -> SourceEstimate:
    height, width = source.geometry
    return SourceEstimate(
        name=source.name,
        recordings=len(source.recordings),
        quarantined=len(source.rejected),
        samples=len(source.samples),
        shards=-(-len(source.samples) // found.shard_size),
        missing=None if missing is None else missing[source.name],
        read_bytes=source.size,
        store_bytes=len(source.samples) * height * width,
        seconds={method.name: _time(source, method, found) for method in found.methods[source.name]},
    )


def _time(source: Source, method: Method, found: Found) -> float:
    """Seconds that a method takes for one sample; the second run of two, as the first loads and compiles."""
    height, width = source.geometry
    first = source.samples[:1]
    shard = Shard("", source.name, 0, 0, height, width, (method.name,), _weights(method), first)
    run_leg(shard, [method], found.judge)
    start = time.perf_counter()
    run_leg(shard, [method], found.judge)
    return time.perf_counter() - start


def _weights(method: Method) -> dict[str, str]:
    digest = method.weights_digest()
    return {method.name: digest} if digest else {}


def _worker_bytes(source: Source, found: Found) -> int:
    """Windows of a batch, images and candidates of a batch, and three shards of winners on their way."""
    height, width = source.geometry
    methods: Sequence[Method] = found.methods[source.name]
    span = max(method.span[0] for method in methods) + max(method.span[1] for method in methods) + 1
    batch = BATCH * (span * frame_bytes(height, width) + 5 * height * width)
    return _WORKER_BYTES + batch + 3 * found.shard_size * height * width


def _seconds(row: SourceEstimate, shard_size: int) -> float:
    samples = row.samples if row.missing is None else min(row.samples, row.missing * shard_size)
    return samples * sum(row.seconds.values())
