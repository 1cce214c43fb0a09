"""What a manifest says in numbers: who won how often, how good the candidates are, how sure the picks.

A pick is called ambiguous where the winner leads by less than `AMBIGUOUS`. NIQE cuts a 250x400 picture into 8
blocks, and moving it by one pixel gives other blocks: docs/inspect.md says what that was measured to do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from hqgen.manifest import Manifest, NearDuplicateSpec, Plan, SampleRecord, SourceManifest, SourceSpec
from hqgen.sources.recordings import Rejected

AMBIGUOUS = 0.3
"""Lead in NIQE below which a pick is ambiguous: a shift by one pixel changes almost every fourth such winner,
and less than one in a hundred of those with a larger lead (36 samples of Spike-REDS and recVidarReal2019)."""

NIQE_BLOCK = 96
"""Pixels a side of the blocks whose statistics NIQE compares."""


@dataclass(frozen=True)
class Quartiles:
    """25th, 50th and 75th percentile of `count` values."""

    count: int
    lower: float
    median: float
    upper: float


@dataclass(frozen=True)
class ReasonCount:
    """Why candidates have no score, and how many of them."""

    reason: str
    count: int


@dataclass(frozen=True)
class MethodStatistics:
    """One method on one source.

    Attributes:
        name: the method.
        wins: samples that it won.
        share: wins as a part of the samples with a picture; 0 if there are none.
        scores: of all its candidates; None where none has a score.
        reasons: why candidates have no score, the most frequent first.
        judges: by judge, its values of all its candidates; None where none has a value.
    """

    name: str
    wins: int
    share: float
    scores: Quartiles | None
    reasons: tuple[ReasonCount, ...]
    judges: dict[str, Quartiles | None]

    @property
    def failed(self) -> int:
        """Samples of which it has no scored candidate."""
        return sum(item.count for item in self.reasons)


@dataclass(frozen=True)
class MirroredStatistics:
    """Samples whose windows reach over an end of their recording, so that frames are mirrored.

    Attributes:
        samples: of which a method looked at mirrored frames.
        pictures: of which the winner did.
        mean, largest: part of the winner's frames that are mirrored, over those pictures; 0 without any.
    """

    samples: int
    pictures: int
    mean: float
    largest: float


@dataclass(frozen=True)
class QuarantinedSample:
    """A sample without a picture: the reasons by method, or why its pick was refused, by hand or not."""

    key: str
    reasons: dict[str, str]
    refused: str | None
    by_hand: bool = False


@dataclass(frozen=True)
class LeftOut:
    """A key frame that the plan leaves out, and why."""

    key: str
    reason: str


@dataclass(frozen=True)
class OverruledPick:
    """A sample whose winner does not have the smallest score.

    Attributes:
        key: of the sample.
        method: the winner.
        instead_of: the method with the smallest score.
        worse_by: what the winner's score is larger by.
    """

    key: str
    method: str
    instead_of: str
    worse_by: float


@dataclass(frozen=True)
class SourceStatistics:
    """One source of the store.

    Attributes:
        name: the source.
        height, width: of its pictures.
        recordings: those that its samples are in.
        samples: all of them.
        left_out: key frames that are not samples, because they are near-duplicates of some.
        pictures: samples with a winner.
        methods: by rank.
        winners: scores of the winners; None if there are none.
        margins: leads of the winners over the runners-up; None where no sample has two candidates.
        winner_judges: by judge, its values of the winners; None where none has a value.
        overruled: winners that do not have the smallest score, the most costly first.
        unopposed: winners without a runner-up.
        ambiguous: winners that lead in the score by less than `AMBIGUOUS`; None for a scorer other than NIQE.
        niqe_blocks: blocks that a score rests on; None for a scorer other than NIQE.
        mirrored: samples whose windows reach over an end of their recording.
        picked_by_hand, rejected_by_hand: samples that a person decided.
        quarantined_recordings: that could not be used.
        quarantined_samples: that have no picture.
    """

    name: str
    height: int
    width: int
    recordings: int
    samples: int
    left_out: tuple[LeftOut, ...]
    pictures: int
    methods: tuple[MethodStatistics, ...]
    winners: Quartiles | None
    margins: Quartiles | None
    winner_judges: dict[str, Quartiles | None]
    overruled: tuple[OverruledPick, ...]
    unopposed: int
    ambiguous: int | None
    niqe_blocks: int | None
    mirrored: MirroredStatistics
    picked_by_hand: int
    rejected_by_hand: int
    quarantined_recordings: tuple[Rejected, ...]
    quarantined_samples: tuple[QuarantinedSample, ...]

    @property
    def contested(self) -> int:
        """Winners that have a runner-up."""
        return self.pictures - self.unopposed


@dataclass(frozen=True)
class ManifestStatistics:
    """A whole store; plain values all through, so `dataclasses.asdict` gives what JSON can hold.

    Attributes:
        plan_id: the plan that it was built by.
        store: path of the store, relative to the manifest.
        scorer: name of the metric.
        rule: name of the rule that picked the winners.
        judges: names of what else candidates were measured by.
        max_score, min_consistency: limits that a pick must keep; None where there is no limit.
        keep_candidates: whether the store holds every candidate.
        repicked_from: the manifest of the store that winners were picked again from; None for a build.
        merged_from: the manifests of the builds that the store was merged from.
        ambiguous_below: the lead under which a pick counts as ambiguous; None for a scorer other than NIQE.
        software: versions of what made it.
        finished: end of the build, UTC.
        seconds: that the last run took.
        sources: in the plan's order.
    """

    plan_id: str
    store: str
    scorer: str
    rule: str
    judges: tuple[str, ...]
    max_score: float | None
    min_consistency: float | None
    keep_candidates: bool
    repicked_from: str | None
    merged_from: tuple[str, ...]
    ambiguous_below: float | None
    software: dict[str, str]
    finished: str
    seconds: float
    sources: tuple[SourceStatistics, ...]

    @property
    def samples(self) -> int:
        """Samples of all sources."""
        return sum(source.samples for source in self.sources)

    @property
    def pictures(self) -> int:
        """Samples of all sources that have a picture."""
        return sum(source.pictures for source in self.sources)


def statistics(manifest: Manifest) -> ManifestStatistics:
    """Count and summarise what a manifest says; reads no file."""
    plan, origin = manifest.plan, manifest.repicked_from
    scorer = str(plan.scorer["name"])
    judges = tuple(str(judge["name"]) for judge in plan.judges)
    return ManifestStatistics(
        plan_id=manifest.plan_id,
        store=manifest.store,
        scorer=scorer,
        rule=str(plan.rule["name"]),
        judges=judges,
        max_score=plan.max_score,
        min_consistency=plan.min_consistency,
        keep_candidates=plan.keep_candidates,
        repicked_from=None if origin is None else origin.manifest,
        merged_from=tuple(part.manifest for part in manifest.merged_from or ()),
        ambiguous_below=AMBIGUOUS if _is_niqe(scorer) else None,
        software=dict(manifest.software),
        finished=manifest.times.finished,
        seconds=manifest.times.seconds,
        sources=tuple(
            _source(spec, source, scorer, judges, _least_motion(plan))
            for spec, source in zip(manifest.plan.sources, manifest.sources, strict=True)
        ),
    )


def is_ambiguous(margin: float | None, scorer: str) -> bool:
    """Whether a winner leads in NIQE by less than `AMBIGUOUS`; nothing is known of other metrics."""
    return _is_niqe(scorer) and margin is not None and 0 <= margin < AMBIGUOUS


def niqe_blocks(height: int, width: int) -> int:
    """Whole blocks that NIQE cuts a picture into."""
    return (height // NIQE_BLOCK) * (width // NIQE_BLOCK)


def _is_niqe(scorer: str) -> bool:
    return scorer in ("niqe", "pyiqa-niqe")


def _least_motion(plan: Plan) -> float:
    """Pixels by which key frames must move; 0 where none is left out."""
    return float(plan.near_duplicates["parameters"]["least"]) if plan.near_duplicates else 0.0


def _source(
    spec: SourceSpec, source: SourceManifest, scorer: str, judges: tuple[str, ...], least: float
) -> SourceStatistics:
    winners = [sample for sample in source.samples if sample.method is not None]
    margins = [sample.margin for sample in winners if sample.margin is not None]
    niqe = _is_niqe(scorer)
    return SourceStatistics(
        name=source.name,
        height=spec.height,
        width=spec.width,
        recordings=len(spec.recordings),
        samples=len(source.samples),
        left_out=tuple(LeftOut(item.key, _why_left_out(item, least)) for item in spec.left_out or ()),
        pictures=len(winners),
        methods=tuple(_method(method.name, source.samples, len(winners), judges) for method in spec.methods),
        winners=_quartiles(sample.score for sample in winners),
        margins=_quartiles(margins),
        winner_judges={
            judge: _quartiles(sample.judges[judge][str(sample.method)] for sample in winners)
            for judge in judges
        },
        overruled=tuple(sorted(_overruled(winners), key=lambda pick: (-pick.worse_by, pick.key))),
        unopposed=len(winners) - len(margins),
        ambiguous=sum(is_ambiguous(margin, scorer) for margin in margins) if niqe else None,
        niqe_blocks=niqe_blocks(spec.height, spec.width) if niqe else None,
        mirrored=_mirrored(source.samples),
        picked_by_hand=sum(sample.by_hand is not None for sample in winners),
        rejected_by_hand=sum(sample.by_hand is not None for sample in source.quarantined_samples),
        quarantined_recordings=tuple(
            Rejected(item.path, item.reason) for item in source.quarantined_recordings
        ),
        quarantined_samples=tuple(
            QuarantinedSample(
                sample.key, dict(sample.reasons), sample.refused, by_hand=sample.by_hand is not None
            )
            for sample in source.quarantined_samples
        ),
    )


def _why_left_out(item: NearDuplicateSpec, least: float) -> str:
    moved = f"moved {item.moved:g} pixels, less than {least:g}"
    return f"near-duplicate of `{item.near_duplicate_of}`: {moved}"


def _overruled(winners: list[SampleRecord]) -> Iterator[OverruledPick]:
    for sample in winners:
        if sample.margin is not None and sample.margin < 0:
            scores = {name: score for name, score in sample.scores.items() if score is not None}
            best = min(scores, key=lambda name: scores[name])
            yield OverruledPick(sample.key, str(sample.method), best, -sample.margin)


def _method(
    name: str, samples: tuple[SampleRecord, ...], pictures: int, judges: tuple[str, ...]
) -> MethodStatistics:
    wins = sum(sample.method == name for sample in samples)
    reasons = Counter(sample.reasons[name] for sample in samples if name in sample.reasons)
    return MethodStatistics(
        name=name,
        wins=wins,
        share=wins / pictures if pictures else 0.0,
        scores=_quartiles(sample.scores[name] for sample in samples),
        reasons=tuple(ReasonCount(*item) for item in reasons.most_common()),
        judges={judge: _quartiles(sample.judges[judge][name] for sample in samples) for judge in judges},
    )


def _mirrored(samples: tuple[SampleRecord, ...]) -> MirroredStatistics:
    winners = [sample.mirrored.get(sample.method, 0.0) for sample in samples if sample.method is not None]
    shares = [share for share in winners if share > 0]
    return MirroredStatistics(
        samples=sum(bool(sample.mirrored) for sample in samples),
        pictures=len(shares),
        mean=sum(shares) / len(shares) if shares else 0.0,
        largest=max(shares, default=0.0),
    )


def _quartiles(values: Iterable[float | None]) -> Quartiles | None:
    """Quartiles of what is there, interpolated between neighbours."""
    there = [value for value in values if value is not None]
    if not there:
        return None
    lower, median, upper = (float(value) for value in np.percentile(there, [25, 50, 75]))
    return Quartiles(len(there), lower, median, upper)
