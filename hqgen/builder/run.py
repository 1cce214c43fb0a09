"""A build, from its settings to its manifest."""

from __future__ import annotations

import errno
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from hqgen.builder import cluster
from hqgen.builder.execute import DaskExecutor, Executor, Failure, Job, SerialExecutor
from hqgen.builder.legs import Shard
from hqgen.builder.output import Output
from hqgen.builder.plan import by_name, contains, joined
from hqgen.builder.prepare import BuildSettings, Found, find, plan_for
from hqgen.errors import (
    BuildError,
    HqgenError,
    MethodError,
    StoreError,
    UnreadableError,
    UsageError,
)
from hqgen.interrupt import Stop, stoppable
from hqgen.manifest import (
    Manifest,
    MethodSpec,
    Plan,
    QuarantinedRecording,
    Record,
    ShardDigest,
    SourceFiles,
    SourceManifest,
    SourceSpec,
    Times,
)
from hqgen.methods.base import Leg, Method
from hqgen.methods.registry import get_method
from hqgen.progress import Observer
from hqgen.provenance import require_same
from hqgen.sources.recordings import FileRecording

__all__ = ["InterruptedBuildError", "Outcome", "build", "missing_jobs"]

log = logging.getLogger(__name__)

_SOFTWARE = ("hqgen", "numpy", "numba", "zarr", "dask", "torch")


class InterruptedBuildError(HqgenError):
    """The user stopped the build; what is done is kept."""

    exit_code = 130


@dataclass(frozen=True)
class Outcome:
    """A finished build: its manifest, where the manifest lies, and how many samples this run made."""

    manifest: Manifest
    output: Output
    made: int


def build(settings: BuildSettings, observer: Observer) -> Outcome:
    """Build the HQ store and its manifest, or what is missing of them.

    Raises:
        PlanMismatchError: the output directory holds a build of another plan.
        StoreError: it is in use, cannot be written, or holds something else.
        BuildError: shards that could not be completed; what was done is kept.
        InterruptedBuildError: the user asked to stop; what was done is kept.
        HqgenError: a name, a source, a method or a metric that cannot be used: see `find`.
    """
    started = datetime.now(UTC)
    found = find(settings, observer)
    output = Output(settings.out.absolute())
    try:
        with output.locked(), _log_file(output, started):
            log.info("settings: %s", settings)
            return _build(settings, found, output, observer, started)
    except OSError as error:
        raise _write_error(output, error) from error


def _build(
    settings: BuildSettings, found: Found, output: Output, observer: Observer, started: datetime
) -> Outcome:
    requested, found = plan_for(found, output.work / "blake3.json", observer)
    plan = _admitted(settings, output, requested)
    jobs = missing_jobs(plan, found, output)
    log.info("plan %s: %d shards are missing", plan.id, len(jobs))
    made = sum(len(job.shard.samples) for job in jobs)
    files = _files(output, found)
    manifest = output.manifest()
    if jobs or manifest is None or manifest.plan_id != plan.id or files != output.files():
        output.accept(plan, files)
        output.store.create(plan)
        _run(settings, plan, jobs, found, output, observer)
        output.store.finish(plan, output.records(plan))
        manifest = _manifest(plan, output, started)
        output.write_manifest(manifest)
    return Outcome(manifest, output, made)


def _admitted(settings: BuildSettings, output: Output, requested: Plan) -> Plan:
    """The plan to go on with, given what the output directory holds already."""
    if settings.existing == "overwrite":
        output.clear()
        return requested
    current = output.plan()
    if current is None:
        if output.store.path.exists():
            raise StoreError(
                f"`{output.store.path}` is there, but no plan of it in `{output.work}`",
                hint="choose another `--out`, or start over with `--existing overwrite`",
            )
        return requested
    if settings.existing == "error":
        raise StoreError(
            f"`{output.root}` holds a build already",
            hint="`--existing resume` goes on with it, `append` adds to it, `overwrite` starts over",
        )
    if settings.existing == "append":
        return joined(current, requested)
    if current.id != requested.id:
        require_same(
            f"`{output.root}` holds a build of another plan",
            by_name(current),
            by_name(requested),
            hint="choose another `--out`, add methods or sources with `--existing append`, or start over "
            "with `--existing overwrite`",
        )
    return current


def missing_jobs(plan: Plan, found: Found, output: Output) -> list[Job]:
    """What is to be done for every shard that is not complete, in the plan's order.

    Raises:
        UsageError: an appended plan needs a source that this run does not name.
    """
    return [job for spec in plan.sources for job in _source_jobs(plan, spec, found, output)]


def _source_jobs(plan: Plan, spec: SourceSpec, found: Found, output: Output) -> Iterator[Job]:
    part = plan.part(spec.name)
    plan_id = part.id
    for index in spec.shards(plan.shard_size):
        before = output.record_plan(spec.name, index)
        if before == plan_id:
            continue
        shard = _shard(plan_id, spec, index, plan.shard_size, found)
        methods = [_method(found, spec.name, method) for method in spec.methods]
        stored = _stored(output, part, before, shard, methods)
        done = stored[1] if stored else ()
        legs: dict[Leg, tuple[Method, ...]] = {}
        for method in methods:
            if method not in done:
                legs[method.leg] = (*legs.get(method.leg, ()), method)
        yield Job(shard, legs, stored)


def _stored(
    output: Output, part: Plan, before: str | None, shard: Shard, methods: list[Method]
) -> tuple[Record, tuple[Method, ...]] | None:
    """The record of a shard that was completed by a plan with fewer methods, and those methods."""
    earlier = None if before is None else output.part(before)
    if earlier is None or not contains(part, earlier):
        return None
    names = {method.name for method in earlier.sources[0].methods}
    kept = tuple(method for method in methods if method.name in names)
    return output.record(shard.source, shard.index), kept


def _shard(plan_id: str, spec: SourceSpec, index: int, size: int, found: Found) -> Shard:
    source = next((source for source in found.sources if source.name == spec.name), None)
    if source is None:
        raise UsageError(
            f"the source `{spec.name}` is not complete, and this run does not name it",
            hint="name it in `--sources`, too",
        )
    start = index * size
    return Shard(
        plan_id=plan_id,
        source=spec.name,
        index=index,
        start=start,
        height=spec.height,
        width=spec.width,
        methods=tuple(method.name for method in spec.methods),
        weights={method.name: method.weights for method in spec.methods if method.weights},
        samples=source.samples[start : start + size],
    )


def _method(found: Found, source: str, spec: MethodSpec) -> Method:
    """The method that a plan names: as this run has it, or, for one that is only in the store, made anew."""
    for method in found.methods.get(source, ()):
        if method.name == spec.name:
            return method
    return get_method(spec.name, **spec.parameters)


def _files(output: Output, found: Found) -> dict[str, SourceFiles]:
    """What there is on the disk for every source; for one that this run does not name, what there was."""
    now = {
        source.name: SourceFiles(
            folder=None if source.folder is None else str(source.folder),
            quarantined=tuple(
                QuarantinedRecording(path=item.path, reason=item.reason) for item in source.rejected
            ),
        )
        for source in found.sources
    }
    return output.files() | now


def _run(
    settings: BuildSettings, plan: Plan, jobs: list[Job], found: Found, output: Output, observer: Observer
) -> None:
    if not jobs:
        return
    total = sum(len(source.samples) for source in plan.sources)
    left = sum(len(job.shard.samples) for job in jobs)
    stop = Stop()
    failures: list[Failure] = []
    message = "stopping: shards in flight are finished; interrupt again to stop at once"
    with (
        _executor(settings, jobs, found, output) as executor,
        stoppable(stop, message),
        observer.progress("building", total, "samples", total - left) as progress,
    ):
        for result in executor.run(jobs, stop):
            if isinstance(result, Failure):
                failures.append(result)
                stop.asked = stop.asked or _ends_the_run(result.error)
            else:
                left -= len(result.samples)
                progress.advance(len(result.samples))
    if failures:
        raise _failure(failures, output)
    if left:
        raise InterruptedBuildError(
            f"stopped with {total - left} of {total} samples done",
            hint="the same command goes on from there",
        )


def _ends_the_run(error: BaseException) -> bool:
    """Whether the next shard would fail of the same thing: no space, a worker without the weights."""
    return isinstance(error, (OSError, MethodError)) and not isinstance(error, UnreadableError)


def _failure(failures: list[Failure], output: Output) -> HqgenError:
    first = failures[0]
    log.info("shards failed: %s", [(item.shard.source, item.shard.index, item.error) for item in failures])
    if isinstance(first.error, OSError):
        return _write_error(output, first.error)
    where = f"shard {first.shard.index} of `{first.shard.source}`"
    what = first.error.message if isinstance(first.error, HqgenError) else repr(first.error)
    hint = first.error.hint if isinstance(first.error, HqgenError) else ""
    return BuildError(
        f"{len(failures)} shards could not be completed; {where}: {what}",
        hint=hint or "what is done is kept; the same command tries the missing shards again",
    )


def _write_error(output: Output, error: OSError) -> StoreError:
    space = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return StoreError(
        f"`{error.filename or output.root}` cannot be written: {error.strerror or error}",
        hint=("free some space there, or choose another `--out`; " if space else "")
        + "what is done is kept, and the same command goes on from there",
    )


@contextmanager
def _executor(settings: BuildSettings, jobs: list[Job], found: Found, output: Output) -> Iterator[Executor]:
    wants_gpu = settings.device != "cpu" and any("gpu" in job.legs for job in jobs)
    if settings.scheduler == "sync":
        yield SerialExecutor(output, found.judge)
        return
    if settings.scheduler == "local":
        gpu = wants_gpu and cluster.has_local_gpu()
        workers = min(settings.workers or os.cpu_count() or 1, len(jobs))
        context = cluster.local_client(workers, gpu=gpu)
    else:
        context = cluster.connect(settings.scheduler)
    with context as client:
        if settings.scheduler != "local":
            cluster.check_paths(client, output, _some_file(found))
            gpu = wants_gpu and cluster.has_gpu_worker(client)
        if settings.device == "cuda" and wants_gpu and not gpu:
            raise MethodError("no worker has a GPU", hint="use `--device cpu` or `auto`")
        yield DaskExecutor(client, output, found.judge, gpu, in_flight=2 * cluster.worker_threads(client))


def _some_file(found: Found) -> Path | None:
    recordings = (item for source in found.sources for item in source.recordings)
    return next((item.path for item in recordings if isinstance(item, FileRecording)), None)


def _manifest(plan: Plan, output: Output, started: datetime) -> Manifest:
    records = output.records(plan)
    files = output.files()
    finished = datetime.now(UTC)
    return Manifest(
        plan_id=plan.id,
        store=output.store.path.name,
        software={name: version(name) for name in _SOFTWARE} | {"python": platform.python_version()},
        plan=plan,
        sources=tuple(
            _source_manifest(source, plan.shard_size, records, files[source.name]) for source in plan.sources
        ),
        times=Times(
            started=started.isoformat(timespec="seconds"),
            finished=finished.isoformat(timespec="seconds"),
            seconds=round((finished - started).total_seconds(), 3),
        ),
    )


def _source_manifest(
    source: SourceSpec,
    shard_size: int,
    records: Iterator[Record],
    files: SourceFiles,
) -> SourceManifest:
    own = [next(records) for _ in source.shards(shard_size)]
    return SourceManifest(
        name=source.name,
        folder=files.folder,
        shards=tuple(ShardDigest(shard=item.shard, images_blake3=item.images_blake3) for item in own),
        quarantined_recordings=files.quarantined,
        samples=tuple(sample for record in own for sample in record.samples),
    )


@contextmanager
def _log_file(output: Output, started: datetime) -> Iterator[None]:
    """Keep what this run logs in a file of its own."""
    folder = output.work / "logs"
    folder.mkdir(exist_ok=True)
    handler = logging.FileHandler(folder / f"{started:%Y%m%dT%H%M%S}-{os.getpid()}.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("hqgen")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    except BaseException:
        log.info("the build ended early", exc_info=True)
        raise
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()
