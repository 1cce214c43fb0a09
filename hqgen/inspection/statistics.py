"""What a manifest says in numbers: who won how often, how good the candidates are, how sure the picks.

A pick is called ambiguous where the winner leads by less than `AMBIGUOUS`. NIQE cuts a 250x400 picture into 8
blocks, and moving it by one pixel gives other blocks: docs/inspect.md says what that was measured to do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hqgen.manifest import Manifest, SampleRecord, SourceManifest, SourceSpec
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
    """

    name: str
    wins: int
    share: float
    scores: Quartiles | None
    reasons: tuple[ReasonCount, ...]

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
    """A sample without a picture, with the reasons by method."""

    key: str
    reasons: dict[str, str]


@dataclass(frozen=True)
class SourceStatistics:
    """One source of the store.

    Attributes:
        name: the source.
        height, width: of its pictures.
        recordings: those that its samples are in.
        samples: all of them.
        pictures: samples with a winner.
        methods: by rank.
        winners: scores of the winners; None if there are none.
        margins: leads of the winners over the runners-up; None where no sample has two candidates.
        unopposed: winners without a runner-up.
        ambiguous: winners with a lead under `AMBIGUOUS`; None for a scorer other than NIQE.
        niqe_blocks: blocks that a score rests on; None for a scorer other than NIQE.
        mirrored: samples whose windows reach over an end of their recording.
        quarantined_recordings: that could not be used.
        quarantined_samples: that have no picture.
    """

    name: str
    height: int
    width: int
    recordings: int
    samples: int
    pictures: int
    methods: tuple[MethodStatistics, ...]
    winners: Quartiles | None
    margins: Quartiles | None
    unopposed: int
    ambiguous: int | None
    niqe_blocks: int | None
    mirrored: MirroredStatistics
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
        ambiguous_below: the lead under which a pick counts as ambiguous; None for a scorer other than NIQE.
        software: versions of what made it.
        finished: end of the build, UTC.
        seconds: that the last run took.
        sources: in the plan's order.
    """

    plan_id: str
    store: str
    scorer: str
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
    scorer = str(manifest.plan.scorer["name"])
    return ManifestStatistics(
        plan_id=manifest.plan_id,
        store=manifest.store,
        scorer=scorer,
        ambiguous_below=AMBIGUOUS if _is_niqe(scorer) else None,
        software=dict(manifest.software),
        finished=manifest.times.finished,
        seconds=manifest.times.seconds,
        sources=tuple(
            _source(spec, source, scorer)
            for spec, source in zip(manifest.plan.sources, manifest.sources, strict=True)
        ),
    )


def is_ambiguous(margin: float | None, scorer: str) -> bool:
    """Whether a winner's lead in NIQE is less than `AMBIGUOUS`; nothing is known of other metrics."""
    return _is_niqe(scorer) and margin is not None and margin < AMBIGUOUS


def niqe_blocks(height: int, width: int) -> int:
    """Whole blocks that NIQE cuts a picture into."""
    return (height // NIQE_BLOCK) * (width // NIQE_BLOCK)


def _is_niqe(scorer: str) -> bool:
    return scorer in ("niqe", "pyiqa-niqe")


def _source(spec: SourceSpec, source: SourceManifest, scorer: str) -> SourceStatistics:
    winners = [sample for sample in source.samples if sample.method is not None]
    margins = [sample.margin for sample in winners if sample.margin is not None]
    niqe = _is_niqe(scorer)
    return SourceStatistics(
        name=source.name,
        height=spec.height,
        width=spec.width,
        recordings=len(spec.recordings),
        samples=len(source.samples),
        pictures=len(winners),
        methods=tuple(_method(method.name, source.samples, len(winners)) for method in spec.methods),
        winners=_quartiles(sample.score for sample in winners),
        margins=_quartiles(margins),
        unopposed=len(winners) - len(margins),
        ambiguous=sum(is_ambiguous(margin, scorer) for margin in margins) if niqe else None,
        niqe_blocks=niqe_blocks(spec.height, spec.width) if niqe else None,
        mirrored=_mirrored(source.samples),
        quarantined_recordings=tuple(
            Rejected(item.path, item.reason) for item in source.quarantined_recordings
        ),
        quarantined_samples=tuple(
            QuarantinedSample(sample.key, dict(sample.reasons)) for sample in source.quarantined_samples
        ),
    )


def _method(name: str, samples: tuple[SampleRecord, ...], pictures: int) -> MethodStatistics:
    wins = sum(sample.method == name for sample in samples)
    reasons = Counter(sample.reasons[name] for sample in samples if name in sample.reasons)
    return MethodStatistics(
        name=name,
        wins=wins,
        share=wins / pictures if pictures else 0.0,
        scores=_quartiles(sample.scores[name] for sample in samples),
        reasons=tuple(ReasonCount(*item) for item in reasons.most_common()),
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
