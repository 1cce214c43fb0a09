"""The work of one shard: legs that make and score candidates, and the commit that stores the winners.

A leg runs some of the methods on all samples of one shard and keeps, for every sample, only the best
candidate so far. Two legs' results merge by taking the smaller (score, column of the method), which does not
depend on their order; so methods can be spread over workers of different kinds, and a method added later
competes with what the store already holds, which is just one more leg.
"""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import islice
from operator import methodcaller
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from hqgen.builder.output import Output
from hqgen.builder.plan import PlannedMethod, Scoring, Shard
from hqgen.errors import MethodError, RecordingError, ScoreError, StoreError, UnreadableError
from hqgen.manifest import SampleRecord, ShardRecord
from hqgen.methods.base import Method
from hqgen.spikes.packed import Window
from hqgen.store import digest_images

log = logging.getLogger(__name__)

Value = TypeVar("Value")

BATCH = 8
"""Windows that a method gets at once: what a network can batch, and what bounds the memory of a leg."""


@dataclass(frozen=True)
class ShardLeg:
    """A leg of a shard.

    Attributes:
        kind: the kind of worker that it needs; `stored` where the store holds its result.
        methods: that run in it, or ran when its result was stored.
        record: of what the store holds; None for a leg that is not stored.
    """

    kind: Literal["cpu", "gpu", "stored"]
    methods: tuple[PlannedMethod, ...]
    record: ShardRecord | None = None


class LegResult:
    """For every sample of a shard the best candidate of some methods, with all their scores and reasons.

    Attributes:
        images: uint8 (n, H, W), the best candidates; black if there is none.
        best: column of each sample's best method; the number of methods if there is none.
        scores: float32 (n, M), +inf if there is none.
        reasons: by sample index and column of the method, why there is no score.
        mirrored: by the same, the part of the frames it looked at which are mirrored; only parts above 0.
    """

    def __init__(self, shard: Shard) -> None:
        count = len(shard.samples)
        self.images = np.zeros((count, shard.height, shard.width), np.uint8)
        self.best = np.full(count, len(shard.methods), np.int16)
        self.scores = np.full((count, len(shard.methods)), np.inf, np.float32)
        self.reasons: dict[tuple[int, int], str] = {}
        self.mirrored: dict[tuple[int, int], float] = {}

    def offer(self, sample: int, column: int, score: np.float32, image: NDArray[np.uint8]) -> None:
        """Let a scored candidate compete."""
        self.scores[sample, column] = score
        if np.isfinite(score) and (score, column) < self._best_of(sample):
            self.best[sample] = column
            self.images[sample] = image

    def merge(self, other: LegResult) -> LegResult:
        """Take what is better in another leg's result; the order of the two makes no difference."""
        better = [s for s in range(len(self.best)) if other._best_of(s) < self._best_of(s)]
        self.images[better] = other.images[better]
        self.best[better] = other.best[better]
        self.scores = np.minimum(self.scores, other.scores)  # every method ran in one of the two
        self.reasons |= other.reasons
        self.mirrored |= other.mirrored
        return self

    def _best_of(self, sample: int) -> tuple[np.float32, int]:
        column = int(self.best[sample])
        found = column < self.scores.shape[1]
        return (self.scores[sample, column] if found else np.float32(np.inf)), column


def run_leg(shard: Shard, leg: ShardLeg, scoring: Scoring, output: Output) -> LegResult:
    """Run a leg, or read what the store holds of it.

    Where a kill came between the images and their record, the two do not fit, and the methods run again.

    Raises:
        HqgenError: as `run_methods`.
    """
    stored = None if leg.record is None else _stored_result(shard, leg.record, output)
    return run_methods(shard, leg.methods, scoring) if stored is None else stored


def _stored_result(shard: Shard, record: ShardRecord, output: Output) -> LegResult | None:
    """What the store holds of a shard; None where that is damaged or not what the record speaks of."""
    try:
        images = output.store.read_shard(shard.source, shard.start, len(shard.samples))
    except StoreError:
        return None
    if digest_images(images) != record.images_blake3:
        return None
    result, columns = LegResult(shard), {name: column for column, name in enumerate(shard.methods)}
    result.images[:] = images
    for index, sample in enumerate(record.samples):
        for name, score in sample.scores.items():
            result.scores[index, columns[name]] = np.inf if score is None else score
        if sample.method is not None:
            result.best[index] = columns[sample.method]
        result.reasons |= {(index, columns[name]): reason for name, reason in sample.reasons.items()}
        result.mirrored |= {(index, columns[name]): share for name, share in sample.mirrored.items()}
    return result


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
    result, windows = LegResult(shard), enumerate(_windows(shard, methods))
    with _same_bits_anywhere(methods):
        while batch := list(islice(windows, BATCH)):
            usable = [(sample, window) for sample, window in batch if isinstance(window, Window)]
            for planned in methods:
                _compete(result, planned, scoring, usable)
                result.reasons |= {(s, planned.column): why for s, why in batch if isinstance(why, str)}
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


def _windows(shard: Shard, methods: Sequence[PlannedMethod]) -> Iterator[Window | str]:
    """Every sample's window, wide enough for all methods, or why there is none; one recording is open."""
    before, after = (max(planned.method.span[side] for planned in methods) for side in (0, 1))
    opened = lru_cache(maxsize=1)(methodcaller("open"))
    for sample in shard.samples:
        try:
            yield opened(sample.recording).window(sample.centre, before, after)
        except UnreadableError:
            raise  # nothing that the recording holds: another worker, or a later run, may read it
        except RecordingError as error:
            yield error.message


def _compete(
    result: LegResult, planned: PlannedMethod, scoring: Scoring, windows: list[tuple[int, Window]]
) -> None:
    """Let one method's candidates of some samples compete."""
    made: list[tuple[int, NDArray[np.uint8]]] = []
    for sample, window in windows:
        if share := planned.method.mirrored_share(window):
            result.mirrored[sample, planned.column] = share
    images = _reconstruct(planned.method, [window.around(*planned.method.span) for _, window in windows])
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
    for (sample, candidate), score, reason in zip(made, scores, reasons, strict=True):
        if reason is None:
            result.offer(sample, planned.column, score, candidate)
        else:
            result.reasons[sample, planned.column] = reason


def _reconstruct(method: Method, windows: list[Window]) -> list[NDArray[np.float32] | MethodError]:
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


def commit(output: Output, shard: Shard, *results: LegResult) -> ShardRecord:
    """Write a shard whole, then its record.

    Raises:
        OSError: no space, no permission; the record is not written then, and the shard counts as missing.
    """
    result = reduce(LegResult.merge, results)
    output.store.write_shard(shard.source, shard.start, result.images)
    record = ShardRecord(
        plan=shard.plan_id,
        source=shard.source,
        shard=shard.index,
        images_blake3=digest_images(result.images),
        samples=tuple(_sample_records(shard, result)),
    )
    output.write_record(record)
    return record


def _sample_records(shard: Shard, result: LegResult) -> Iterator[SampleRecord]:
    names = list(enumerate(shard.methods))
    for index, sample in enumerate(shard.samples):
        best = int(result.best[index])
        winner = shard.methods[best] if best < len(names) else None
        ranked = np.sort(result.scores[index])
        yield SampleRecord(
            key=sample.key,
            method=winner,
            margin=_number(ranked[1] - ranked[0]) if winner and len(ranked) > 1 else None,
            scores={name: _number(result.scores[index, column]) for column, name in names},
            reasons=_of_sample(result.reasons, index, names),
            mirrored=_of_sample(result.mirrored, index, names),
        )


def _of_sample(
    values: dict[tuple[int, int], Value], sample: int, names: list[tuple[int, str]]
) -> dict[str, Value]:
    """The values of one sample, by method."""
    return {name: values[sample, column] for column, name in names if (sample, column) in values}


def _number(value: np.float32) -> float | None:
    return float(value) if math.isfinite(value) else None
