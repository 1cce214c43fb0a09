"""How much worse than the best method the picks of each rule are, where there is ground truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hqgen.benchmark.results import Benchmark, Judged, SourceFacts
from hqgen.inspection.regret import JudgedSample, RuleRegret, rule_regrets
from hqgen.quality.consistency import NAME as CONSISTENCY
from hqgen.quality.rules import get_rule, rule_names


def regrets(found: Benchmark) -> dict[str, tuple[RuleRegret, ...]]:
    """The regret of every rule, by source; only sources with ground truth.

    Every method of the benchmark is a candidate. Rules see the judgements of the bright pictures.
    """
    rules = [get_rule(name) for name in rule_names()]
    by_source = {source.name: _samples(found, source) for source in found.sources}
    return {name: tuple(rule_regrets(samples, rules)) for name, samples in by_source.items() if samples}


def _samples(found: Benchmark, source: SourceFacts) -> list[JudgedSample]:
    judged = [found.result(method.label, source.name).judged for method in found.methods]
    keys = [sample.key for sample in source.samples if sample.truth_blake3 is not None]
    return [_sample(key, [item.get(key) for item in judged], list(found.rules["scorers"])) for key in keys]


def _sample(key: str, judged: list[Judged | None], scorers: list[str]) -> JudgedSample:
    bright = [item.bright if item is not None else {} for item in judged]
    agreement = [item.consistency if item is not None else None for item in judged]
    measures = {name: [scores.get(name) for scores in bright] for name in scorers} | {CONSISTENCY: agreement}
    distances = [item.fitted if item is not None else None for item in judged]
    return JudgedSample(
        key=key,
        measures={name: _array(values, np.inf).astype(np.float32) for name, values in measures.items()},
        psnr=_array([item.psnr if item is not None else None for item in distances], np.nan),
        ssim=_array([item.ssim if item is not None else None for item in distances], np.nan),
    )


def _array(values: list[float | None], missing: float) -> NDArray[np.float64]:
    return np.array([missing if value is None else value for value in values], np.float64)
