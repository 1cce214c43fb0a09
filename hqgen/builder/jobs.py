"""What is to be done for the shards that are not complete."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hqgen.builder.legs import ShardLeg
from hqgen.builder.output import Output
from hqgen.builder.plan import PlannedSource, Shard, contains
from hqgen.decision import Decider


@dataclass(frozen=True)
class ShardJob:
    """What is to be done for one shard: its legs, at least one, then the commit."""

    shard: Shard
    legs: tuple[ShardLeg, ...]


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
