"""Run shards, in this process or on a Dask cluster, and give back their records as they complete.

On a cluster every shard is up to four tasks: one leg for each kind of worker, one for what the store holds
already, then the commit. The client hands out a bounded number of shards at a time: tasks with resources are
not queued by the scheduler, so all of them at once would pile up on one worker.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from hqgen.builder.legs import Judge, Shard, commit, run_leg, stored_leg
from hqgen.builder.output import Output
from hqgen.errors import BuildError, HqgenError
from hqgen.manifest import Record
from hqgen.methods.base import Leg, Method

if TYPE_CHECKING:
    from distributed import Client, Future

from hqgen.interrupt import Stop

__all__ = ["DaskExecutor", "Executor", "Failure", "Job", "SerialExecutor"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What is to be done for one shard.

    Attributes:
        shard: the shard.
        legs: methods to run, by the kind of worker.
        stored: record of what the store already holds, and the methods that are in it.
    """

    shard: Shard
    legs: dict[Leg, tuple[Method, ...]]
    stored: tuple[Record, tuple[Method, ...]] | None = None


@dataclass(frozen=True)
class Failure:
    """A shard that could not be completed; it stays missing, and a later run tries it again."""

    shard: Shard
    error: BaseException


class Executor(Protocol):
    """Runs jobs."""

    def run(self, jobs: Iterable[Job], stop: Stop) -> Iterator[Record | Failure]:
        """Run jobs until they are done or `stop` is set; results come in the order of completion."""


@dataclass(frozen=True)
class SerialExecutor:
    """Runs every shard in this process, one after the other."""

    output: Output
    judge: Judge

    def run(self, jobs: Iterable[Job], stop: Stop) -> Iterator[Record | Failure]:
        """See `Executor`."""
        for job in jobs:
            if stop.asked:
                return
            try:
                yield self._run(job)
            except (HqgenError, OSError, MemoryError) as error:
                yield Failure(job.shard, error)

    def _run(self, job: Job) -> Record:
        results = [run_leg(job.shard, methods, self.judge) for methods in job.legs.values()]
        if job.stored is not None:
            record, methods = job.stored
            results.append(stored_leg(self.output, job.shard, methods, self.judge, record))
        return commit(self.output, job.shard, *results)


@dataclass
class DaskExecutor:
    """Runs shards on the workers of a Dask client.

    Attributes:
        client: connected to a scheduler that has workers.
        output: reachable by every worker under the same path.
        judge: scorer and normalisation.
        gpu: whether `gpu` legs ask for the resource `GPU`.
        in_flight: shards handed out at a time.
    """

    client: Client
    output: Output
    judge: Judge
    gpu: bool
    in_flight: int
    _waiting: dict[Future, tuple[Shard, list[Future]]] = field(default_factory=dict)

    def run(self, jobs: Iterable[Job], stop: Stop) -> Iterator[Record | Failure]:
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

    def _submit_next(self, pending: Iterator[Job], done: Any, stop: Stop) -> None:
        job = None if stop.asked else next(pending, None)
        if job is None:
            return
        legs = [self._submit_leg(job, leg, methods) for leg, methods in job.legs.items()]
        if job.stored is not None:
            record, methods = job.stored
            arguments = (self.output, job.shard, methods, self.judge, record)
            legs.append(self._submit(stored_leg, *arguments, key=self._key("stored_leg", job.shard)))
        future = self._submit(commit, self.output, job.shard, *legs, key=self._key("commit", job.shard))
        self._waiting[future] = (job.shard, legs)
        done.add(future)

    def _submit_leg(self, job: Job, leg: Leg, methods: Sequence[Method]) -> Future:
        resources = {"GPU": 1} if leg == "gpu" and self.gpu else None
        key = self._key(f"{leg}_leg", job.shard)
        return self._submit(run_leg, job.shard, methods, self.judge, key=key, resources=resources)

    def _submit(self, function: Any, *arguments: Any, key: str, resources: Any = None) -> Future:
        return self.client.submit(function, *arguments, key=key, resources=resources, retries=1, pure=True)

    def _key(self, task: str, shard: Shard) -> str:
        # The output directory is part of the key: two builds of one plan may share a scheduler, and each
        # must write its own store.
        where = hashlib.sha256(str(self.output.root).encode()).hexdigest()[:8]
        return f"{task}-{shard.plan_id}-{where}-{shard.source}-{shard.index:06d}"

    def _outcome(self, future: Future, shard: Shard) -> Record | Failure:
        from distributed import CancelledError, KilledWorker

        try:
            record: Record = future.result()
        except KilledWorker as error:
            text = f"{error.allowed_failures + 1} workers died of it; it may need more memory than they have"
            return Failure(shard, BuildError(f"shard {shard.index} of `{shard.source}`: {text}"))
        except CancelledError as error:
            return Failure(shard, error)
        except Exception as error:  # noqa: BLE001 - whatever a task raised on its worker
            return Failure(shard, error)
        return record
