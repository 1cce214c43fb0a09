"""Run shards, in this process or on a Dask cluster, and give back their records as they complete.

On a cluster every shard is up to four tasks: one leg for each kind of worker, one for what the store holds
already, then the commit. The client hands out a bounded number of shards at a time: tasks with resources are
not queued by the scheduler, so all of them at once would pile up on one worker.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hqgen.builder import cluster
from hqgen.builder.jobs import ShardJob
from hqgen.builder.legs import ShardLeg, commit, run_leg
from hqgen.builder.output import Output
from hqgen.builder.plan import PlannedBuild, Shard
from hqgen.builder.scoring import Scoring
from hqgen.builder.settings import BuildSettings
from hqgen.decision import Decider
from hqgen.errors import BuildError, HqgenError, MethodError
from hqgen.interrupt import Stop
from hqgen.manifest import ShardRecord
from hqgen.provenance import short_digest
from hqgen.sources.recordings import FileRecording

if TYPE_CHECKING:
    from distributed import Client, Future


@dataclass(frozen=True)
class Failure:
    """A shard that could not be completed; it stays missing, and a later run tries it again."""

    shard: Shard
    error: BaseException


Executor = Callable[[Iterable[ShardJob], Stop], Iterator[ShardRecord | Failure]]
"""Runs jobs until they are done or the user asked to stop; results come in the order of completion."""


def _run_here(
    output: Output, scoring: Scoring, decider: Decider, jobs: Iterable[ShardJob], stop: Stop
) -> Iterator[ShardRecord | Failure]:
    """Run every shard in this process, one after the other."""
    for job in jobs:
        if stop.asked:
            return
        try:
            results = [run_leg(job.shard, leg, scoring, output) for leg in job.legs]
            yield commit(output, job.shard, decider, *results)
        except (HqgenError, OSError, MemoryError) as error:
            yield Failure(job.shard, error)


@dataclass
class DaskExecutor:
    """Runs shards on the workers of a Dask client.

    Attributes:
        client: connected to a scheduler that has workers.
        output: reachable by every worker under the same path.
        scoring: makes and measures candidates.
        decider: picks the winners.
        gpu: whether `gpu` legs ask for the resource `GPU`.
        in_flight: shards handed out at a time.
    """

    client: Client
    output: Output
    scoring: Scoring
    decider: Decider
    gpu: bool
    in_flight: int
    _waiting: dict[Future, tuple[Shard, list[Future]]] = field(default_factory=dict)

    def run(self, jobs: Iterable[ShardJob], stop: Stop) -> Iterator[ShardRecord | Failure]:
        """See `Executor`."""
        from distributed import as_completed

        pending = iter(jobs)
        done = as_completed()
        try:
            for _ in range(self.in_flight):
                self._submit_next(pending, done, stop)
            for future in done:
                shard, legs = self._waiting.pop(future)
                yield self._outcome(future, shard)
                for leg in (*legs, future):
                    leg.release()
                self._submit_next(pending, done, stop)
        finally:
            self.client.cancel(list(self._waiting), force=True)
            self._waiting.clear()

    def _submit_next(self, pending: Iterator[ShardJob], done: Any, stop: Stop) -> None:
        job = None if stop.asked else next(pending, None)
        if job is None:
            return
        legs = [self._submit_leg(job.shard, leg) for leg in job.legs]
        key = self._key("commit", job.shard)
        future = self._submit(commit, self.output, job.shard, self.decider, *legs, key=key)
        self._waiting[future] = (job.shard, legs)
        done.add(future)

    def _submit_leg(self, shard: Shard, leg: ShardLeg) -> Future:
        resources = {"GPU": 1} if leg.kind == "gpu" and self.gpu else None
        key = self._key(f"{leg.kind}_leg", shard)
        return self._submit(run_leg, shard, leg, self.scoring, self.output, key=key, resources=resources)

    def _submit(self, function: Any, *arguments: Any, key: str, resources: Any = None) -> Future:
        return self.client.submit(function, *arguments, key=key, resources=resources, retries=1, pure=True)

    def _key(self, task: str, shard: Shard) -> str:
        # The output directory is part of the key: two builds of one plan may share a scheduler, and each
        # must write its own store.
        where = short_digest([str(self.output.root)])
        return f"{task}-{shard.plan_id}-{where}-{shard.source}-{shard.index:06d}"

    def _outcome(self, future: Future, shard: Shard) -> ShardRecord | Failure:
        from distributed import CancelledError, KilledWorker

        try:
            record: ShardRecord = future.result()
        except KilledWorker as error:
            text = f"{error.allowed_failures + 1} workers died of it; it may need more memory than they have"
            return Failure(shard, BuildError(f"shard {shard.index} of `{shard.source}`: {text}"))
        except (CancelledError, Exception) as error:  # noqa: BLE001 - whatever a task raised on its worker
            return Failure(shard, error)
        return record


@contextmanager
def open_executor(
    settings: BuildSettings, planned: PlannedBuild, jobs: Sequence[ShardJob], output: Output
) -> Iterator[Executor]:
    """The executor that the settings ask for, with no more workers than there are jobs.

    Raises:
        UsageError: `settings.scheduler` makes no sense.
        BuildError: the cluster cannot do the work: no scheduler, no workers, another version, unseen folders.
        MethodError: a GPU was asked for, and no worker has one.
    """
    if settings.scheduler == "sync":
        yield partial(_run_here, output, planned.scoring, planned.decider)
        return
    wants_gpu = settings.device != "cpu" and any(leg.kind == "gpu" for job in jobs for leg in job.legs)
    workers = min(settings.workers or os.cpu_count() or 1, len(jobs))
    with cluster.open_client(settings.scheduler, workers, gpu=wants_gpu) as client:
        if settings.scheduler != "local":
            cluster.check_paths(client, output, _some_file(planned))
        threads, has_gpu = cluster.capacity(client)
        if settings.device == "cuda" and wants_gpu and not has_gpu:
            raise MethodError("no worker has a GPU", hint="use `--device cpu` or `auto`")
        gpu = wants_gpu and has_gpu
        scoring, decider = planned.scoring, planned.decider
        yield DaskExecutor(client, output, scoring, decider, gpu, in_flight=2 * threads).run


def _some_file(planned: PlannedBuild) -> Path | None:
    """A recording that workers must be able to read."""
    sources = (source.source for source in planned.sources if source.source)
    recordings = (recording for source in sources for recording in source.recordings)
    return next((item.path for item in recordings if isinstance(item, FileRecording)), None)
