"""Which candidate of a sample becomes its picture.

The plan's rule picks one, and the plan's limits may refuse it. Both see only numbers, which are in the
record and the manifest. What a person decided of a sample is in the plan, too, and is stronger than rule and
limits. So a finished store can be decided again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import StoreError, UsageError
from hqgen.manifest import ByHand, Plan, SampleRecord
from hqgen.provenance import require_same, specification
from hqgen.quality import consistency
from hqgen.quality.rules import Measures, Rule, Smallest, get_rule


class Decision(NamedTuple):
    """What becomes of a sample.

    Attributes:
        method: the winner; None where there is none.
        margin: the winner's lead in the score over the best other candidate, negative where the rule
            preferred a candidate with a worse score; None without a winner or without another candidate.
        refused: why the candidate that was picked may not win, or the sample was rejected; None where neither
            is so.
        by_hand: the note of the person who decided; None where the rule did.
    """

    method: str | None
    margin: float | None
    refused: str | None
    by_hand: str | None = None


@dataclass(frozen=True)
class Decider:
    """A rule and its limits.

    Attributes:
        score: name of the score among the measures.
        rule: picks a candidate.
        max_score: a pick with a larger score is refused; None for no limit.
        min_consistency: a pick that `agreement` gives less is refused, 0 to 1; None for no limit.
    """

    score: str
    rule: Rule
    max_score: float | None = None
    min_consistency: float | None = None

    @classmethod
    def of(cls, plan: Plan) -> Decider:
        """The decider of a plan.

        Raises:
            StoreError: this version of hqgen has another rule of that name.
            UnknownNameError: it has no rule of that name.
        """
        score = str(plan.scorer["name"])
        rule = get_rule(str(plan.rule["name"]), score=score)
        require_same(
            f"the plan has another rule `{rule.name}` than this hqgen",
            plan.rule,
            specification(rule),
            hint="use the version of hqgen that made the store, or `hqgen repick` it by a rule of this one",
            error=StoreError,
        )
        return cls(score, rule, plan.max_score, plan.min_consistency)

    @property
    def settled(self) -> bool:
        """Whether a candidate that lost once stays a loser when further candidates come."""
        return isinstance(self.rule, Smallest)

    def decide(self, methods: Sequence[str], measures: Measures, by_hand: ByHand | None = None) -> Decision:
        """Decide one sample.

        Args:
            methods: names of the methods, in the order of the measures' columns.
            measures: those that the rule needs, the score, and `consistency` if there is a limit for it.
            by_hand: what a person decided of the sample.

        Raises:
            ScoreError: a measure is missing.
        """
        if by_hand is not None:
            return self._by_hand(methods, measures, by_hand)
        column = self.rule.pick(measures)
        if column is None:
            return Decision(None, None, None)
        refused = self._refusal(methods[column], column, measures)
        if refused is not None:
            return Decision(None, None, refused)
        return Decision(methods[column], _margin(measures[self.score], column), None)

    def _by_hand(self, methods: Sequence[str], measures: Measures, by_hand: ByHand) -> Decision:
        """The decision of a person; limits do not bind it."""
        if by_hand.method is None:
            refused = f"rejected by hand: {by_hand.note}" if by_hand.note else "rejected by hand"
            return Decision(None, None, refused, by_hand.note)
        column, scores = methods.index(by_hand.method), measures[self.score]
        if not np.isfinite(scores[column]):
            refused = f"{by_hand.method} was picked by hand, and its candidate has no score"
            return Decision(None, None, refused, by_hand.note)
        return Decision(by_hand.method, _margin(scores, column), None, by_hand.note)

    def _refusal(self, method: str, column: int, measures: Measures) -> str | None:
        """Why the pick may not win."""
        score = float(measures[self.score][column])
        if self.max_score is not None and score > self.max_score:
            return f"{self.score} of the pick, {method}, is {score:.3f}: more than {self.max_score:g}"
        if self.min_consistency is None:
            return None
        share = agreement(float(measures[consistency.NAME][column]))
        if share < self.min_consistency:
            return f"consistency of the pick, {method}, is {share:.1%}: less than {self.min_consistency:.1%}"
        return None


def _margin(scores: NDArray[np.float32], column: int) -> float | None:
    """The lead of a candidate over the best other one; None without another one."""
    best_other = np.delete(scores, column).min(initial=np.inf)
    return float(best_other - scores[column]) if np.isfinite(best_other) else None


def make_decider(
    rule: str, measures: Sequence[str], max_score: float | None, min_consistency: float | None
) -> Decider:
    """The decider of some settings.

    Args:
        rule: its name.
        measures: names of all that candidates are measured by, the score first.
        max_score: see `Decider`.
        min_consistency: see `Decider`.

    Raises:
        UnknownNameError: there is no such rule.
        UsageError: it, or the limit, needs a judge that is not among the measures.
    """
    picked = get_rule(rule, score=measures[0])
    needs = dict.fromkeys(picked.needs, f"the rule `{picked.name}`")
    if min_consistency is not None:
        needs.setdefault(consistency.NAME, "`--min-consistency`")
    missing = [name for name in needs if name not in measures]
    if missing:
        raise UsageError(
            f"{needs[missing[0]]} needs the judge `{missing[0]}`",
            hint=f"build with {', '.join(f'`{name}`' for name in missing)} among the `--judges`",
        )
    return Decider(measures[0], picked, max_score, min_consistency)


def agreement(value: float) -> float:
    """The share of a candidate's difference to the spikes that counting noise explains, 0 to 1.

    Args:
        value: a consistency of `hqgen.quality.consistency`: that difference in units of the counting noise.
    """
    return 1.0 if value <= 1 else 1 / value


def measures_of(sample: SampleRecord, methods: Sequence[str], score: str) -> dict[str, NDArray[np.float32]]:
    """The measures of a finished sample: of each the values of `methods`, +inf where there is none."""
    found = {**sample.judges, score: sample.scores}
    return {
        name: np.array([np.inf if (v := values[m]) is None else v for m in methods], np.float32)
        for name, values in found.items()
    }


def values_by_method(measures: Measures, methods: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """The measures of one sample as a record has them: the inverse of `measures_of`."""
    return {
        name: {method: _finite(value) for method, value in zip(methods, values, strict=True)}
        for name, values in measures.items()
    }


def _finite(value: np.float32) -> float | None:
    return float(value) if math.isfinite(value) else None
