"""Rules pick winners from numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.errors import ScoreError, UnknownNameError
from hqgen.quality.rules import Consensus, Guarded, Measures, Rule, Smallest, get_rule, rule_names

RULES = [get_rule(name) for name in rule_names()]
INF = np.inf


def measures(**values: list[float]) -> Measures:
    return {name: np.array(numbers, np.float32) for name, numbers in values.items()}


def by_name(rule: Rule) -> str:
    return rule.name


numbers = st.one_of(st.just(INF), st.floats(0.125, 100, width=32))


@st.composite
def samples(draw: st.DrawFn) -> Measures:
    count = draw(st.integers(1, 7))
    column = st.lists(numbers, min_size=count, max_size=count)
    return measures(**{name: draw(column) for name in ("niqe", "grain", "consistency")})


def test_the_default_rule_is_the_smallest_niqe() -> None:
    assert rule_names()[0] == "niqe"
    assert get_rule("niqe").pick(measures(niqe=[5, 3, 4])) == 1


def test_a_guarded_rule_leaves_out_candidates_that_disagree_with_the_spikes() -> None:
    sample = measures(niqe=[3, 4, 5], consistency=[2.7, 2.5, 2.0])
    assert Guarded(factor=1.3).pick(sample) == 1
    assert Guarded(factor=1.4).pick(sample) == 0
    assert Guarded(factor=1.0).pick(sample) == 2


def test_a_candidate_that_repeats_the_noise_does_not_shut_out_the_others() -> None:
    assert Guarded(factor=1.3, floor=1.0).pick(measures(niqe=[9, 4], consistency=[0.1, 1.2])) == 1


def test_a_candidate_without_a_score_is_not_the_measure_of_consistency() -> None:
    assert Guarded().pick(measures(niqe=[INF, 4, 3], consistency=[1, 5, 9])) == 1


def test_the_consensus_weighs_the_score_against_the_root_of_the_grain() -> None:
    sample = measures(niqe=[4, 5], grain=[0.2, 0.1], consistency=[1, 1])
    assert Consensus().pick(sample) == 1
    assert Guarded().pick(sample) == 0


def test_an_empty_picture_does_not_win_because_it_has_no_grain() -> None:
    nearly_flat, grainy = 0, 1
    sample = measures(niqe=[37.7, 11.6], grain=[0.001, 0.29], consistency=[1.55, 1.2])
    assert Consensus().pick(sample) == grainy
    assert Consensus(unseen=0).pick(sample) == nearly_flat


def test_the_consensus_weighs_the_consistency_from_one_on() -> None:
    assert Consensus().pick(measures(niqe=[4, 5], grain=[0.1, 0.1], consistency=[1.5, 1])) == 1
    assert Consensus().pick(measures(niqe=[4, 5], grain=[0.1, 0.1], consistency=[1, 0.2])) == 0


def test_the_consensus_hears_only_candidates_that_agree_with_the_spikes() -> None:
    assert Consensus().pick(measures(niqe=[3, 4], grain=[0.1, 0.2], consistency=[9, 1])) == 1


def test_a_candidate_without_grain_takes_no_part_in_the_consensus() -> None:
    assert Consensus().pick(measures(niqe=[3, 4], grain=[INF, 0.2], consistency=[1, 9])) == 1


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_of_equal_candidates_the_lower_column_wins(rule: Rule) -> None:
    assert rule.pick(measures(**{name: [INF, 2, 2] for name in rule.needs})) == 1


@pytest.mark.parametrize("rule", RULES, ids=by_name)
@pytest.mark.parametrize("nothing", [INF, np.nan])
def test_without_a_value_there_is_no_winner(rule: Rule, nothing: float) -> None:
    assert rule.pick(measures(**{name: [nothing, nothing] for name in rule.needs})) is None


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_without_a_candidate_there_is_no_winner(rule: Rule) -> None:
    assert rule.pick(measures(**{name: [] for name in rule.needs})) is None


@pytest.mark.parametrize("rule", RULES, ids=by_name)
@given(sample=samples())
def test_the_winner_has_a_score_and_there_is_one_where_any_candidate_has_all_values(
    rule: Rule, sample: Measures
) -> None:
    winner = rule.pick(sample)
    whole = np.all([np.isfinite(sample[name]) for name in rule.needs], axis=0)
    assert winner is None or np.isfinite(sample[rule.needs[0]][winner])
    assert winner is not None or not whole.any()


@pytest.mark.parametrize("rule", RULES, ids=by_name)
@given(sample=samples(), place=st.integers(0, 7))
def test_a_candidate_without_any_value_changes_nothing(rule: Rule, sample: Measures, place: int) -> None:
    winner = rule.pick(sample)
    place = min(place, len(sample["niqe"]))
    more = {name: np.insert(values, place, INF) for name, values in sample.items()}
    assert rule.pick(more) == (None if winner is None else winner + (winner >= place))


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_a_missing_measure_is_an_error_that_says_how_to_get_it(rule: Rule) -> None:
    with pytest.raises(ScoreError, match=rule.needs[-1]) as error:
        rule.pick({name: np.ones(2, np.float32) for name in rule.needs[:-1]})
    assert ",".join(rule.needs) in error.value.hint


def test_measures_of_different_length_are_refused() -> None:
    with pytest.raises(ScoreError, match="one value per candidate"):
        Guarded().pick(measures(niqe=[1, 2], consistency=[1]))


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_the_parameters_are_plain_json(rule: Rule) -> None:
    assert json.loads(json.dumps(rule.parameters())) == rule.parameters()


@pytest.mark.parametrize("name", rule_names())
def test_another_score_takes_the_place_of_niqe(name: str) -> None:
    rule = get_rule(name, score="ilniqe")
    assert rule.needs[0] == "ilniqe"
    assert "niqe" not in rule.needs
    assert rule.name == name


def test_an_unknown_rule_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError) as error:
        get_rule("niqe-gaurded")
    assert "did you mean `niqe-guarded`" in error.value.hint


def test_equal_rules_are_equal() -> None:
    assert get_rule("niqe") == Smallest()
