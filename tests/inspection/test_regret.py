"""Regret of rules, from numbers."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.inspection.regret import JudgedSample, RuleRegret, lack, rule_regrets
from hqgen.quality.rules import get_rule, rule_names


def sample(key: str, niqe: list[float], psnr: list[float], consistency: list[float]) -> JudgedSample:
    measures = {"niqe": np.array(niqe, np.float32), "consistency": np.array(consistency, np.float32)}
    return JudgedSample(key, measures, np.array(psnr), np.array(psnr) / 50)


SAMPLES = [
    sample("a", [3, 4], [30, 35], [5, 1]),
    sample("b", [3, 4], [31, 30], [1, 1]),
]


def regret(rule: str, samples: list[JudgedSample]) -> RuleRegret:
    return rule_regrets(samples, [get_rule(rule)])[0]


def test_regret_is_what_the_pick_lacks_to_the_best_candidate() -> None:
    found = regret("niqe", SAMPLES)
    assert found.psnr is not None
    assert found.ssim is not None
    assert (found.samples, found.psnr.mean, found.psnr.worst, found.psnr.worst_key) == (2, 2.5, 5, "a")
    assert found.ssim.worst == pytest.approx(0.1)
    assert found.psnr.low <= 2.5 <= found.psnr.high


def test_a_rule_that_always_takes_the_best_has_none() -> None:
    found = regret("niqe-guarded", SAMPLES)
    assert found.psnr is not None
    assert (found.psnr.mean, found.psnr.worst) == (0, 0)


def test_a_candidate_that_could_not_be_made_is_not_the_best_one() -> None:
    found = regret("niqe", [sample("a", [np.inf, 4], [np.nan, 35], [np.inf, 1])])
    assert found.psnr is not None
    assert found.psnr.mean == 0


def test_a_sample_without_a_candidate_does_not_count() -> None:
    found = regret("niqe", [*SAMPLES, sample("c", [np.inf], [np.nan], [np.inf])])
    assert (found.samples, found.unpicked) == (2, 0)


def test_a_sample_of_which_nothing_is_picked_is_counted_apart() -> None:
    found = regret("niqe-guarded", [*SAMPLES, sample("c", [3], [30], [np.inf])])
    assert (found.samples, found.unpicked) == (2, 1)


def test_a_rule_without_its_measures_says_what_is_missing() -> None:
    found = regret("consensus", SAMPLES)
    assert found.psnr is None
    assert "grain" in str(found.missing)


def test_no_sample_is_no_regret() -> None:
    found = regret("niqe", [])
    assert (found.samples, found.psnr, found.missing) == (0, None, None)


def test_the_result_is_plain_json() -> None:
    for found in rule_regrets(SAMPLES, [get_rule(name) for name in rule_names()]):
        assert json.loads(json.dumps(asdict(found))) == asdict(found)


@given(st.lists(st.floats(0, 20), min_size=1, max_size=30))
def test_the_interval_is_within_the_values_and_repeats(values: list[float]) -> None:
    keys = [str(index) for index in range(len(values))]
    found = lack(values, keys)
    assert found == lack(values, keys)
    assert found is not None
    assert min(values) - 1e-9 <= found.low <= found.high <= found.worst + 1e-9
