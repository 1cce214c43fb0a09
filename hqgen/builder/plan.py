"""From sources, methods and rules to a plan; comparing and joining plans."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hqgen.manifest import MethodSpec, Plan, RecordingSpec, SampleSpec, SourceSpec
from hqgen.methods.base import Method
from hqgen.provenance import document_id, require_same
from hqgen.sources.recordings import SourceRecording
from hqgen.sources.source import Source

__all__ = ["SHARD_SIZE", "by_name", "contains", "joined", "make_plan", "method_spec", "source_spec"]

SHARD_SIZE = 32
"""Samples in a shard: enough that a task costs little beside its work, few enough to lose on a kill."""

Digest = Callable[[SourceRecording], str]


def make_plan(
    sources: Sequence[tuple[Source, Sequence[Method]]],
    *,
    digest: Digest,
    scorer: Mapping[str, Any],
    normalisation: Mapping[str, Any],
    shard_size: int = SHARD_SIZE,
) -> Plan:
    """Make the plan for sources, each with its methods.

    The order in which sources and methods were named does not matter: sources go by name, methods by rank.
    """
    specs = (source_spec(source, methods, digest) for source, methods in sources)
    return Plan(
        shard_size=shard_size,
        scorer=dict(scorer),
        normalisation=dict(normalisation),
        sources=tuple(sorted(specs, key=lambda spec: spec.name)),
    )


def method_spec(method: Method) -> MethodSpec:
    """A method as a plan fixes it."""
    return MethodSpec(
        name=method.name,
        rank=method.rank,
        version=method.version,
        leg=method.leg,
        parameters=method.parameters(),
        weights=method.weights_digest(),
    )


def source_spec(source: Source, methods: Sequence[Method], digest: Digest) -> SourceSpec:
    """A source as a plan fixes it."""
    height, width = source.geometry
    index = {recording: number for number, recording in enumerate(source.recordings)}
    return SourceSpec(
        name=source.name,
        height=height,
        width=width,
        methods=_by_rank(method_spec(method) for method in methods),
        recordings=tuple(
            RecordingSpec(path=item.name, size=item.size, blake3=digest(item), frames=item.frames)
            for item in source.recordings
        ),
        samples=tuple(
            SampleSpec(key=sample.key, recording=index[sample.recording], centre=sample.centre)
            for sample in source.samples
        ),
    )


def _by_rank(methods: Iterator[MethodSpec]) -> tuple[MethodSpec, ...]:
    return tuple(sorted(methods, key=lambda method: (method.rank, method.name)))


def contains(whole: Plan, part: Plan) -> bool:
    """Whether every score of `part` is one of `whole`, too, at the same place of the store."""
    sources = {source.name: source for source in whole.sources}
    return _rules(whole) == _rules(part) and all(
        (other := sources.get(source.name)) is not None
        and _samples(other) == _samples(source)
        and all(method in other.methods for method in source.methods)
        for source in part.sources
    )


def joined(current: Plan, requested: Plan) -> Plan:
    """The plan that holds all sources and methods of both.

    Raises:
        PlanMismatchError: they cannot lie in one store: other rules, other recordings of one source, or one
            method with two sets of parameters.
    """
    sources = {source.name: source for source in current.sources}
    for source in requested.sources:
        sources[source.name] = _joined_source(sources.get(source.name, source), source)
    plan = Plan(
        shard_size=current.shard_size,
        scorer=current.scorer,
        normalisation=current.normalisation,
        sources=tuple(sources[name] for name in sorted(sources)),
    )
    if not (contains(plan, current) and contains(plan, requested)):
        require_same(
            "the new plan cannot be appended to the one in the output directory",
            by_name(current),
            by_name(requested),
            hint="append adds methods and sources; for anything else use another `--out` or "
            "`--existing overwrite`",
        )
    return plan


def _joined_source(current: SourceSpec, requested: SourceSpec) -> SourceSpec:
    methods = {method.name: method for method in (*current.methods, *requested.methods)}
    return current.model_copy(update={"methods": _by_rank(iter(methods.values()))})


def _rules(plan: Plan) -> tuple[Any, ...]:
    return plan.schema_version, plan.shard_size, plan.scorer, plan.normalisation


def _samples(source: SourceSpec) -> tuple[Any, ...]:
    return source.height, source.width, source.recordings, source.samples


def by_name(plan: Plan) -> dict[str, Any]:
    """A plan as a document in which every part goes by its name, so that two can be compared."""
    rules = plan.model_dump(exclude={"sources"})
    return rules | {f"source {source.name}": _source_by_name(source) for source in plan.sources}


def _source_by_name(source: SourceSpec) -> dict[str, Any]:
    methods = {method.name: method.model_dump(exclude={"name"}) for method in source.methods}
    samples = {"samples": [sample.model_dump() for sample in source.samples]}
    return {
        "geometry": f"{source.height}x{source.width}",
        "methods": {name: method | method.pop("parameters") for name, method in methods.items()},
        "recordings": {item.path: item.model_dump(exclude={"path"}) for item in source.recordings},
        "samples": f"{len(source.samples)} with the id {document_id(samples)}",
    }
