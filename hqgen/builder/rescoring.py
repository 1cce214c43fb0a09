"""Measures of stored candidates by another scorer or other judges; no method runs.

What a store knows is taken from it: a judge that becomes the score, or the score that becomes a judge, keeps
its values. The rest is computed from the candidates, and `consistency` also from the recordings.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqgen.builder.digests import digest_recordings
from hqgen.builder.scoring import Scoring, make_scoring
from hqgen.decision import measures_of, values_by_method
from hqgen.errors import RecordingError, StoreError
from hqgen.manifest import Manifest, Plan, SampleRecord, SourceSpec
from hqgen.progress import Observer
from hqgen.provenance import specification
from hqgen.quality import consistency
from hqgen.quality.normalise import Normalisation
from hqgen.quality.scorers import get_scorer, is_of_scorer
from hqgen.sources.planned import planned_recording, source_files
from hqgen.sources.recordings import SourceRecording
from hqgen.spikes.packed import Window
from hqgen.spikes.recording import Recording
from hqgen.text import count

Floats = NDArray[np.float32]
Pictures = NDArray[np.uint8]

Recordings = Mapping[str, Sequence[SourceRecording]]
"""By source, its recordings in the order of the plan."""


@dataclass(frozen=True)
class Measuring:
    """What the candidates of a new store are measured by, and where the values come from.

    Attributes:
        scorer: specification of the scorer.
        judges: specifications of the judges, in order of their names.
        stored: names of the scorer and judges whose values in the old store hold.
        scoring: computes the score where it is not stored, and all judges that are not; None where the store
            has all values.
    """

    scorer: dict[str, Any]
    judges: tuple[dict[str, Any], ...]
    stored: frozenset[str]
    scoring: Scoring | None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all measures, the score first."""
        return tuple(str(spec["name"]) for spec in (self.scorer, *self.judges))

    @property
    def needs_recordings(self) -> bool:
        """Whether something must be compared with the spikes."""
        return self.scoring is not None and self.scoring.consistency


def measuring(plan: Plan, metric: str | None, judges: Sequence[str] | None) -> Measuring:
    """How candidates of a store are to be measured.

    Args:
        plan: that the store was built by.
        metric: the scorer; None for that of the store.
        judges: names; None for those of the store, without the metric.

    Raises:
        UnknownNameError: there is no such metric or judge.
        ScoreError: one cannot run here, or refuses pictures of the size of a source.
    """
    there = {str(spec["name"]): spec for spec in (plan.scorer, *plan.judges)}
    score = metric or str(plan.scorer["name"])
    scorer = plan.scorer if metric is None else specification(get_scorer(metric))
    if judges is None:
        specs = tuple(judge for judge in plan.judges if judge["name"] != score)
    else:
        specs = make_scoring(score, judges).judge_specs()
    stored = frozenset(str(spec["name"]) for spec in (scorer, *specs) if there.get(str(spec["name"])) == spec)
    fresh = [name for spec in specs if (name := str(spec["name"])) not in stored]
    if scorer == plan.scorer and not fresh:
        return Measuring(scorer, specs, stored, None)
    scorers = tuple(get_scorer(name) for name in fresh if name != consistency.NAME)
    scoring = Scoring(Normalisation(), get_scorer(score), scorers, consistency.NAME in fresh)
    for source in plan.sources:
        scoring.check_size(source.height, source.width)
    return Measuring(scorer, specs, stored, scoring)


def require_pictures(manifest: Manifest, scorer: Mapping[str, Any]) -> None:
    """Make sure that no candidate was lost because the scorer of the store gave it no score.

    Raises:
        StoreError: another scorer is wanted, and such candidates are black in the store.
    """
    if scorer == manifest.plan.scorer:
        return
    lost = [
        (sample.key, method, reason)
        for source in manifest.sources
        for sample in source.samples
        for method, reason in sample.reasons.items()
        if is_of_scorer(reason)
    ]
    if lost:
        key, method, reason = lost[0]
        new, old = scorer["name"], manifest.plan.scorer["name"]
        candidates = count(len(lost), "candidate")
        raise StoreError(
            f"`{new}` may score {candidates} that `{old}` could not, but the store lacks their pictures; "
            f"the first is that of `{method}` of `{key}`: {reason}",
            hint=f"make them again: `hqgen build` with `--metric {new}` into another folder",
        )


def unchanged_recordings(
    manifest: Manifest, sources: Container[str], data_root: Path, cache: Path, observer: Observer
) -> Recordings:
    """The recordings of some sources of a store, all as they were when it was built.

    Args:
        manifest: of the store.
        sources: their names.
        data_root: where sources are that are no longer where they were.
        cache: the file of digests that are known already.
        observer: gets the progress.

    Raises:
        SourceError: the folder of a source is gone.
        RecordingError: a recording is gone, or is another one.
    """
    found: dict[str, list[SourceRecording]] = {}
    planned: dict[SourceRecording, str] = {}
    for spec, source in zip(manifest.plan.sources, manifest.sources, strict=True):
        if spec.name not in sources:
            continue
        files, geometry = source_files(spec.name, source.folder, data_root), (spec.height, spec.width)
        found[spec.name] = [
            planned_recording(files, item.path, item.frames, item.size, geometry, spec.camera)
            for item in spec.recordings
        ]
        planned |= zip(found[spec.name], (item.blake3 for item in spec.recordings), strict=True)
    total = sum(recording.size for recording in planned)
    with observer.progress("reading recordings", total, "bytes") as job:
        digests, failed = digest_recordings(planned, cache, advance=job.advance)
    for name, recordings in found.items():
        for recording in recordings:
            if digests.get(recording) != planned[recording]:
                wrong = failed.get(recording, "it is not the file that the store was built from")
                what = f"the judge `{consistency.NAME}` needs the recordings"
                raise RecordingError(
                    f"{what}; `{recording.name}` of `{name}`: {wrong}",
                    hint="bring the recording back, or give the folder of the datasets with `--data-root`, "
                    "or leave `consistency` out of the `--judges`",
                )
    return found


@dataclass(frozen=True)
class ShardMeasures:
    """Measures the candidates of one shard, one method at a time.

    Args:
        measuring: how.
        score: name of the scorer of the store.
        spec: the source.
        start: row of the first sample.
        samples: what the store says of them.
        recordings: of the source; empty where they are not needed.
        read: gives one method's candidates, uint8 (n, H, W).
    """

    measuring: Measuring
    score: str
    spec: SourceSpec
    start: int
    samples: Sequence[SampleRecord]
    recordings: Sequence[SourceRecording]
    read: Callable[[str], Pictures]

    def records(self) -> list[SampleRecord]:
        """The samples with new scores, judges and reasons; who wins is as it was."""
        methods = [method.name for method in self.spec.methods]
        shape, reasons = (len(self.samples), len(methods)), dict[tuple[int, str], str]()
        values = {name: np.full(shape, np.inf, np.float32) for name in self.measuring.names}
        for row, sample in enumerate(self.samples):
            there = measures_of(sample, methods, self.score)
            for name in self.measuring.stored:
                values[name][row] = there[name]
        if (scoring := self.measuring.scoring) is not None:
            windows = [*self._windows(scoring)] if scoring.consistency else []
            for column, method in enumerate(methods):
                views = {name: found[:, column] for name, found in values.items()}
                lost = self._measure(method, views, scoring, windows)
                reasons |= {(row, method): why for row, why in lost.items()}
        records = []
        for row, sample in enumerate(self.samples):
            found = values_by_method({name: value[row] for name, value in values.items()}, methods)
            why = sample.reasons | {method: text for (at, method), text in reasons.items() if at == row}
            update = {
                "scores": found.pop(self.measuring.names[0]),
                "judges": found,
                "reasons": {method: why[method] for method in methods if method in why},
            }
            records.append(sample.model_copy(update=update))
        return records

    def _measure(
        self, method: str, values: Mapping[str, Floats], scoring: Scoring, windows: Sequence[Window | None]
    ) -> dict[int, str]:
        """Fill in what the store does not know of one method, and give the reasons of lost scores.

        Args:
            method: its name.
            values: float32 (n,) by measure, +inf where there is none; what is missing is put there.
            scoring: measures what the store does not know.
            windows: of the samples, if candidates are compared with them.
        """
        scores = values[self.measuring.names[0]]
        scored = [row for row, sample in enumerate(self.samples) if sample.scores[method] is not None]
        unknown = [row for row in scored if not np.isfinite(scores[row])]
        if not unknown and not (scored and (scoring.judges or scoring.consistency)):
            return {}
        pictures, lost = self.read(method), dict[int, str]()
        if unknown:
            scores[unknown], reasons = scoring.score(pictures[unknown])
            lost = {row: why for row, why in zip(unknown, reasons, strict=True) if why is not None}
            for found in values.values():
                found[list(lost)] = np.inf
        if scored := [row for row in scored if row not in lost]:
            for name, found in scoring.judge(pictures[scored]).items():
                values[name][scored] = found
        for row in scored if windows else ():
            if (window := windows[row]) is not None:
                for name, found in scoring.compare([pictures[row]], window).items():
                    values[name][row] = found[0]
        return lost

    def _windows(self, scoring: Scoring) -> Iterator[Window | None]:
        """The frames of each sample to compare candidates with; None for a sample without candidates."""
        opened: tuple[int, Recording] | None = None
        places = self.spec.samples[self.start : self.start + len(self.samples)]
        for sample, place in zip(self.samples, places, strict=True):
            if all(value is None for value in sample.scores.values()):
                yield None
                continue
            if opened is None or opened[0] != place.recording:
                opened = place.recording, self.recordings[place.recording].open()
            yield opened[1].window(place.centre, *scoring.span)
