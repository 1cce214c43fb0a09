"""What is to be done for the shards that are not complete."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from hqgen.builder.earlier import FinishedSample, FinishedSamples
from hqgen.builder.legs import BATCH, ShardLeg
from hqgen.builder.plan import PlannedMethod, PlannedSource, Shard


@dataclass(frozen=True)
class ShardJob:
    """What is to be done for one shard: its legs, at least one, then the commit."""

    shard: Shard
    legs: tuple[ShardLeg, ...]

    @property
    def to_make(self) -> int:
        """Samples on which some method runs."""
        legs = [leg for leg in self.legs if leg.kind != "stored"]
        return len({row for leg in legs for row in leg.rows or range(len(self.shard.samples))})


@dataclass(frozen=True)
class Pieces:
    """Into how many pieces the legs of a shard are split; no byte of the result depends on it.

    Attributes:
        cpu: samples in a piece of a `cpu` leg.
        gpu: the same of a `gpu` leg. A network gets whole batches on a GPU, where the last bits of a picture
            may depend on those beside it.
    """

    cpu: int = BATCH
    gpu: int = BATCH

    @classmethod
    def for_work(cls, jobs: Sequence[ShardJob], threads: int, *, gpu: bool) -> Pieces:
        """Pieces that keep `threads` busy even if there are few samples; `gpu`: some run on a GPU."""
        samples = sum(len(job.shard.samples) for job in jobs)
        size = min(BATCH, max(1, samples // (4 * max(threads, 1))))
        return cls(size, BATCH if gpu else size)

    def of(self, job: ShardJob) -> list[tuple[ShardLeg, Shard]]:
        """The pieces of a job, in the order of its samples; what the store holds is read whole."""
        shard, count, found = job.shard, len(job.shard.samples), []
        for leg in job.legs:
            size = {"cpu": self.cpu, "gpu": self.gpu, "stored": count}[leg.kind]
            rows = leg.rows or range(count)
            firsts = rows[::size]
            found += [(leg, shard.piece(slice(row, min(row + size, rows.stop)))) for row in firsts]
        return sorted(found, key=lambda piece: piece[1].start)


class SampleCount:
    """Counts the samples of a shard that are done in all its pieces."""

    def __init__(self, pieces: Sequence[tuple[ShardLeg, Shard]], advance: Callable[[int], None]) -> None:
        self.advance = advance
        self.left = Counter(row for _, piece in pieces for row in _rows(piece))

    def piece_done(self, piece: Shard) -> None:
        """One piece of one leg is done."""
        self.left.subtract(_rows(piece))
        self.advance(sum(1 for row in _rows(piece) if self.left[row] == 0))

    def shard_done(self) -> None:
        """All of them are done, whether that was said of each or not."""
        self.advance(sum(1 for left in self.left.values() if left > 0))
        self.left.clear()


def _rows(piece: Shard) -> range:
    return range(piece.start, piece.start + len(piece.samples))


def missing_jobs(source: PlannedSource, finished: FinishedSamples) -> Iterator[ShardJob]:
    """A job for every shard of a source that is not complete, in order.

    Raises:
        UsageError: there are some, but this run does not name the source.
    """
    for index in source.spec.shards(source.part.shard_size):
        if not finished.complete(source.part, index):
            there = finished.of_shard(source.part, index)
            yield ShardJob(source.shard(index), tuple(_legs(source, there)))


def _legs(source: PlannedSource, there: Sequence[FinishedSample | None]) -> Iterator[ShardLeg]:
    """What each kind of worker does, a leg for each row of samples that need the same; and what is there."""
    for kind in ("cpu", "gpu"):
        methods = [method for method in source.methods if method.spec.leg == kind]
        missing = [_missing(methods, sample) for sample in there]
        for needed, rows in groupby(range(len(there)), missing.__getitem__):
            if needed:
                first, *others = rows
                yield ShardLeg(kind, needed, range(first, first + len(others) + 1))
    held = {name for sample in there if sample for name in sample.methods}
    if held:
        stored = tuple(method for method in source.methods if method.spec.name in held)
        yield ShardLeg("stored", stored, finished=tuple(there))


def _missing(methods: Sequence[PlannedMethod], sample: FinishedSample | None) -> tuple[PlannedMethod, ...]:
    held = sample.methods if sample else frozenset[str]()
    return tuple(method for method in methods if method.spec.name not in held)
