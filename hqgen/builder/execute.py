"""Run shards, in this process or on a Dask cluster, and give back their records as they complete.

On a cluster every shard is a handful of tasks: the pieces of a leg for each kind of worker, one for what the
store holds already, then the commit. The client hands out a bounded number of shards at a time: tasks with
resources are not queued by the scheduler, so all of them at once would pile up on one worker.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from hqgen.builder import cluster
from hqgen.builder.jobs import Pieces, SampleCount, ShardJob
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


Advance = Callable[[int], None]
"""Gets how many more samples have all their candidates; their shard may not be complete yet."""

Executor = Callable[[Iterable[ShardJob], Stop, Advance], Iterator[ShardRecord | Failure]]
"""Runs jobs until they are done or the user asked to stop; results come in the order of completion."""


def _run_here(
    output: Output,
    scoring: Scoring,
    decider: Decider,
    pieces: Pieces,
    jobs: Iterable[ShardJob],
    stop: Stop,
    advance: Advance,
) -> Iterator[ShardRecord | Failure]:
    """Run every shard in this process, one after the other."""
    for job in jobs:
        if stop.asked:
            return
        split, results = pieces.of(job), []
        count = SampleCount(split, advance)
        try:
            for leg, piece in split:
                results.append(run_leg(piece, leg, scoring))
                count.piece_done(piece)
            yield commit(output, job.shard, decider, *results)
        except (HqgenError, OSError, MemoryError) as error:
            yield Failure(job.shard, error)


@dataclass(frozen=True)
class _InFlight:
    """A shard that was handed out: the tasks of its pieces, and how many samples are done in all of them."""

    shard: Shard
    legs: dict[Future, Shard]
    count: SampleCount


@dataclass
class DaskExecutor:
    """Runs shards on the workers of a Dask client.

    Attributes:
        client: connected to a scheduler that has workers.
        output: reachable by every worker under the same path.
        scoring: makes and measures candidates.
        decider: picks the winners.
        gpu: whether `gpu` legs ask for the resource `GPU`.
        threads: of all workers together; twice as many pieces are handed out at a time.
        pieces: how shards are split.
    """

    client: Client
    output: Output
    scoring: Scoring
    decider: Decider
    gpu: bool
    threads: int
    pieces: Pieces
    _waiting: dict[Future, _InFlight] = field(default_factory=dict)  # by the task of the commit
    _done: SimpleQueue[Future] = field(default_factory=SimpleQueue)

    def run(self, jobs: Iterable[ShardJob], stop: Stop, advance: Advance) -> Iterator[ShardRecord | Failure]:
        """See `Executor`.

        Raises:
            BuildError: no worker that can do the work is left.
        """
        pending = iter(jobs)
        try:
            self._submit_some(pending, stop, advance)
            for future in self._finished(stop):
                if future not in self._waiting:
                    self._piece_done(future)
                    continue
                done = self._waiting.pop(future)
                result = self._outcome(future, done.shard)
                if isinstance(result, ShardRecord):
                    done.count.shard_done()
                yield result
                for task in (*done.legs, future):
                    task.release()
                self._submit_some(pending, stop, advance)
        finally:
            self.client.cancel(list(self._waiting), force=True)
            self._waiting.clear()

    def _finished(self, stop: Stop) -> Iterator[Future]:
        """Tasks as they end, until no shard is in flight, or the user asked to stop and nobody works."""
        watch = cluster.WorkerWatch(self.client, gpu=self.gpu)
        while self._waiting:
            with suppress(Empty):
                yield self._done.get(timeout=cluster.LOOK_EVERY)
            if not watch.somebody_works() and stop.asked:
                return

    def _piece_done(self, future: Future) -> None:
        for shard in self._waiting.values():
            if future in shard.legs and future.status == "finished":
                shard.count.piece_done(shard.legs[future])

    def _submit_some(self, pending: Iterator[ShardJob], stop: Stop, advance: Advance) -> None:
        """Hand out shards until their pieces are enough for all threads, and at least two shards."""
        while not stop.asked:
            pieces = sum(len(shard.legs) for shard in self._waiting.values())
            if len(self._waiting) >= 2 and pieces >= 2 * self.threads:
                return
            job = next(pending, None)
            if job is None:
                return
            self._submit_job(job, advance)

    def _submit_job(self, job: ShardJob, advance: Advance) -> None:
        split = self.pieces.of(job)
        legs = {self._submit_leg(piece, leg): piece for leg, piece in split}
        key = self._key("commit", job.shard)
        future = self._submit(commit, self.output, job.shard, self.decider, *legs, key=key)
        self._waiting[future] = _InFlight(job.shard, legs, SampleCount(split, advance))
        for task in (*legs, future):
            task.add_done_callback(self._done.put)

    def _submit_leg(self, piece: Shard, leg: ShardLeg) -> Future:
        resources = {"GPU": 1} if leg.kind == "gpu" and self.gpu else None
        key = self._key(f"{leg.kind}_leg", piece)
        return self._submit(run_leg, piece, leg, self.scoring, key=key, resources=resources)

    def _submit(self, function: Any, *arguments: Any, key: str, resources: Any = None) -> Future:
        return self.client.submit(function, *arguments, key=key, resources=resources, retries=1, pure=True)

    def _key(self, task: str, shard: Shard) -> str:
        # The output directory is part of the key: two builds of one plan may share a scheduler, and each
        # must write its own store.
        where = short_digest([str(self.output.root)])
        return f"{task}-{shard.plan_id}-{where}-{shard.source}-{shard.start:08d}-{len(shard.samples)}"

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
    """The executor that the settings ask for, with no more workers than there are samples.

    Raises:
        UsageError: `settings.scheduler` makes no sense.
        BuildError: the cluster cannot do the work: no scheduler, no workers, another version, unseen folders.
        MethodError: a GPU was asked for, and no worker has one.
    """
    wants_gpu = settings.device != "cpu" and any(leg.kind == "gpu" for job in jobs for leg in job.legs)
    if settings.scheduler == "sync":
        pieces = Pieces.for_work(jobs, 1, gpu=wants_gpu and cluster.has_local_gpu())
        yield partial(_run_here, output, planned.scoring, planned.decider, pieces)
        return
    workers = min(settings.workers or os.cpu_count() or 1, sum(len(job.shard.samples) for job in jobs))
    with cluster.open_client(settings.scheduler, workers, gpu=wants_gpu) as client:
        if settings.scheduler != "local":
            cluster.check_paths(client, output, _some_file(planned))
        threads, has_gpu = cluster.capacity(client)
        if settings.device == "cuda" and wants_gpu and not has_gpu:
            raise MethodError("no worker has a GPU", hint="use `--device cpu` or `auto`")
        gpu = wants_gpu and has_gpu
        # Workers of a cluster may use a GPU that they do not offer as a resource.
        pieces = Pieces.for_work(jobs, threads, gpu=gpu or (wants_gpu and settings.scheduler != "local"))
        yield DaskExecutor(client, output, planned.scoring, planned.decider, gpu, threads, pieces).run


def _some_file(planned: PlannedBuild) -> Path | None:
    """A recording that workers must be able to read."""
    sources = (source.source for source in planned.sources if source.source)
    recordings = (recording for source in sources for recording in source.recordings)
    return next((item.path for item in recordings if isinstance(item, FileRecording)), None)
