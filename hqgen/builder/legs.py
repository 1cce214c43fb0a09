"""The work of one shard: legs that make and score candidates, and the commit that stores the winners.

A leg runs some of the methods on all samples of one shard and keeps, for every sample, only the best
candidate so far. Two legs' results merge by taking the smaller (score, place of the method), which does not
depend on their order; so methods can be spread over workers of different kinds, and a method added later
competes with what the store already holds, which is just one more leg.
"""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from hqgen.builder.output import Output
from hqgen.errors import MethodError, RecordingError, ScoreError, StoreError, UnreadableError
from hqgen.manifest import Record, SampleRecord
from hqgen.methods.base import Method
from hqgen.quality.normalise import Normalisation, to_uint8
from hqgen.quality.scorers import Scorer
from hqgen.sources.samples import Sample
from hqgen.spikes.packed import Window
from hqgen.spikes.recording import Recording
from hqgen.store import digest_images

__all__ = ["Judge", "LegResult", "Shard", "commit", "merge", "run_leg", "stored_leg"]

log = logging.getLogger(__name__)

BATCH = 8
"""Windows that a method gets at once: what a network can batch, and what bounds the memory of a leg."""


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
        weights: sha256 of the weights that the plan fixes, by method; only of methods that have some.
        samples: in the order of the store.
    """

    plan_id: str
    source: str
    index: int
    start: int
    height: int
    width: int
    methods: tuple[str, ...]
    weights: dict[str, str]
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Judge:
    """What turns an image into a candidate and a score."""

    normalisation: Normalisation
    scorer: Scorer

    def candidate(self, image: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The uint8 picture that is scored and, if it wins, stored.

        Raises:
            ScoreError: the image cannot be one: it is flat or not finite.
        """
        return to_uint8(image, self.normalisation)

    def score(self, candidates: NDArray[np.uint8]) -> tuple[NDArray[np.float32], list[str | None]]:
        """Scores as they are stored, float32 (N,), and the reasons of those that are not finite.

        Scores are compared only after the rounding to float32, so that the stored scores tell the winner.
        """
        scores, reasons = self.scorer.score(candidates)
        return scores.astype(np.float32), reasons


class LegResult:
    """For every sample of a shard the best candidate of some methods, with all their scores and reasons.

    Attributes:
        images: uint8 (n, H, W), the best candidates; black where there is none.
        best: index of each sample's best method in the shard's; their number where there is none.
        scores: float32 (n, M), +inf where there is none.
        reasons: by sample index and method name, why there is no score.
    """

    def __init__(self, shard: Shard) -> None:
        count = len(shard.samples)
        self.images = np.zeros((count, shard.height, shard.width), np.uint8)
        self.best = np.full(count, len(shard.methods), np.int16)
        self.scores = np.full((count, len(shard.methods)), np.inf, np.float32)
        self.reasons: dict[tuple[int, str], str] = {}

    def offer(self, sample: int, method: int, score: np.float32, image: NDArray[np.uint8]) -> None:
        """Let a scored candidate compete."""
        self.scores[sample, method] = score
        if np.isfinite(score) and (score, method) < self._best_of(sample):
            self.best[sample] = method
            self.images[sample] = image

    def absorb(self, other: LegResult) -> None:
        """Take over whatever is better in another leg's result."""
        better = [s for s in range(len(self.best)) if other._best_of(s) < self._best_of(s)]
        self.images[better] = other.images[better]
        self.best[better] = other.best[better]
        self.scores = np.minimum(self.scores, other.scores)  # every method ran in one of the two
        self.reasons |= other.reasons

    def _best_of(self, sample: int) -> tuple[np.float32, int]:
        method = int(self.best[sample])
        found = method < self.scores.shape[1]
        return (self.scores[sample, method] if found else np.float32(np.inf)), method


def merge(first: LegResult, second: LegResult) -> LegResult:
    """Merge two legs' results of one shard into the first; the outcome does not depend on the order."""
    first.absorb(second)
    return first


def run_leg(shard: Shard, methods: Sequence[Method], judge: Judge) -> LegResult:
    """Run `methods` on every sample of the shard.

    A sample, a method or a candidate that fails on its content has a reason and harms no other one.

    Raises:
        UnreadableError: a recording that could be read when the build was planned cannot be read now.
        MethodError: a method cannot run on this worker, or would run with other weights than planned.
        MemoryError: there is too little memory for a method.
    """
    for method in methods:
        _check_weights(method, shard.weights.get(method.name))
    with _same_bits_anywhere(methods):
        return _run(shard, methods, judge)


@contextmanager
def _same_bits_anywhere(methods: Sequence[Method]) -> Iterator[None]:
    """Networks run on one thread, so that no byte depends on how many cores a worker has."""
    if all(method.leg == "cpu" for method in methods):
        yield
        return
    from hqgen.devices import one_thread

    with one_thread():
        yield


def _run(shard: Shard, methods: Sequence[Method], judge: Judge) -> LegResult:
    result = LegResult(shard)
    windows = _Windows(shard, methods)
    for start in range(0, len(shard.samples), BATCH):
        batch = list(range(start, min(start + BATCH, len(shard.samples))))
        usable = [(sample, window) for sample in batch if (window := windows.of(sample)) is not None]
        for method in methods:
            _compete(result, shard, method, judge, usable)
    for sample, reason in windows.failures.items():
        result.reasons |= {(sample, method.name): reason for method in methods}
    return result


def _check_weights(method: Method, planned: str | None) -> None:
    found = method.weights_digest()
    if found != planned:
        raise MethodError(
            f"the weights of `{method.name}` on this worker have the digest {found}, the plan says {planned}",
            hint="give all workers the same weights folder, by `HQGEN_WEIGHTS`",
        )


class _Windows:
    """The windows of a shard's samples, wide enough for all methods; one recording is open at a time."""

    def __init__(self, shard: Shard, methods: Sequence[Method]) -> None:
        self._samples = shard.samples
        self._before = max(method.span[0] for method in methods)
        self._after = max(method.span[1] for method in methods)
        self._open: tuple[object, Recording] | None = None
        self.failures: dict[int, str] = {}

    def of(self, index: int) -> Window | None:
        """The window of a sample, or None, with the reason in `failures`."""
        sample = self._samples[index]
        try:
            return self._recording(sample).window(sample.centre, self._before, self._after)
        except UnreadableError:
            raise  # nothing that the recording holds: another worker, or a later run, may read it
        except RecordingError as error:
            self.failures[index] = error.message
            return None

    def _recording(self, sample: Sample) -> Recording:
        if self._open is None or self._open[0] != sample.recording:
            self._open = (sample.recording, sample.recording.open())
        return self._open[1]


def _compete(
    result: LegResult, shard: Shard, method: Method, judge: Judge, windows: list[tuple[int, Window]]
) -> None:
    """Let one method's candidates of some samples compete."""
    place = shard.methods.index(method.name)
    made: list[tuple[int, NDArray[np.uint8]]] = []
    images = _reconstruct(method, [window.around(*method.span) for _, window in windows])
    for (sample, _), image in zip(windows, images, strict=True):
        try:
            if isinstance(image, MethodError):
                raise image
            made.append((sample, judge.candidate(image)))
        except (MethodError, ScoreError) as error:
            result.reasons[sample, method.name] = error.message
    if not made:
        return
    scores, reasons = judge.score(np.stack([candidate for _, candidate in made]))
    for (sample, candidate), score, reason in zip(made, scores, reasons, strict=True):
        if reason is None:
            result.offer(sample, place, score, candidate)
        else:
            result.reasons[sample, method.name] = reason


def _reconstruct(method: Method, windows: list[Window]) -> list[NDArray[np.float32] | MethodError]:
    """Images of some windows; what a method raises against its contract becomes a reason, too."""
    try:
        return method.reconstruct_batch(windows)
    except (MethodError, MemoryError):
        raise  # no property of the windows: another worker, or a later run, must do the shard
    except Exception as error:  # noqa: BLE001 - any method may come from a third party
        log.info("method %s failed:\n%s", method.name, traceback.format_exc())
        if len(windows) > 1:
            return [image for window in windows for image in _reconstruct(method, [window])]
        return [MethodError(f"`{method.name}` failed: {type(error).__name__}: {error}")]


def stored_leg(
    output: Output, shard: Shard, methods: Sequence[Method], judge: Judge, record: Record
) -> LegResult:
    """What the store already holds of a shard, as a leg of the `methods` of its record.

    Where a kill came between the images and their record, the two do not fit, and the methods run again.
    """
    try:
        images = output.store.read_shard(shard.source, shard.start, len(shard.samples))
    except StoreError:
        return run_leg(shard, methods, judge)
    if digest_images(images) != record.images_blake3:
        return run_leg(shard, methods, judge)
    result = LegResult(shard)
    result.images[:] = images
    for index, sample in enumerate(record.samples):
        for name, score in sample.scores.items():
            result.scores[index, shard.methods.index(name)] = np.inf if score is None else score
        if sample.method is not None:
            result.best[index] = shard.methods.index(sample.method)
        result.reasons |= {(index, name): reason for name, reason in sample.reasons.items()}
    return result


def commit(output: Output, shard: Shard, *results: LegResult) -> Record:
    """Write a shard whole, then its record.

    Raises:
        OSError: no space, no permission; the record is not written then, and the shard counts as missing.
    """
    result = reduce(merge, results)
    output.store.write_shard(shard.source, shard.start, result.images)
    record = Record(
        plan=shard.plan_id,
        source=shard.source,
        shard=shard.index,
        images_blake3=digest_images(result.images),
        samples=tuple(_sample_records(shard, result)),
    )
    output.write_record(record)
    return record


def _sample_records(shard: Shard, result: LegResult) -> Iterator[SampleRecord]:
    for index, sample in enumerate(shard.samples):
        scores = {name: _number(result.scores[index, m]) for m, name in enumerate(shard.methods)}
        best = int(result.best[index])
        winner = shard.methods[best] if best < len(shard.methods) else None
        ranked = np.sort(result.scores[index])
        yield SampleRecord(
            key=sample.key,
            method=winner,
            margin=_number(ranked[1] - ranked[0]) if winner and len(ranked) > 1 else None,
            scores=scores,
            reasons={
                name: result.reasons[index, name] for name in shard.methods if (index, name) in result.reasons
            },
        )


def _number(value: np.float32) -> float | None:
    return float(value) if math.isfinite(value) else None
