"""Quality scores of reconstructions: raw, and after one brightness rule for all.

The paper scores raw outputs, neither clamped nor normalised. Outputs of different methods differ in
brightness by a factor of ten and more, and NIQE, BRISQUE and PIQE depend on it. Raw scores therefore compare
scales as much as pictures. So every picture is scored a second time, as the 8-bit picture that hqgen's rule
`white` makes of it (`hqgen.quality.normalise`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import ScoreError
from hqgen.quality import Scorer
from hqgen.quality.normalise import to_uint8
from hqgen.quality.scorers import Pyiqa, usable_scorers

if TYPE_CHECKING:
    from spikeclip.evaluation.reference import Reference

NIQE_BLOCK = 96
"""Pixels a side of the blocks that NIQE measures."""

Image = NDArray[np.float32]


class Score(NamedTuple):
    """A score; +inf with the reason where a picture has none."""

    value: float
    reason: str | None = None


@dataclass(frozen=True)
class Metrics:
    """The metrics that can score pictures of one size.

    Attributes:
        scorers: the metrics.
        notes: why others cannot, and what a reader has to know about these scores.
    """

    scorers: tuple[Scorer, ...]
    notes: tuple[str, ...]

    def score(self, image: Image, beside: Reference | None = None) -> dict[str, Score]:
        """Score one output of a network or method: `niqe_raw`, `niqe_bright`, ... for every metric.

        Args:
            image: float32 (H, W) in any unit. For the raw score 1 is white, as in the paper's code.
            beside: what it is compared with; its scores come last.
        """
        raw, bright, picture = {}, {}, brightened(image)
        for scorer in self.scorers:
            raw[f"{scorer.name}_raw"] = _raw(scorer, image)
            bright[f"{scorer.name}_bright"] = _bright(scorer, picture)
        return raw | bright | (beside.scores(image, picture) if beside else {})

    def score_all(self, images: Sequence[tuple[Image, Reference | None]]) -> list[dict[str, Score]]:
        """`score` of each image and its reference, several at once; a score does not depend on how many."""
        with ThreadPoolExecutor(min(len(images), os.cpu_count() or 1) or 1) as pool:
            return list(pool.map(lambda pair: self.score(*pair), images))


def usable_metrics(names: Iterable[str], height: int, width: int) -> Metrics:
    """Find the metrics. One that cannot run, or not on pictures of this size, becomes a note.

    Raises:
        UnknownNameError: there is no such metric.
    """
    scorers, reasons = usable_scorers(names, [(height, width)])
    home = str(Path.home())
    notes = [f"{name.upper()} is n/a: {reason.replace(home, '~')}" for name, reason in reasons.items()]
    blocks = (height // NIQE_BLOCK) * (width // NIQE_BLOCK)
    if blocks == 1 and any(scorer.name == "niqe" for scorer in scorers):
        notes.append(
            f"NIQE of {height}x{width} pixels rests on a single block of {NIQE_BLOCK}x{NIQE_BLOCK}, without "
            "the spread between blocks: compare it only within this table"
        )
    return Metrics(scorers, tuple(notes))


def brightened(image: Image) -> NDArray[np.uint8] | str:
    """The 8-bit picture by the brightness rule that all rows share, or the reason why there is none."""
    try:
        return to_uint8(image)
    except ScoreError as error:
        return error.message


def _raw(scorer: Scorer, image: Image) -> Score:
    """Score the values as they are."""
    if not np.isfinite(image).all():
        return Score(np.inf, f"{np.count_nonzero(~np.isfinite(image))} of {image.size} pixels are not finite")
    if image.min() == image.max():
        return Score(np.inf, f"flat image: every pixel is {image.flat[0]:.3g}")
    if isinstance(scorer, Pyiqa):
        return _raw_by_pyiqa(scorer, image)
    values, reasons = scorer.score(image[None])
    return Score(float(values[0]), reasons[0])


def _raw_by_pyiqa(scorer: Pyiqa, image: Image) -> Score:
    """Past pyiqa's check that values are in [0, 1]: the paper's version had none, and nothing is clamped."""
    import torch

    network: Any = scorer.network()
    try:
        with torch.inference_mode():
            value = float(network.net(torch.from_numpy(image)[None, None]))
    except RuntimeError as error:
        return Score(np.inf, str(error))
    return Score(value) if np.isfinite(value) else Score(np.inf, "the metric is not defined for the picture")


def _bright(scorer: Scorer, picture: NDArray[np.uint8] | str) -> Score:
    if isinstance(picture, str):
        return Score(np.inf, picture)
    values, reasons = scorer.score(picture[None])
    return Score(float(values[0]), reasons[0])
