"""Every stored candidate beside the ground truth, and what each rule's picks lack to the best candidates.

A stored candidate has lost its scale, so it is compared at the gain that fits it best. Only the store, its
manifest and the ground truth are read: no method runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqgen.decision import measures_of
from hqgen.errors import HqgenError
from hqgen.inspection.regret import JudgedSample, RuleRegret, rule_regrets
from hqgen.inspection.truth import source_with_truth
from hqgen.manifest import SampleRecord, SourceManifest, SourceSpec
from hqgen.quality.fidelity import fair_image, psnr, ssim
from hqgen.quality.rules import get_rule, rule_names
from hqgen.sources.source import Source
from hqgen.store import HQSource, open_described


@dataclass(frozen=True)
class ComparedCandidates:
    """The candidates of one sample beside its ground truth.

    Attributes:
        key: of the sample.
        winner: the method that won; None without a winner.
        psnr: by method, dB at the best gain; None without a candidate, or where the two are equal.
        ssim: by method, at the best gain; None without a candidate.
    """

    key: str
    winner: str | None
    psnr: dict[str, float | None]
    ssim: dict[str, float | None]


@dataclass(frozen=True)
class SourceChoices:
    """One source's candidates beside the ground truth; plain values all through.

    Attributes:
        name: the source.
        psnr: by method, mean over the samples that have the number, dB; None where none has.
        ssim: the same of the structural similarity.
        samples: those with ground truth, in the order of the store.
        regrets: of every rule, over these samples.
        skipped: samples that could not be compared, with the reasons.
    """

    name: str
    psnr: dict[str, float | None]
    ssim: dict[str, float | None]
    samples: tuple[ComparedCandidates, ...]
    regrets: tuple[RuleRegret, ...]
    skipped: dict[str, str]


def compare_candidates(
    manifest_path: str | Path,
    data_root: Path | None = None,
    *,
    advance: Callable[[int], None] = lambda _samples: None,
) -> list[SourceChoices]:
    """Compare all candidates of a finished store with the ground truth.

    Args:
        manifest_path: the manifest.
        data_root: where the catalog's folders are, for sources that are no longer where they were.
        advance: called with a number of samples whenever so many are done, those without ground truth, too.

    Returns:
        The sources that have ground truth of at least one sample, in the plan's order; none of a store that
        holds winners only.

    Raises:
        SourceError: the files of a source with ground truth are gone.
        StoreError: there is no manifest or no complete store, or the two are of different plans.
    """
    manifest, store = open_described(Path(manifest_path))
    choices = []
    for spec, found in zip(manifest.plan.sources, manifest.sources, strict=True):
        stored = store[spec.name]
        source = source_with_truth(found, data_root) if stored.candidates else None
        if source is None:
            advance(len(found.samples))
            continue
        compared = _source(spec, found, stored, source, str(manifest.plan.scorer["name"]), advance)
        choices += [compared] if compared.samples or compared.skipped else []
    return choices


def _source(
    spec: SourceSpec,
    found: SourceManifest,
    stored: HQSource,
    source: Source,
    score: str,
    advance: Callable[[int], None],
) -> SourceChoices:
    methods = [method.name for method in spec.methods]
    truths = {sample.key: source.truth(sample) for sample in source.samples}
    judged: list[JudgedSample] = []
    samples: list[ComparedCandidates] = []
    skipped = {}
    for row, sample in enumerate(found.samples):
        truth = truths.get(sample.key)
        if truth is not None:
            try:
                judged.append(_judged(sample, row, methods, stored, truth.light().astype(np.float64), score))
                samples.append(_compared(sample, methods, judged[-1]))
            except HqgenError as error:
                skipped[sample.key] = error.message
        advance(1)
    return SourceChoices(
        name=spec.name,
        psnr=_means(methods, [item.psnr for item in samples]),
        ssim=_means(methods, [item.ssim for item in samples]),
        samples=tuple(samples),
        regrets=tuple(rule_regrets(judged, [get_rule(name, score=score) for name in rule_names()])),
        skipped=skipped,
    )


def _judged(
    sample: SampleRecord,
    row: int,
    methods: list[str],
    stored: HQSource,
    truth: NDArray[np.float64],
    score: str,
) -> JudgedSample:
    """The candidates of one sample with all their measures, and with their quality by the truth."""
    psnrs, ssims = np.full(len(methods), np.nan), np.full(len(methods), np.nan)
    for column, method in enumerate(methods):
        if sample.scores[method] is not None:
            image = fair_image(np.asarray(stored.candidates[method][row]), truth)
            quality = psnr(image, truth)
            psnrs[column] = np.inf if quality is None else quality
            ssims[column] = ssim(image, truth)
    return JudgedSample(sample.key, measures_of(sample, methods, score), psnrs, ssims)


def _compared(sample: SampleRecord, methods: list[str], judged: JudgedSample) -> ComparedCandidates:
    return ComparedCandidates(
        key=sample.key,
        winner=sample.method,
        psnr=dict(zip(methods, map(_number, judged.psnr), strict=True)),
        ssim=dict(zip(methods, map(_number, judged.ssim), strict=True)),
    )


def _number(value: np.float64) -> float | None:
    return float(value) if np.isfinite(value) else None


def _means(methods: list[str], rows: list[dict[str, float | None]]) -> dict[str, float | None]:
    """The mean of every method's numbers."""
    found = {name: [value for row in rows if (value := row[name]) is not None] for name in methods}
    return {name: float(np.mean(values)) if values else None for name, values in found.items()}
