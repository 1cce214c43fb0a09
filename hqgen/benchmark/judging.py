"""What is measured of one picture: beside the ground truth, by no-reference judges, beside the spikes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqgen.benchmark.results import Distance, Judged
from hqgen.errors import ScoreError
from hqgen.inspection.truth import as_brightness
from hqgen.quality import consistency
from hqgen.quality.fidelity import at_best_gain, psnr, ssim
from hqgen.quality.normalise import Normalisation, to_uint8
from hqgen.quality.scorers import Scorer, scorer_names, usable_scorers

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Panel:
    """The judges of a benchmark.

    Attributes:
        scorers: the no-reference scores.
        rule: that makes the bright picture.
    """

    scorers: tuple[Scorer, ...]
    rule: Normalisation = field(default_factory=Normalisation)

    def rules(self) -> dict[str, Any]:
        """Name, version and parameters of everything that judges, as plain JSON values."""
        return {
            "scorers": {
                scorer.name: {"version": scorer.version, "parameters": scorer.parameters()}
                for scorer in self.scorers
            },
            "consistency": {"version": consistency.VERSION, "parameters": consistency.parameters()},
            "normalisation": self.rule.parameters(),
        }

    def judge(
        self,
        image: Image,
        *,
        scale: str,
        rate_per_brightness: float | None,
        truth: Image | None,
        exposure: Image,
    ) -> Judged:
        """Measure one output of a method.

        Args:
            image: float32 (H, W), in the method's own units.
            scale: of the output: `rate`, `brightness` or `other`.
            rate_per_brightness: of the source; None where it is not known.
            truth: the ground truth, float32 (H, W) in [0, 1]; None where there is none.
            exposure: spikes counted around the key frame, from `hqgen.spikes.exposure.key_exposure`.

        Raises:
            ScoreError: image and ground truth differ in size.
        """
        if truth is not None and image.shape != truth.shape:
            raise ScoreError(f"the picture is {image.shape}, its ground truth {truth.shape}")
        bright = _bright(image, self.rule)
        distances: dict[str, Distance | None] = {}
        if truth is not None and np.isfinite(image).all():
            light = truth.astype(np.float64)
            distances = {
                "plain": _distance(as_brightness(image, scale, rate_per_brightness), light),
                "fitted": _distance(at_best_gain(image, light), light),
            }
        agreement = np.inf if bright is None else float(consistency.consistency(bright[None], exposure)[0])
        return Judged(
            raw={scorer.name: _raw(scorer, image) for scorer in self.scorers},
            bright={
                scorer.name: None if bright is None else _score(scorer, bright) for scorer in self.scorers
            },
            consistency=_finite(agreement),
            **distances,
        )


def panel(names: str | None, geometries: Iterable[tuple[int, int]]) -> tuple[Panel, list[str]]:
    """Find judges by name.

    Args:
        names: separated by commas; None for all of hqgen's own.
        geometries: (H, W) of the pictures that they have to judge.

    Returns:
        The judges that can; and why the others cannot.

    Raises:
        UnknownNameError: there is no such judge.
    """
    listed = [name.strip() for name in names.split(",")] if names else _own()
    scorers, reasons = usable_scorers(dict.fromkeys(listed), geometries)
    return Panel(scorers), [f"`{name}` does not judge: {reason}" for name, reason in reasons.items()]


def _own() -> list[str]:
    return [name for name in scorer_names() if not name.startswith("pyiqa-")]


def _distance(picture: NDArray[np.float64] | None, truth: NDArray[np.float64]) -> Distance | None:
    return None if picture is None else Distance(psnr=psnr(picture, truth), ssim=ssim(picture, truth))


def _bright(image: Image, rule: Normalisation) -> NDArray[np.uint8] | None:
    try:
        return to_uint8(image, rule)
    except ScoreError:
        return None


def _raw(scorer: Scorer, image: Image) -> float | None:
    """The score of the values as they are: neither clamped nor normalised."""
    return _score(scorer, image.astype(np.float32, copy=False)) if np.isfinite(image).all() else None


def _score(scorer: Scorer, picture: NDArray[Any]) -> float | None:
    values, _reasons = scorer.score(picture[None])
    return _finite(float(values[0]))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
