"""What a candidate is made and measured by: normalisation, scorer, judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import UnknownNameError
from hqgen.methods.base import Span
from hqgen.provenance import specification
from hqgen.quality import consistency
from hqgen.quality.normalise import Normalisation, to_uint8
from hqgen.quality.scorers import Scorer, check_size, get_scorer, scorer_names
from hqgen.spikes import exposure
from hqgen.spikes.packed import Window

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Scoring:
    """What turns an image into a candidate, and a candidate into a score and the values of other judges.

    Attributes:
        normalisation: makes the candidate.
        scorer: makes its score.
        judges: other scorers, in order of their names.
        consistency: whether candidates are compared with the spikes, too.
    """

    normalisation: Normalisation
    scorer: Scorer
    judges: tuple[Scorer, ...] = ()
    consistency: bool = False

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of all that a candidate is measured by, the score first, then the judges by name."""
        return (self.scorer.name, *(str(judge["name"]) for judge in self.judge_specs()))

    @property
    def span(self) -> Span:
        """Frames before and after the key frame that the judges need."""
        return exposure.SPAN if self.consistency else (0, 0)

    def judge_specs(self) -> tuple[dict[str, Any], ...]:
        """The judges as a plan fixes them, in order of their names."""
        found = [specification(judge) for judge in self.judges]
        if self.consistency:
            spec = {"name": consistency.NAME, "version": consistency.VERSION}
            found.append(spec | {"parameters": consistency.parameters()})
        return tuple(sorted(found, key=lambda spec: str(spec["name"])))

    def candidate(self, image: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The uint8 picture that is scored and, if it wins, stored.

        Raises:
            ScoreError: the image cannot be one: it is flat or not finite.
        """
        return to_uint8(image, self.normalisation)

    def score(self, candidates: NDArray[np.uint8]) -> tuple[Floats, list[str | None]]:
        """Scores as they are stored, float32 (N,), and the reasons of those that are not finite.

        Scores are compared only after the rounding to float32, so that the stored scores tell the winner.
        """
        scores, reasons = self.scorer.score(candidates)
        return scores.astype(np.float32), reasons

    def judge(self, candidates: NDArray[np.uint8]) -> dict[str, Floats]:
        """What the judges that see only pictures say: float32 (N,) by name, +inf where a judge has no value.

        The reason of such a judge is not kept: the score decides whether a candidate takes part.
        """
        return {judge.name: judge.score(candidates)[0].astype(np.float32) for judge in self.judges}

    def compare(self, candidates: Sequence[NDArray[np.uint8]], window: Window) -> dict[str, Floats]:
        """What the spikes say of candidates of one sample: float32 (N,) by name; empty where nobody asks.

        Args:
            candidates: uint8 (H, W) each.
            window: of the sample, at least as wide as `span` if the recording is.
        """
        if not self.consistency:
            return {}
        reference = exposure.key_exposure(window.around(*exposure.SPAN))
        return {consistency.NAME: consistency.consistency(np.stack(candidates), reference).astype(np.float32)}

    def check_size(self, height: int, width: int) -> None:
        """Make sure that scorer and judges take pictures of a size.

        Raises:
            ScoreError: one does not.
        """
        for scorer in (self.scorer, *self.judges):
            check_size(scorer, height, width)
        if self.consistency:
            flat = np.zeros((height, width), np.uint8)
            consistency.consistency(flat[None], flat.astype(np.float32))


def make_scoring(metric: str, judges: Sequence[str]) -> Scoring:
    """The scoring by a metric and judges of these names; a judge that is the metric is left out.

    Raises:
        UnknownNameError: there is no such metric or judge.
        ScoreError: one cannot run here.
    """
    legal = (consistency.NAME, *scorer_names())
    for name in judges:
        if name not in legal:
            raise UnknownNameError("judge", name, legal)
    scorers = sorted({*judges} - {consistency.NAME, metric})
    return Scoring(
        Normalisation(),
        get_scorer(metric),
        tuple(get_scorer(name) for name in scorers),
        consistency.NAME in judges,
    )
