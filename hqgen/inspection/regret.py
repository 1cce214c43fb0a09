"""Regret: how much worse a rule's pick is than the best candidate, where the truth is known.

Candidates have no common scale, so each is compared with the truth at its own best gain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import ScoreError
from hqgen.quality.rules import Measures, Rule

RESAMPLES = 2000
"""Bootstrap samples of a confidence interval."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class JudgedSample:
    """The candidates of one sample, judged without and with the truth; M candidates.

    Attributes:
        key: of the sample.
        measures: by judge, float32 (M,), +inf where a candidate has none: what a rule sees.
        psnr: float64 (M,), dB at the best gain; NaN where there is no candidate.
        ssim: float64 (M,), at the best gain; NaN where there is no candidate.
    """

    key: str
    measures: Measures
    psnr: Values
    ssim: Values


@dataclass(frozen=True)
class Lack:
    """What the picks lack to the best candidates.

    Attributes:
        mean: over the samples.
        low: lower end of the 95 % confidence interval of the mean (bootstrap over samples).
        high: its upper end.
        worst: the largest.
        worst_key: the sample with the largest.
    """

    mean: float
    low: float
    high: float
    worst: float
    worst_key: str


@dataclass(frozen=True)
class RuleRegret:
    """The regret of one rule; plain values all through.

    Attributes:
        rule: its name.
        samples: how many it picked from.
        unpicked: samples with candidates of which it picked none.
        psnr: in dB; None without a sample.
        ssim: None without a sample.
        missing: why the rule could not be applied; None if it could.
    """

    rule: str
    samples: int
    unpicked: int
    psnr: Lack | None
    ssim: Lack | None
    missing: str | None = None


def rule_regrets(samples: Sequence[JudgedSample], rules: Sequence[Rule]) -> list[RuleRegret]:
    """The regret of every rule over the same samples; samples without any candidate do not count.

    A rule that needs a measure which is not there has no regret, and says why.
    """
    known = [sample for sample in samples if np.isfinite(sample.psnr).any()]
    return [_rule_regret(known, rule) for rule in rules]


def _rule_regret(samples: Sequence[JudgedSample], rule: Rule) -> RuleRegret:
    try:
        picks = [rule.pick(sample.measures) for sample in samples]
    except ScoreError as error:
        return RuleRegret(rule.name, 0, 0, None, None, error.message)
    picked = [(sample, pick) for sample, pick in zip(samples, picks, strict=True) if pick is not None]
    keys = [sample.key for sample, _ in picked]
    return RuleRegret(
        rule=rule.name,
        samples=len(picked),
        unpicked=len(samples) - len(picked),
        psnr=lack([np.nanmax(sample.psnr) - sample.psnr[pick] for sample, pick in picked], keys),
        ssim=lack([np.nanmax(sample.ssim) - sample.ssim[pick] for sample, pick in picked], keys),
    )


def lack(values: Sequence[float], keys: Sequence[str]) -> Lack | None:
    """Summarise regrets of samples; None without any. The same values always give the same interval."""
    if not values:
        return None
    regrets = np.array(values, np.float64)
    drawn = np.random.default_rng(0).integers(len(regrets), size=(RESAMPLES, len(regrets)))
    low, high = np.quantile(regrets[drawn].mean(axis=1), [0.025, 0.975])
    worst = int(np.argmax(regrets))
    return Lack(float(regrets.mean()), float(low), float(high), float(regrets[worst]), keys[worst])
