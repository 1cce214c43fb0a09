"""Finished samples of earlier builds, found by what decides them and not by their place.

A candidate and its measures follow from the recording's bytes, the camera, the key frame, the method with its
weights, and the rules of measuring. Where all of these are as they were, a new plan takes them from the old
store. Failures are not taken: their reasons may name files that have moved, and another try may succeed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from hqgen.builder.output import Output
from hqgen.builder.plan import contains, still_valid
from hqgen.decision import Decider
from hqgen.manifest import Plan, SampleSpec, SourceSpec

_Content = tuple[str, int, int, int, int, str]  # digest, frames, key frame, height, width, camera


@dataclass(frozen=True)
class StoredShard:
    """A shard of a store; `start` is the row of its first sample."""

    build: Output
    source: str
    index: int
    start: int


@dataclass(frozen=True)
class FinishedSample:
    """A sample of a store: its shard, its row in it, and the methods that can be taken from there."""

    shard: StoredShard
    row: int
    methods: frozenset[str]


class FinishedSamples:
    """What can be taken from the stores of an output directory.

    Args:
        output: where the plan is being built.
        builds: earlier builds, the newest last.
        retry: whether candidates that failed are made again in the shards of `output`, too.
    """

    def __init__(self, output: Output, builds: Sequence[Output], *, retry: bool = False) -> None:
        self.retry = retry
        self._output = output
        self._places: dict[_Content, list[tuple[StoredShard, int]]] = {}
        self._parts: dict[tuple[Output, str], Plan | None] = {}
        self._failures: dict[StoredShard, tuple[frozenset[str], ...]] = {}
        for build in reversed(builds):
            if (plan := build.plan()) is not None:
                self._index(build, plan)

    def _index(self, build: Output, plan: Plan) -> None:
        size = plan.shard_size
        for spec in plan.sources:
            shards = [StoredShard(build, spec.name, index, index * size) for index in spec.shards(size)]
            for row, sample in enumerate(spec.samples):
                place = shards[row // size], row % size
                self._places.setdefault(_content(spec, sample), []).append(place)

    def complete(self, part: Plan, index: int) -> bool:
        """Whether a shard of the output directory needs no work."""
        source = part.sources[0].name
        if self._output.record_plan(source, index) != part.id:
            return False
        place = StoredShard(self._output, source, index, index * part.shard_size)
        return not (self.retry and any(self._failed(place)))

    def of_shard(self, part: Plan, index: int) -> tuple[FinishedSample | None, ...]:
        """Where each sample of a shard can be taken from; None for one that cannot.

        Args:
            part: the new plan of one source.
            index: of the shard.
        """
        (spec,) = part.sources
        start = index * part.shard_size
        samples = spec.samples[start : start + part.shard_size]
        place = StoredShard(self._output, spec.name, index, start)
        if methods := self._methods_here(part, place):
            failed = self._failed(place) if self.retry else (frozenset[str](),) * len(samples)
            return tuple(FinishedSample(place, row, methods - lost) for row, lost in enumerate(failed))
        return tuple(self._elsewhere(part, _content(spec, sample)) for sample in samples)

    def _methods_here(self, part: Plan, place: StoredShard) -> frozenset[str]:
        """Methods of a shard that was completed by a plan with fewer of them.

        A store of winners only is of no use to a rule by which a candidate that lost once may win later.
        """
        old = self._part(place)
        usable = part.keep_candidates or Decider.of(part).settled
        if old is None or not usable or not contains(part, old):
            return frozenset()
        return frozenset(method.name for method in old.sources[0].methods)

    def _elsewhere(self, part: Plan, content: _Content) -> FinishedSample | None:
        found = [self._taken(part, *place) for place in self._places.get(content, ())]
        return max((item for item in found if item.methods), key=lambda item: len(item.methods), default=None)

    def _taken(self, part: Plan, shard: StoredShard, row: int) -> FinishedSample:
        old = self._part(shard)
        methods = still_valid(old, part) if old else frozenset[str]()
        return FinishedSample(shard, row, methods - self._failed(shard)[row] if methods else methods)

    def _part(self, shard: StoredShard) -> Plan | None:
        """The plan of a source that a shard was completed by; None where it is not complete."""
        plan_id = shard.build.record_plan(shard.source, shard.index)
        if plan_id is None:
            return None
        key = shard.build, plan_id
        if key not in self._parts:
            self._parts[key] = shard.build.part(plan_id)
        return self._parts[key]

    def _failed(self, shard: StoredShard) -> tuple[frozenset[str], ...]:
        """Methods that failed, by row of the shard."""
        if shard not in self._failures:
            samples = shard.build.record(shard.source, shard.index).samples
            self._failures[shard] = tuple(frozenset(sample.reasons) for sample in samples)
        return self._failures[shard]


def _content(spec: SourceSpec, sample: SampleSpec) -> _Content:
    """What decides a sample, besides methods and rules."""
    recording = spec.recordings[sample.recording]
    camera = json.dumps(spec.camera or {}, sort_keys=True)
    return recording.blake3, recording.frames, sample.centre, spec.height, spec.width, camera
