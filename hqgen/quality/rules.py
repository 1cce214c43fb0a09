"""Rules: which candidate of a sample wins, from the numbers that judges gave the candidates.

A rule sees no pixels, so another rule can be applied to a finished store without making a picture again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import ScoreError, UnknownNameError

Measures = Mapping[str, NDArray[np.float32]]
"""By judge, one value per candidate of one sample (M,); lower is better, +inf where a candidate has none."""


FACTOR, FLOOR, UNSEEN = 1.5, 1.2, 0.01
"""Chosen on simulated scenes with truth, in normal and low light: docs/judging.md."""


class Rule(Protocol):
    """A way to pick the winner of a sample."""

    name: ClassVar[str]
    version: ClassVar[int]
    """Goes up by one when the same measures would give another winner than before."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The measures without which it cannot pick."""

    def parameters(self) -> dict[str, Any]:
        """Everything else that decides the winner, as plain JSON values; it goes into the plan."""

    def pick(self, measures: Measures) -> int | None:
        """Pick a candidate; of equal ones the one in the lower column wins.

        Args:
            measures: those of one sample; more than `needs` may be there.

        Returns:
            The column of the winner, or None if no candidate has all the values that the rule needs.

        Raises:
            ScoreError: a measure that the rule needs is missing, or measures differ in length.
        """


@dataclass(frozen=True)
class Smallest:
    """The smallest score wins, as in the SpikeCLIP paper.

    Args:
        score: the name of the score.
    """

    name: ClassVar[str] = "niqe"
    version: ClassVar[int] = 1

    score: str = "niqe"

    @property
    def needs(self) -> tuple[str, ...]:
        """The score."""
        return (self.score,)

    def parameters(self) -> dict[str, Any]:
        """The name of the score."""
        return {"score": self.score}

    def pick(self, measures: Measures) -> int | None:
        """Pick a candidate; see `Rule`."""
        (scores,) = _needed(measures, self.needs)
        return _smallest(scores)


@dataclass(frozen=True)
class _Guard:
    """Lets only the candidates win that agree with the spikes.

    A candidate agrees if its consistency is at most `factor` times the best one of the sample.

    Args:
        score: the name of the score.
        factor: at least 1.
        floor: consistency that is good enough for everybody: a better best one counts as this. So a candidate
            that repeats the noise of the very frames it is compared with does not shut out the others.
    """

    score: str = "niqe"
    factor: float = FACTOR
    floor: float = FLOOR

    def parameters(self) -> dict[str, Any]:
        """The name of the score, and the numbers."""
        return asdict(self)

    def agreeing(self, scores: NDArray[np.float64], consistencies: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which candidates have a score and agree with the spikes: bool (M,)."""
        known = np.isfinite(scores) & np.isfinite(consistencies)
        best = np.min(consistencies, initial=np.inf, where=known)
        return known & (consistencies <= self.factor * max(best, self.floor))


@dataclass(frozen=True)
class Guarded(_Guard):
    """The smallest score wins among the candidates that agree with the spikes.

    The parameters are `_Guard`'s.
    """

    name: ClassVar[str] = "niqe-guarded"
    version: ClassVar[int] = 1

    @property
    def needs(self) -> tuple[str, ...]:
        """The score and `consistency`."""
        return (self.score, "consistency")

    def pick(self, measures: Measures) -> int | None:
        """Pick a candidate; see `Rule`."""
        scores, consistencies = _needed(measures, self.needs)
        return _smallest(np.where(self.agreeing(scores, consistencies), scores, np.inf))


@dataclass(frozen=True)
class Consensus(_Guard):
    """The least product of score, root of the grain and square of the consistency wins.

    Only candidates that agree with the spikes take part. The score alone can take noise for texture, and the
    grain alone prefers what is smooth. A consistency below 1 counts as 1: the spikes say nothing against it.
    Negative scores count as 0.

    Args:
        unseen: grain that is added to that of all: less cannot be seen. Without it the product of an empty
            picture, which has no grain, would always be the least.
        score, factor, floor: see `_Guard`.
    """

    name: ClassVar[str] = "consensus"
    version: ClassVar[int] = 2

    unseen: float = UNSEEN

    @property
    def needs(self) -> tuple[str, ...]:
        """The score, `consistency` and `grain`."""
        return (self.score, "consistency", "grain")

    def pick(self, measures: Measures) -> int | None:
        """Pick a candidate; see `Rule`."""
        scores, consistencies, grains = _needed(measures, self.needs)
        known = np.isfinite(grains)
        scores = np.where(known, scores, np.inf)
        chosen = self.agreeing(scores, consistencies)
        products = np.maximum(scores, 0) ** 2 * (grains + self.unseen) * np.maximum(consistencies, 1) ** 4
        return _smallest(np.where(chosen, products, np.inf))


_RULES: dict[str, Callable[[str], Rule]] = {rule.name: rule for rule in (Smallest, Guarded, Consensus)}


def rule_names() -> list[str]:
    """The names that `get_rule` knows, the default first."""
    return list(_RULES)


def get_rule(name: str, *, score: str = "niqe") -> Rule:
    """Find a rule by name.

    Args:
        name: one of `rule_names()`.
        score: the scorer of the build; it is in the place of NIQE in every rule.

    Raises:
        UnknownNameError: there is no such rule.
    """
    if name not in _RULES:
        raise UnknownNameError("rule", name, _RULES)
    return _RULES[name](score)


def _needed(measures: Measures, names: tuple[str, ...]) -> list[NDArray[np.float64]]:
    """The measures of these names, float64 (M,) each; NaN counts as +inf."""
    missing = [name for name in names if name not in measures]
    if missing:
        raise ScoreError(
            f"the rule needs the measures {_quoted(names)}, but there is no {_quoted(missing)}",
            hint=f"build with `--judges {','.join(names)}`, or pick by another rule",
        )
    found = [np.asarray(measures[name], np.float64) for name in names]
    if any(values.shape != found[0].shape or values.ndim != 1 for values in found):
        shapes = ", ".join(str(values.shape) for values in found)
        raise ScoreError(f"the measures {_quoted(names)} must each be one value per candidate, not {shapes}")
    return [np.where(np.isnan(values), np.inf, values) for values in found]


def _quoted(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _smallest(values: NDArray[np.float64]) -> int | None:
    """The column of the smallest finite value; of equal ones the first."""
    return int(np.argmin(values)) if np.isfinite(values).any() else None
