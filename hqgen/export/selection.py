"""Which samples of a store leave it, and into which split."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hqgen.curation import FILE, Journal
from hqgen.errors import UsageError
from hqgen.export.names import file_names
from hqgen.export.settings import SelectionSettings
from hqgen.export.splits import parse_split, split_of
from hqgen.manifest import Manifest, RecordingSpec, SampleRecord, SampleSpec, SourceSpec, Verdict
from hqgen.text import count, first


@dataclass(frozen=True)
class Chosen:
    """A sample that leaves the store.

    Attributes:
        source: what the plan says of its source.
        row: of its picture in the source's arrays.
        place: what the plan says of it.
        record: what came of it; for a pick that the store has not applied, with that candidate as the winner.
        split: that it is in.
        name: for its file, without an ending; unique in its source.
        verdict: what a person said of it; None for most.
        overruled: whether its picture is a candidate of the store, and not the winner there.
    """

    source: SourceSpec
    row: int
    place: SampleSpec
    record: SampleRecord
    split: str
    name: str
    verdict: Verdict | None
    overruled: bool

    @property
    def recording(self) -> RecordingSpec:
        """The recording that it is in."""
        return self.source.recordings[self.place.recording]

    @property
    def method(self) -> str:
        """The winner."""
        return str(self.record.method)

    @property
    def score(self) -> float:
        """The winner's score."""
        score = self.record.score
        assert score is not None
        return score

    def of(self, method: str) -> Chosen:
        """The same sample with the candidate of a method, which must have a score, as its picture."""
        return replace(self, record=_won_by(self.record, method), overruled=True)


@dataclass(frozen=True)
class Selection:
    """The samples that leave, in the order of the store.

    Attributes:
        samples: all of them.
        splits: names, in the order in which they were given; some may have no sample.
        left_out: samples that stay, by the reason.
        rejected: of those, the ones that a journal beside the manifest rejects.
    """

    samples: tuple[Chosen, ...]
    splits: tuple[str, ...]
    left_out: dict[str, int]
    rejected: int


def select(manifest_path: Path, manifest: Manifest, settings: SelectionSettings) -> Selection:
    """Choose samples.

    Raises:
        UsageError: no sample is left, or a verdict asks for a picture that the store does not have.
        PlanMismatchError, StoreError: the journal of verdicts cannot be read, or is of another store.
    """
    shares = parse_split(settings.split)
    verdicts = {item.key: item for item in manifest.verdicts or ()}
    if settings.curation == "honour":
        verdicts = _unapplied(manifest_path, manifest, verdicts)
    left_out: Counter[str] = Counter()
    chosen: list[Chosen] = []
    rejected = 0
    for spec, found in zip(manifest.plan.sources, manifest.sources, strict=True):
        splits = [split_of(recording.blake3, shares, settings.split_seed) for recording in spec.recordings]
        names = file_names([sample.key.removeprefix(f"{spec.name}/") for sample in spec.samples])
        for row, (place, record) in enumerate(zip(spec.samples, found.samples, strict=True)):
            verdict = verdicts.get(place.key)
            method = verdict and verdict.method
            overruled = method not in (None, record.method) and record.scores.get(str(method)) is not None
            if overruled:
                record = _won_by(record, str(method))
            reason = _reason(record, verdict, settings)
            if reason:
                left_out[reason] += 1
                rejected += verdict is not None and verdict.action == "reject" and verdict.number > 0
                continue
            split = splits[place.recording]
            chosen.append(Chosen(spec, row, place, record, split, names[row], verdict, overruled))
    if not chosen:
        raise UsageError(
            f"no sample of `{manifest_path}` is left to export: {left_out_text(left_out) or 'it has none'}",
            hint="raise `--max-score` or lower `--min-margin`; `hqgen inspect MANIFEST` shows the scores",
        )
    return Selection(tuple(chosen), tuple(shares), dict(sorted(left_out.items())), rejected)


def left_out_text(left_out: dict[str, int]) -> str:
    """`2 rejected, 1 without a picture`."""
    return ", ".join(f"{number:,} {reason}" for reason, number in left_out.items())


def _won_by(record: SampleRecord, method: str) -> SampleRecord:
    """The record with a candidate as the winner, and the margin that it has."""
    scores = {name: np.float32(score) for name, score in record.scores.items() if score is not None}
    others = [score for name, score in scores.items() if name != method]
    margin = float(min(others) - scores[method]) if others else None
    return record.model_copy(update={"method": method, "margin": margin})


def _reason(record: SampleRecord, verdict: Verdict | None, settings: SelectionSettings) -> str:
    """Why a sample stays; empty for one that leaves."""
    if verdict is not None and verdict.action == "reject":
        return "rejected"
    if record.score is None:
        return "without a picture"
    if settings.max_score is not None and record.score > settings.max_score:
        return "with a larger score"
    unopposed = record.margin is None  # a winner alone has not lost to any other candidate
    if settings.min_margin is not None and not unopposed and record.margin < settings.min_margin:  # type: ignore[operator]
        return "with a smaller margin"
    return ""


def _unapplied(path: Path, manifest: Manifest, applied: dict[str, Verdict]) -> dict[str, Verdict]:
    """The verdicts that hold, if the store has every picture that they ask for.

    The picture of a pick is a candidate, which a store that keeps winners only does not have. For a pick or a
    rejection that is taken back, the manifest no longer says what the rule had picked.
    """
    state = Journal(path, manifest).state()
    records = {sample.key: sample for source in manifest.sources for sample in source.samples}
    missing = [
        key
        for key, item in state.items()
        if item.number > 0
        and item.method not in (None, records[key].method)
        and (not manifest.plan.keep_candidates or records[key].scores.get(str(item.method)) is None)
    ]
    for key, item in applied.items():
        now = state.get(key)
        decided = now is not None and now.action in ("pick", "reject")
        if item.action != "mark" and not decided:
            missing.append(key)
    if missing:
        raise UsageError(
            f"{count(len(missing), 'verdict')} in `{path.with_name(FILE)}` "
            f"{'asks' if len(missing) == 1 else 'ask'} for a picture that the store does not have: "
            + ", ".join(first([f"`{key}`" for key in missing], 3)),
            hint="export a store that keeps its candidates, or one that `hqgen curate apply` made; "
            "or export this one as it is with `--curation ignore`",
        )
    return state
