"""What is to be done for the shards that are not complete."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hqgen.builder.legs import BATCH, ShardLeg
from hqgen.builder.output import Output
from hqgen.builder.plan import PlannedSource, Shard, contains
from hqgen.decision import Decider


@dataclass(frozen=True)
class ShardJob:
    """What is to be done for one shard: its legs, at least one, then the commit."""

    shard: Shard
    legs: tuple[ShardLeg, ...]


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
            found += [(leg, shard.piece(slice(first, first + size))) for first in range(0, count, size)]
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


def missing_jobs(source: PlannedSource, output: Output) -> Iterator[ShardJob]:
    """A job for every shard of a source that is not complete, in order.

    Raises:
        UsageError: there are some, but this run does not name the source.
    """
    for index in source.spec.shards(source.part.shard_size):
        completed_by = output.record_plan(source.spec.name, index)
        if completed_by != source.part.id:
            yield ShardJob(source.shard(index), tuple(_legs(source, index, completed_by, output)))


def _legs(source: PlannedSource, index: int, completed_by: str | None, output: Output) -> Iterator[ShardLeg]:
    """What each kind of worker does; what the store holds where a plan with fewer methods was completed.

    A store of winners only is of no use to a rule by which a candidate that lost once may win later: then
    the methods run again.
    """
    earlier = output.part(completed_by) if completed_by else None
    usable = source.part.keep_candidates or Decider.of(source.part).settled
    held = earlier.sources[0].methods if earlier and usable and contains(source.part, earlier) else ()
    for kind in ("cpu", "gpu"):
        methods = tuple(m for m in source.methods if m.spec.leg == kind and m.spec not in held)
        if methods:
            yield ShardLeg(kind, methods)
    if held:
        stored = tuple(method for method in source.methods if method.spec in held)
        yield ShardLeg("stored", stored, output.record(source.spec.name, index))
