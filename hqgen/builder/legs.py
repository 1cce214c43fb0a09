"""The work of one shard: legs that make and measure candidates, and the commit that picks and stores.

A leg runs some of the methods on the samples of a shard, or of a piece of it, and gives back all their
candidates with all their measures. The commit puts the results of all legs and pieces into their places.
Their order makes no difference, so methods and samples can be spread over workers. A method added later
competes with what the store already holds, which is just one more leg. Only the commit, which sees every
measure, picks the winners.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, islice
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from hqgen.builder.earlier import FinishedSample, StoredShard
from hqgen.builder.output import Output
from hqgen.builder.plan import PlannedMethod, Shard
from hqgen.builder.scoring import Scoring
from hqgen.decision import Decider, Decision, measures_of, values_by_method
from hqgen.errors import MethodError, RecordingError, ScoreError, StoreError, UnreadableError
from hqgen.manifest import SampleRecord, ShardRecord
from hqgen.methods.base import Method
from hqgen.methods.mosaic import OnMosaic
from hqgen.sources.recordings import SourceRecording
from hqgen.spikes.camera import Pattern
from hqgen.spikes.packed import Window
from hqgen.spikes.recording import Recording
from hqgen.store import IMAGES, candidates_of, digest_images

log = logging.getLogger(__name__)

Value = TypeVar("Value")
Floats = NDArray[np.float32]

BATCH = 8
"""Windows that a method gets at once: what a network can batch, and what bounds the memory of a leg."""


@dataclass(frozen=True)
class ShardLeg:
    """A leg of a shard.

    Attributes:
        kind: the kind of worker that it needs; `stored` where stores hold its result.
        methods: that run in it, or ran when its result was stored.
        rows: samples of the shard that it is for; None for all.
        finished: of a `stored` leg, where each sample of the shard is; None for one that is nowhere.
    """

    kind: Literal["cpu", "gpu", "stored"]
    methods: tuple[PlannedMethod, ...]
    rows: range | None = None
    finished: tuple[FinishedSample | None, ...] = ()


class LegResult:
    """What some methods made of the samples of a shard, or of a piece of it.

    Attributes:
        start: row of its first sample in the store.
        candidates: by column of the method, uint8 (n, H, W); black where a candidate has no score.
        measures: by name, the score first, float32 (n, M); +inf where there is none, or the method ran in
            another leg.
        reasons: by sample index and column of the method, why there is no score.
        mirrored: by the same, the part of the frames it looked at which are mirrored; only parts above 0.
    """

    def __init__(self, shard: Shard, columns: Sequence[int], measures: Sequence[str]) -> None:
        count, self.start = len(shard.samples), shard.start
        self.candidates = {
            column: np.zeros((count, shard.height, shard.width), np.uint8) for column in columns
        }
        self.measures = {name: np.full((count, len(shard.methods)), np.inf, np.float32) for name in measures}
        self.reasons: dict[tuple[int, int], str] = {}
        self.mirrored: dict[tuple[int, int], float] = {}

    def measures_at(self, sample: int) -> dict[str, Floats]:
        """The measures of one sample: float32 (M,) by name."""
        return {name: values[sample] for name, values in self.measures.items()}


def gathered(shard: Shard, results: Sequence[LegResult]) -> LegResult:
    """The whole of a shard from the results of its legs and pieces, in any order."""
    columns = sorted({column for result in results for column in result.candidates})
    whole = LegResult(shard, columns, list(results[0].measures))
    for result in results:
        first = result.start - shard.start
        for column, pictures in result.candidates.items():
            filled = whole.candidates[column][first : first + len(pictures)]
            np.maximum(filled, pictures, out=filled)  # one leg has the candidate; it is black in the others
        for name, values in result.measures.items():
            place = whole.measures[name][first : first + len(values)]
            np.minimum(place, values, out=place)  # a method runs in one leg; the others say +inf
        whole.reasons |= {(first + sample, column): why for (sample, column), why in result.reasons.items()}
        whole.mirrored |= {(first + sample, column): s for (sample, column), s in result.mirrored.items()}
    return whole


def run_leg(shard: Shard, leg: ShardLeg, scoring: Scoring) -> LegResult:
    """Run a leg on a shard or a piece of it, or read what stores hold of a whole shard.

    Where what a store holds is damaged, the methods run again.

    Raises:
        HqgenError: as `run_methods`.
    """
    stored = _stored_result(shard, leg, scoring) if leg.kind == "stored" else None
    return run_methods(shard, leg.methods, scoring) if stored is None else stored


def _stored_result(shard: Shard, leg: ShardLeg, scoring: Scoring) -> LegResult | None:
    """What stores hold of a shard; None where that is damaged or not what its record speaks of."""
    columns = {planned.spec.name: planned.column for planned in leg.methods}
    result = LegResult(shard, list(columns.values()), scoring.measures)
    there = [(index, sample) for index, sample in enumerate(leg.finished) if sample is not None]
    for place, samples in groupby(there, lambda item: item[1].shard):
        found = _read(place)
        if found is None:
            return None
        record, pictures = found
        for index, finished in samples:
            sample = record.samples[finished.row]
            names = [name for name in columns if name in finished.methods]
            places = [columns[name] for name in names]
            for measure, values in measures_of(sample, names, scoring.scorer.name).items():
                result.measures[measure][index, places] = values
            result.reasons |= {(index, columns[n]): why for n, why in sample.reasons.items() if n in names}
            result.mirrored |= {(index, columns[n]): s for n, s in sample.mirrored.items() if n in names}
            # In a store of winners, only a winner can win again: `FinishedSamples` sees to it.
            kept = names if record.candidates_blake3 else [name for name in names if name == sample.method]
            for name in kept:
                array = candidates_of(name) if record.candidates_blake3 else IMAGES
                result.candidates[columns[name]][index] = pictures[array][finished.row]
    return result


def _read(place: StoredShard) -> tuple[ShardRecord, dict[str, NDArray[np.uint8]]] | None:
    """The record of a shard, and its candidates, or else the winners, by array; None if damaged."""
    pictures = {}
    try:
        record = place.build.record(place.source, place.index)
        digests = {candidates_of(name): digest for name, digest in record.candidates_blake3.items()}
        for array, digest in (digests or {IMAGES: record.images_blake3}).items():
            count, store = len(record.samples), place.build.store
            pictures[array] = store.read_shard(place.source, place.start, count, array)
            if digest_images(pictures[array]) != digest:
                return None
    except StoreError:
        return None
    return record, pictures


def run_methods(shard: Shard, methods: Sequence[PlannedMethod], scoring: Scoring) -> LegResult:
    """Run `methods` on every sample of the shard.

    A sample, a method or a candidate that fails on its content has a reason and harms no other one.

    Raises:
        UnreadableError: a recording that could be read when the build was planned cannot be read now.
        MethodError: a method cannot run on this worker, or would run with other weights than planned.
        MemoryError: there is too little memory for a method.
    """
    for planned in methods:
        _check_weights(planned)
    result = LegResult(shard, [planned.column for planned in methods], scoring.measures)
    windows = enumerate(_windows(shard, methods, scoring))
    with _same_bits_anywhere(methods):
        while batch := list(islice(windows, BATCH)):
            usable = [(sample, window) for sample, window in batch if isinstance(window, Window)]
            for planned in methods:
                _compete(result, planned, scoring, usable, shard.colour)
                result.reasons |= {(s, planned.column): why for s, why in batch if isinstance(why, str)}
            for sample, window in usable:
                _compare(result, sample, scoring, window)
    return result


def _check_weights(planned: PlannedMethod) -> None:
    found = planned.method.weights_digest()
    if found != planned.spec.weights:
        raise MethodError(
            f"the weights of `{planned.spec.name}` on this worker have the digest {found}, "
            f"the plan says {planned.spec.weights}",
            hint="give all workers the same weights folder, by `HQGEN_WEIGHTS`",
        )


def _same_bits_anywhere(methods: Sequence[PlannedMethod]) -> AbstractContextManager[None]:
    """Networks run on one thread, so that no byte depends on how many cores a worker has."""
    if all(planned.spec.leg == "cpu" for planned in methods):
        return nullcontext()
    from hqgen.devices import one_thread

    return one_thread()


def _windows(shard: Shard, methods: Sequence[PlannedMethod], scoring: Scoring) -> Iterator[Window | str]:
    """Every sample's window, wide enough for all, or why there is none."""
    before, after = (
        max(s[side] for s in (scoring.span, *(p.method.span for p in methods))) for side in (0, 1)
    )
    for sample in shard.samples:
        try:
            yield _opened(sample.recording, shard.plan_id).window(sample.centre, before, after)
        except UnreadableError:
            raise  # nothing that the recording holds: another worker, or a later run, may read it
        except RecordingError as error:
            yield error.message


@lru_cache(maxsize=1)
def _opened(recording: SourceRecording, _plan_id: str) -> Recording:
    """A recording; the last one stays open, for the next piece. A changed one is part of another plan."""
    return recording.open()


def _compete(
    result: LegResult,
    planned: PlannedMethod,
    scoring: Scoring,
    windows: list[tuple[int, Window]],
    colour: Pattern | None,
) -> None:
    """Let one method's candidates of some samples compete."""
    made: list[tuple[int, NDArray[np.uint8]]] = []
    for sample, window in windows:
        if share := planned.method.mirrored_share(window):
            result.mirrored[sample, planned.column] = share
    method = planned.method if colour is None else OnMosaic(planned.method, colour)
    images = _reconstruct(method, [window.around(*planned.method.span) for _, window in windows])
    for (sample, _), image in zip(windows, images, strict=True):
        try:
            if isinstance(image, MethodError):
                raise image
            made.append((sample, scoring.candidate(image)))
        except (MethodError, ScoreError) as error:
            result.reasons[sample, planned.column] = error.message
    if not made:
        return
    scores, reasons = scoring.score(np.stack([candidate for _, candidate in made]))
    failed = {sample: why for (sample, _), why in zip(made, reasons, strict=True) if why is not None}
    result.reasons |= {(sample, planned.column): why for sample, why in failed.items()}
    scored = [(*item, score) for item, score in zip(made, scores, strict=True) if item[0] not in failed]
    if not scored:
        return
    samples = [sample for sample, _, _ in scored]
    candidates = np.stack([candidate for _, candidate, _ in scored])
    result.candidates[planned.column][samples] = candidates
    result.measures[scoring.scorer.name][samples, planned.column] = [score for _, _, score in scored]
    for name, values in scoring.judge(candidates).items():
        result.measures[name][samples, planned.column] = values


def _compare(result: LegResult, sample: int, scoring: Scoring, window: Window) -> None:
    """Compare the scored candidates of one sample with its spikes."""
    scores = result.measures[scoring.scorer.name][sample]
    scored = [column for column in result.candidates if np.isfinite(scores[column])]
    if scored:
        candidates = [result.candidates[column][sample] for column in scored]
        for name, values in scoring.compare(candidates, window).items():
            result.measures[name][sample, scored] = values


def _reconstruct(method: Method | OnMosaic, windows: list[Window]) -> list[NDArray[np.float32] | MethodError]:
    """Images of some windows; what a method raises against its contract becomes a reason, too."""
    try:
        return method.reconstruct_batch(windows)
    except (MethodError, MemoryError):
        raise  # not a property of the windows: another worker, or a later run, must do the shard
    except Exception as error:  # noqa: BLE001 - any method may come from a third party
        log.info("method %s failed:\n%s", method.name, traceback.format_exc())
        if len(windows) > 1:
            return [image for window in windows for image in _reconstruct(method, [window])]
        return [MethodError(f"`{method.name}` failed: {type(error).__name__}: {error}")]


def commit(output: Output, shard: Shard, decider: Decider, *results: LegResult) -> ShardRecord:
    """Pick the winners of a shard from the results of all its legs, write its arrays whole, then its record.

    Raises:
        OSError: no space, no permission; the record is not written then, and the shard counts as missing.
    """
    result = gathered(shard, results)
    decisions = [
        decider.decide(shard.methods, result.measures_at(sample)) for sample in range(len(shard.samples))
    ]
    candidates = {shard.methods[column]: pictures for column, pictures in sorted(result.candidates.items())}
    output.withdraw_record(shard.source, shard.index)
    images = np.zeros((len(decisions), shard.height, shard.width), np.uint8)
    for row, decision in enumerate(decisions):
        if decision.method is not None:
            images[row] = candidates[decision.method][row]
    kept = candidates if shard.keep_candidates else {}
    for method, pictures in kept.items():
        output.store.write_shard(shard.source, shard.start, pictures, candidates_of(method))
    output.store.write_shard(shard.source, shard.start, images)
    record = ShardRecord(
        plan=shard.plan_id,
        source=shard.source,
        shard=shard.index,
        images_blake3=digest_images(images),
        candidates_blake3={method: digest_images(pictures) for method, pictures in kept.items()},
        samples=tuple(_sample_records(shard, decisions, decider.score, result)),
    )
    return output.write_record(record)


def _sample_records(
    shard: Shard, decisions: Sequence[Decision], score: str, result: LegResult
) -> Iterator[SampleRecord]:
    names = list(enumerate(shard.methods))
    for index, (sample, decision) in enumerate(zip(shard.samples, decisions, strict=True)):
        values = values_by_method(result.measures_at(index), shard.methods)
        yield SampleRecord(
            key=sample.key,
            method=decision.method,
            margin=decision.margin,
            scores=values.pop(score),
            judges=values,
            refused=decision.refused,
            reasons=_of_sample(result.reasons, index, names),
            mirrored=_of_sample(result.mirrored, index, names),
        )


def _of_sample(
    values: dict[tuple[int, int], Value], sample: int, names: list[tuple[int, str]]
) -> dict[str, Value]:
    """The values of one sample, by method."""
    return {name: values[sample, column] for column, name in names if (sample, column) in values}
