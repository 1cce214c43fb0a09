"""A build, from its settings to its manifest."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from hqgen.builder.check import withdraw_damaged
from hqgen.builder.earlier import FinishedSamples
from hqgen.builder.execute import Failure, open_executor
from hqgen.builder.finish import InterruptedBuildError, Outcome, finish, log_file, write_error
from hqgen.builder.jobs import ShardJob, missing_jobs
from hqgen.builder.output import Output
from hqgen.builder.plan import PlannedBuild, by_name, joined
from hqgen.builder.prepare import plan_request, resolve, without_misread
from hqgen.builder.settings import BuildSettings
from hqgen.errors import BuildError, HqgenError, MethodError, StoreError, UnreadableError
from hqgen.interrupt import stoppable
from hqgen.manifest import Plan, QuarantinedRecording, SourceFiles
from hqgen.progress import Observer
from hqgen.provenance import require_same
from hqgen.text import count

log = logging.getLogger(__name__)


def build(settings: BuildSettings, observer: Observer) -> Outcome:
    """Build the HQ store and its manifest, or what is missing of them.

    Raises:
        PlanMismatchError: the output directory holds a build of another plan.
        StoreError: it is in use, cannot be written, or holds something else.
        BuildError: shards that could not be completed; what was done is kept.
        InterruptedBuildError: the user asked to stop; what was done is kept.
        HqgenError: a name, a source, a method or a metric that cannot be used: see `resolve`.
    """
    started = datetime.now(UTC)
    request = resolve(settings, observer)
    output = Output(settings.out.absolute())
    try:
        with output.locked(), log_file(output, started):
            log.info("settings: %s", settings)
            if not settings.force:
                request = without_misread(request, output.work, observer)
            requested = plan_request(request, output.work / "blake3.json", observer)
            current = None if settings.existing == "overwrite" else _current(output, requested.plan)
            planned, healed = _admitted(settings, output, requested, current), tuple[str, ...]()
            if current is not None and output.has_records:
                healed = withdraw_damaged(output, current, observer, everything=settings.verify)
            return _build(settings, planned, output, observer, started, healed)
    except OSError as error:
        raise write_error(output, error) from error


def _build(
    settings: BuildSettings,
    planned: PlannedBuild,
    output: Output,
    observer: Observer,
    started: datetime,
    healed: tuple[str, ...],
) -> Outcome:
    plan = planned.plan
    finished = FinishedSamples(output, output.earlier(), retry=settings.existing == "retry")
    jobs = [job for source in planned.sources for job in missing_jobs(source, finished)]
    log.info("damaged: %s", healed)
    log.info("plan %s: %d shards are missing", plan.id, len(jobs))
    made = sum(job.to_make for job in jobs)
    taken = sum(len(job.shard.samples) for job in jobs) - made
    files = _files(output, planned)
    manifest = output.manifest()
    if jobs or healed or manifest is None or manifest.plan_id != plan.id or files != output.files():
        output.accept(plan, files)
        output.store.create(plan)
        if jobs:
            _run(settings, planned, jobs, output, observer)
        manifest = finish(plan, output, started)
    output.forget_earlier()
    return Outcome(manifest, output, made, taken, healed)


def _admitted(
    settings: BuildSettings, output: Output, requested: PlannedBuild, current: Plan | None
) -> PlannedBuild:
    """What to continue with, given what the output directory holds already."""
    if settings.existing == "overwrite":
        output.clear()
        return requested
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
            hint="`--existing resume` continues with it, `append` adds to it, `update` makes the plan that "
            "holds now, `overwrite` starts over",
        )
    if settings.existing == "append":
        return requested.within(joined(current, requested.plan))
    if settings.existing == "update":
        if current.id != requested.plan.id:
            output.set_aside()
        return requested
    if current.id != requested.plan.id:
        require_same(
            f"`{output.root}` holds a build of another plan",
            by_name(current),
            by_name(requested.plan),
            hint="make the plan that holds now with `--existing update`, add methods or sources with "
            "`--existing append`, or choose another `--out`",
        )
    return requested


def _current(output: Output, requested: Plan) -> Plan | None:
    """The plan of what is there; the requested one, if its document is lost and all records are of it."""
    try:
        current = output.plan()
    except StoreError:
        if not output.only_of(requested):
            raise
        return requested
    return requested if current is None and output.only_of(requested) else current


def _files(output: Output, planned: PlannedBuild) -> dict[str, SourceFiles]:
    """What there is on the disk for every source; for one that this run does not name, what there was."""
    found = [planned_source.source for planned_source in planned.sources if planned_source.source]
    return output.files() | {
        source.name: SourceFiles(
            folder=None if source.folder is None else str(source.folder),
            quarantined=tuple(
                QuarantinedRecording(path=item.path, reason=item.reason) for item in source.rejected
            ),
        )
        for source in found
    }


def _run(
    settings: BuildSettings, planned: PlannedBuild, jobs: list[ShardJob], output: Output, observer: Observer
) -> None:
    total = sum(len(source.samples) for source in planned.plan.sources)
    left = sum(len(job.shard.samples) for job in jobs)
    failures: list[Failure] = []
    message = "stopping: shards in flight are finished; interrupt again to stop at once"
    with (
        open_executor(settings, planned, jobs, output) as executor,
        stoppable(message) as stop,
        observer.progress("building", total, "samples", total - left) as progress,
    ):
        for result in executor(jobs, stop, progress.advance):
            if isinstance(result, Failure):
                failures.append(result)
                stop.asked = stop.asked or _ends_the_run(result.error)
            else:
                left -= len(result.samples)
    if failures:
        raise _failure(failures, output)
    if left:
        raise InterruptedBuildError(
            f"stopped with {total - left} of {total} samples done",
            hint="the same command continues from there",
        )


def _ends_the_run(error: BaseException) -> bool:
    """Whether the next shard would fail of the same thing: no space, a worker without the weights."""
    return isinstance(error, (OSError, MethodError)) and not isinstance(error, UnreadableError)


def _failure(failures: list[Failure], output: Output) -> HqgenError:
    first = failures[0]
    log.info("shards failed: %s", [(item.shard.source, item.shard.index, item.error) for item in failures])
    if isinstance(first.error, OSError):
        return write_error(output, first.error)
    where = f"shard {first.shard.index} of `{first.shard.source}`"
    what = first.error.message if isinstance(first.error, HqgenError) else repr(first.error)
    hint = first.error.hint if isinstance(first.error, HqgenError) else ""
    return BuildError(
        f"{count(len(failures), 'shard')} could not be completed; {where}: {what}",
        hint=hint or "what is done is kept; the same command tries the missing shards again",
    )
