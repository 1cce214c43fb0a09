"""Which samples of a store leave it, and into which split."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

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
        record: what came of it.
        split: that it is in.
        name: for its file, without an ending; unique in its source.
        verdict: what a person said of it; None for most.
    """

    source: SourceSpec
    row: int
    place: SampleSpec
    record: SampleRecord
    split: str
    name: str
    verdict: Verdict | None

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
        UsageError: no sample is left, or there are verdicts that change pictures and are not applied.
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
            reason = _reason(record, verdict, settings)
            if reason:
                left_out[reason] += 1
                rejected += verdict is not None and verdict.action == "reject" and verdict.number > 0
                continue
            chosen.append(Chosen(spec, row, place, record, splits[place.recording], names[row], verdict))
    if not chosen:
        raise UsageError(
            f"no sample of `{manifest_path}` is left to export: {left_out_text(left_out) or 'it has none'}",
            hint="raise `--max-score` or lower `--min-margin`; `hqgen inspect MANIFEST` shows the scores",
        )
    return Selection(tuple(chosen), tuple(shares), dict(sorted(left_out.items())), rejected)


def left_out_text(left_out: dict[str, int]) -> str:
    """`2 rejected, 1 without a picture`."""
    return ", ".join(f"{number:,} {reason}" for reason, number in left_out.items())


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
    """The verdicts that hold, if the pictures of the store are what they ask for.

    A rejection only leaves a sample out. A pick, or one that is taken back, asks for another picture than the
    store has under its plan id; only `hqgen curate apply` makes a store with that picture and says so in the
    manifest.
    """
    state = Journal(path, manifest).state()
    winners = {sample.key: sample.method for source in manifest.sources for sample in source.samples}
    other = [key for key, item in state.items() if item.action == "pick" and item.method != winners[key]]
    for key, item in applied.items():
        now = state.get(key)
        decided = now is not None and now.action in ("pick", "reject")
        if item.action != "mark" and not decided:
            other.append(key)
    if other:
        raise UsageError(
            f"{count(len(other), 'verdict')} in `{path.with_name(FILE)}` would change pictures and "
            f"{'is' if len(other) == 1 else 'are'} not applied: "
            + ", ".join(first([f"`{key}`" for key in other], 3)),
            hint="make a store of them with `hqgen curate apply MANIFEST --out DIR`, and export that; "
            "or export this one as it is with `--curation ignore`",
        )
    return state
