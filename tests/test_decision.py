"""What becomes of a sample, by its numbers alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.decision import Decider, Decision, agreement, make_decider, measures_of
from hqgen.errors import StoreError, UnknownNameError, UsageError
from hqgen.manifest import ByHand
from hqgen.quality.rules import get_rule
from tests.made import manifest, sample

METHODS = ("a", "b", "c")


def decide(
    scores: list[float], consistencies: list[float] | None = None, rule: str = "niqe", **limits: float
) -> Decision:
    measures = {
        "niqe": np.array(scores, np.float32),
        "consistency": np.array(consistencies or [1.0] * len(scores), np.float32),
    }
    return Decider("niqe", get_rule(rule), **limits).decide(METHODS[: len(scores)], measures)


def test_the_margin_is_the_lead_over_the_best_other_score() -> None:
    assert decide([5, 4, 7]) == Decision("b", 1.0, None)
    assert decide([5]) == Decision("a", None, None)
    assert decide([5, np.inf]) == Decision("a", None, None)
    assert decide([np.inf, np.inf]) == Decision(None, None, None)


def test_the_margin_is_negative_where_the_rule_prefers_a_worse_score() -> None:
    assert decide([4.5, 4, 7], [1, 9, 1], "niqe-guarded") == Decision("a", -0.5, None)


def test_a_pick_above_the_largest_score_is_refused_and_no_other_takes_its_place() -> None:
    assert decide([5, 4], max_score=4.0).method == "b"
    found = decide([5, 6], [9, 1], "niqe-guarded", max_score=5.5)
    assert found == Decision(None, None, "niqe of the pick, b, is 6.000: more than 5.5")


def test_a_pick_that_agrees_too_little_with_the_spikes_is_refused() -> None:
    assert decide([5, 4], [1, 2], min_consistency=0.5).method == "b"
    assert decide([5, 4], [1, 2.1], min_consistency=0.5).refused == (
        "consistency of the pick, b, is 47.6%: less than 50.0%"
    )
    assert decide([5, 4], [1, np.inf], min_consistency=0.01).method is None


@given(st.floats(0, 1e9))
def test_agreement_is_a_share_and_falls_with_the_difference(value: float) -> None:
    assert 0 <= agreement(value * 1.1) <= agreement(value) <= 1


def test_agreement_is_whole_where_noise_explains_all_and_none_without_a_value() -> None:
    assert (agreement(0.0), agreement(1.0), agreement(4.0), agreement(float("inf"))) == (1, 1, 0.25, 0)


def test_what_a_rule_or_limit_needs_is_named() -> None:
    with pytest.raises(UsageError, match="the rule `consensus` needs the judge `grain`") as caught:
        make_decider("consensus", ("niqe", "consistency"), None, None)
    assert caught.value.hint == "build with `grain` among the `--judges`"
    with pytest.raises(UsageError, match="`--min-consistency` needs"):
        make_decider("niqe", ("niqe",), None, 0.5)
    with pytest.raises(UnknownNameError):
        make_decider("taste", ("niqe",), None, None)


def test_a_plan_with_another_rule_than_this_version_has_is_refused() -> None:
    plan = manifest({"reds": [sample("a", 4)]}).plan
    assert Decider.of(plan) == Decider("niqe", get_rule("niqe"))
    other = plan.model_copy(update={"rule": plan.rule | {"version": 99}})
    with pytest.raises(StoreError, match="version: 99 -> 1"):
        Decider.of(other)


def test_measures_have_the_order_of_the_methods_and_no_hole() -> None:
    made = sample("a", 5, None, 6).model_copy(
        update={"judges": {"consistency": {"tfp": 1.0, "tfi": None, "tfstp": 2.0}}}
    )
    found = measures_of(made, ("tfstp", "tfi", "tfp"), "niqe")
    np.testing.assert_array_equal(found["niqe"], np.array([6, np.inf, 5], np.float32))
    np.testing.assert_array_equal(found["consistency"], np.array([2, np.inf, 1], np.float32))


def test_a_person_is_stronger_than_rule_and_limits() -> None:
    decider = Decider("niqe", get_rule("niqe"), max_score=4.0)
    measures = {"niqe": np.array([5, 4, np.inf], np.float32)}

    def by_hand(method: str | None, note: str = "") -> Decision:
        return decider.decide(METHODS, measures, ByHand(key="k", method=method, note=note))

    assert by_hand("a", "sharper") == Decision("a", -1.0, None, "sharper")
    assert by_hand("b") == Decision("b", 1.0, None, "")
    assert by_hand(None, "blurred") == Decision(None, None, "rejected by hand: blurred", "blurred")
    assert by_hand(None).refused == "rejected by hand"
    assert by_hand("c").refused == "c was picked by hand, and its candidate has no score"
