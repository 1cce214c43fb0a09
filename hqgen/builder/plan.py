"""Plans, with what stands for their parts on this machine; comparing and joining plans.

A specification and the live thing that it specifies travel together: a `PlannedMethod` is both, a
`PlannedSource` too, and a `PlannedBuild` is a plan with all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from hqgen.builder.near_duplicates import MotionRule, NearDuplicate
from hqgen.builder.scoring import Scoring
from hqgen.decision import Decider
from hqgen.documents import Document
from hqgen.errors import UsageError
from hqgen.manifest import (
    ByHand,
    MethodSpec,
    NearDuplicateSpec,
    Plan,
    RecordingSpec,
    SampleSpec,
    SourceSpec,
)
from hqgen.methods.base import Method
from hqgen.methods.registry import get_method
from hqgen.provenance import document_id, require_same, specification
from hqgen.sources.recordings import SourceRecording
from hqgen.sources.samples import Sample
from hqgen.sources.source import Source
from hqgen.spikes.camera import Camera, Pattern
from hqgen.spikes.packed import ENDS


class RequestedSource(NamedTuple):
    """A source and the methods that are to run on it."""

    source: Source
    methods: Sequence[Method]


@dataclass(frozen=True)
class Request:
    """What the names that the user gave stand for.

    Attributes:
        sources: with their methods.
        scoring: makes and measures candidates.
        decider: picks winners by the measures.
        keep_candidates: whether the store gets the picture of every candidate.
        shard_size: samples in a shard.
        motion: the rule by which near-duplicates are left out; None to keep all key frames.
        left_out: what it leaves out, by name of the source; those are not in the samples of the source.
    """

    sources: tuple[RequestedSource, ...]
    scoring: Scoring
    decider: Decider
    keep_candidates: bool
    shard_size: int
    motion: MotionRule | None = None
    left_out: Mapping[str, tuple[NearDuplicate, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class PlannedMethod:
    """A method as a plan fixes it and as it runs here; `column` is its place among those of its source."""

    spec: MethodSpec
    method: Method
    column: int


@dataclass(frozen=True)
class Shard:
    """A shard's place and samples.

    Attributes:
        plan_id: of its source's part of the plan.
        source: name of its source.
        index: its number within the source.
        start: row of its first sample in the store.
        height, width: geometry of its source.
        methods: names of all methods of its source, by rank: the order that breaks ties.
        samples: in the order of the store.
        keep_candidates: whether the store gets the picture of every candidate.
        colour: filter of the camera; candidates are the luminance then.
    """

    plan_id: str
    source: str
    index: int
    start: int
    height: int
    width: int
    methods: tuple[str, ...]
    samples: tuple[Sample, ...]
    keep_candidates: bool = False
    colour: Pattern | None = None

    def piece(self, samples: slice) -> Shard:
        """Some consecutive samples of it."""
        return replace(self, start=self.start + samples.start, samples=self.samples[samples])


@dataclass(frozen=True)
class PlannedSource:
    """A source as a plan fixes it and as it is found here.

    Attributes:
        part: the plan of this source alone; the records of its shards have its id.
        source: its recordings and samples; None for a source of the store that this run does not name.
        ensemble: the methods that this run names; the plan may have more, which are in the store.
    """

    part: Plan
    source: Source | None
    ensemble: Sequence[Method]

    @cached_property
    def methods(self) -> tuple[PlannedMethod, ...]:
        """All methods of the plan, by rank.

        Raises:
            HqgenError: one that this run does not name cannot run here.
        """
        live = {method.name: method for method in self.ensemble}
        return tuple(
            PlannedMethod(spec, live.get(spec.name) or get_method(spec.name, **spec.parameters), column)
            for column, spec in enumerate(self.spec.methods)
        )

    @property
    def spec(self) -> SourceSpec:
        """What the plan says of it."""
        return self.part.sources[0]

    def shard(self, index: int) -> Shard:
        """One of its shards.

        Raises:
            UsageError: this run does not name the source.
        """
        spec, size = self.spec, self.part.shard_size
        if self.source is None:
            raise UsageError(
                f"the source `{spec.name}` is not complete, and this run does not name it",
                hint="name it in `--sources`, too",
            )
        return Shard(
            plan_id=self.part.id,
            source=spec.name,
            index=index,
            start=index * size,
            height=spec.height,
            width=spec.width,
            methods=tuple(method.name for method in spec.methods),
            samples=self.source.samples[index * size : (index + 1) * size],
            keep_candidates=self.part.keep_candidates,
            colour=Camera.planned(spec.camera, spec.height, spec.width).colour,
        )


@dataclass(frozen=True)
class PlannedBuild:
    """A plan with what it needs on this machine; `sources` are in the plan's order."""

    plan: Plan
    sources: tuple[PlannedSource, ...]
    scoring: Scoring
    decider: Decider

    def within(self, whole: Plan) -> PlannedBuild:
        """The build of a plan that holds this one, and maybe more sources and methods."""
        named = {source.spec.name: source for source in self.sources}
        sources = []
        for spec in whole.sources:
            part, known = whole.part(spec.name), named.get(spec.name)
            sources.append(replace(known, part=part) if known else PlannedSource(part, None, ()))
        return replace(self, plan=whole, sources=tuple(sources))


def make_plan(request: Request, digest: Callable[[SourceRecording], str]) -> PlannedBuild:
    """Make the plan for a request, given a digest for every recording.

    The order in which sources and methods were named does not matter: sources go by name, methods by rank.
    """
    rules = Plan(
        shard_size=request.shard_size,
        scorer=specification(request.scoring.scorer),
        normalisation=request.scoring.normalisation.parameters(),
        ends=ENDS,
        judges=request.scoring.judge_specs(),
        rule=specification(request.decider.rule),
        max_score=request.decider.max_score,
        min_consistency=request.decider.min_consistency,
        keep_candidates=request.keep_candidates,
        near_duplicates=specification(request.motion) if request.motion else None,
        sources=(),
    )
    planned = []
    for source, methods in sorted(request.sources, key=lambda requested: requested.source.name):
        spec = _source_spec(source, methods, digest)
        if request.motion is not None:
            left_out = request.left_out.get(source.name, ())
            spec = spec.model_copy(update={"left_out": _left_out_specs(source, left_out)})
        part = rules.model_copy(update={"sources": (spec,)})
        planned.append(PlannedSource(part, source, methods))
    plan = rules.model_copy(update={"sources": tuple(source.spec for source in planned)})
    return PlannedBuild(plan, tuple(planned), request.scoring, request.decider)


def planned_methods(methods: Sequence[Method]) -> tuple[PlannedMethod, ...]:
    """Methods by rank, with what a plan fixes of them."""
    ranked = sorted(methods, key=lambda method: (method.rank, method.name))
    return tuple(PlannedMethod(_method_spec(method), method, column) for column, method in enumerate(ranked))


def _method_spec(method: Method) -> MethodSpec:
    return MethodSpec(
        name=method.name,
        rank=method.rank,
        version=method.version,
        leg=method.leg,
        parameters=method.parameters(),
        weights=method.weights_digest(),
    )


def _source_spec(
    source: Source, methods: Sequence[Method], digest: Callable[[SourceRecording], str]
) -> SourceSpec:
    height, width = source.geometry
    index = {recording: number for number, recording in enumerate(source.recordings)}
    return SourceSpec(
        name=source.name,
        height=height,
        width=width,
        camera=source.entry.described_camera.described() or None,
        methods=tuple(planned.spec for planned in planned_methods(methods)),
        recordings=tuple(
            RecordingSpec(path=item.name, size=item.size, blake3=digest(item), frames=item.frames)
            for item in source.recordings
        ),
        samples=tuple(
            SampleSpec(key=sample.key, recording=index[sample.recording], centre=sample.centre)
            for sample in source.samples
        ),
    )


def _left_out_specs(source: Source, left_out: Sequence[NearDuplicate]) -> tuple[NearDuplicateSpec, ...]:
    index = {recording: number for number, recording in enumerate(source.recordings)}
    return tuple(
        NearDuplicateSpec(
            key=sample.key,
            recording=index[sample.recording],
            centre=sample.centre,
            near_duplicate_of=like.key,
            moved=moved,
        )
        for sample, like, moved in left_out
    )


def contains(whole: Plan, part: Plan) -> bool:
    """Whether every score of `part` is one of `whole`, too, at the same place of the store."""
    sources = {source.name: source for source in whole.sources}
    return _without(whole, "sources") == _without(part, "sources") and all(
        (other := sources.get(source.name)) is not None
        and _without(other, "methods") == _without(source, "methods")
        and all(method in other.methods for method in source.methods)
        for source in part.sources
    )


def still_valid(old: Plan, new: Plan) -> frozenset[str]:
    """Methods of a source whose candidates and measures in a store of `old` are those that `new` asks for.

    A store of winners only has lost the other candidates, so nothing else may differ for it.

    Args:
        old: plan of one source, by which the store was built.
        new: plan of one source.
    """
    measuring = ("schema_version", "scorer", "normalisation", "ends", "judges")
    deciding = ("rule", "max_score", "min_consistency", "keep_candidates")
    shared = [method for method in new.sources[0].methods if method in old.sources[0].methods]
    if not _alike(old, new, measuring):
        shared = []
    if not old.keep_candidates and not (
        _alike(old, new, deciding)
        and old.sources[0].by_hand is None
        and len(shared) == len(old.sources[0].methods)
        and Decider.of(new).settled
    ):
        shared = []
    return frozenset(method.name for method in shared)


def _alike(one: Plan, other: Plan, fields: Sequence[str]) -> bool:
    return all(getattr(one, field) == getattr(other, field) for field in fields)


def _without(document: Document, field: str) -> Document:
    return document.model_copy(update={field: ()})


def joined(current: Plan, requested: Plan) -> Plan:
    """The plan that holds all sources and methods of both.

    Raises:
        PlanMismatchError: one store cannot hold both: other rules, other recordings of one source, or one
            method with two sets of parameters.
    """
    sources = {source.name: source for source in current.sources}
    for source in requested.sources:
        sources[source.name] = _joined_source(sources.get(source.name, source), source)
    plan = current.model_copy(update={"sources": tuple(sources[name] for name in sorted(sources))})
    if not (contains(plan, current) and contains(plan, requested)):
        require_same(
            "the new plan cannot be appended to the one in the output directory",
            by_name(current),
            by_name(requested),
            hint="append adds methods and sources; `--existing update` makes the new plan and takes over "
            "what it can; or use another `--out`",
        )
    return plan


def _joined_source(current: SourceSpec, requested: SourceSpec) -> SourceSpec:
    methods = {method.name: method for method in (*current.methods, *requested.methods)}
    ranked = sorted(methods.values(), key=lambda method: (method.rank, method.name))
    return current.model_copy(update={"methods": tuple(ranked)})


def by_name(plan: Plan) -> dict[str, Any]:
    """A plan as a document in which every part goes by its name, so that two can be compared."""
    rules = plan.model_dump(exclude={"sources"})
    rules["judges"] = {str(judge["name"]): judge for judge in plan.judges}
    return rules | {f"source {source.name}": _source_by_name(source) for source in plan.sources}


def _source_by_name(source: SourceSpec) -> dict[str, Any]:
    methods = {method.name: method.model_dump(exclude={"name"}) for method in source.methods}
    samples = {"samples": [sample.model_dump() for sample in source.samples]}
    return {
        "geometry": f"{source.height}x{source.width}",
        "camera": source.camera or {},
        "methods": {name: method | method.pop("parameters") for name, method in methods.items()},
        "recordings": {item.path: item.model_dump(exclude={"path"}) for item in source.recordings},
        "samples": f"{len(source.samples)} with the id {document_id(samples)}",
        **({"by hand": _by_hand(source.by_hand)} if source.by_hand else {}),
    }


def _by_hand(decided: Sequence[ByHand]) -> str:
    """What people decided, on one line."""
    rejected = sum(item.method is None for item in decided)
    samples = {"samples": [item.model_dump() for item in decided]}
    return f"{len(decided) - rejected} picked, {rejected} rejected, with the id {document_id(samples)}"
