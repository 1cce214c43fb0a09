"""PIQE: which share of the active blocks of a picture is disturbed, and how much; lower is better.

The algorithm is that of N. Venkatanath, D. Praneeth, M. Bh. Chandrasekhar, S. S. Channappayya,
S. S. Medasani, "Blind Image Quality Evaluation Using Perception Based Features", National Conference on
Communications, 2015, with the numerical choices of pyiqa's `piqe`, which it equals (see docs/judges.md). It
is not trained on anything, so it needs no numbers.

A picture is cut into blocks of 16x16. A block with little variance does not count. One with a smooth piece at
an edge has artefacts, and one whose middle varies like the rest of it has noise.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqgen.quality.batch import NOTHING_BRIGHT, Scores, one_by_one, over_threads
from hqgen.quality.memory import borrowed
from hqgen.quality.pictures import stacked

SMALLEST = 16
"""Rows and columns of the smallest picture that has a score: one block."""


def piqe(images: NDArray[Any], *, threads: int = 1) -> NDArray[np.float64]:
    """Score grey pictures; lower is better.

    The score is between 0 and 100 for nearly all pictures. A picture without an active block has 100. The
    brightest pixel becomes 255 first, so a gain changes only the rounding.

    Args:
        images: (H, W) or (N, H, W), uint8 or floats of any scale that begins at zero.
        threads: number of pictures in work at once; the scores do not depend on it.

    Returns:
        float64 (N,), N = 1 for (H, W). A picture that is flat, not finite or nowhere brighter than zero gets
        +inf.

    Raises:
        ScoreError: another dtype or number of axes, or a side under 16 pixels.
    """
    return piqe_scores(images, threads=threads)[0]


def piqe_scores(images: NDArray[Any], *, threads: int = 1) -> Scores:
    """Score like `piqe`, with the reason for each picture without a score.

    Returns:
        float64 (N,), and for each picture None, or the reason why its score is +inf.

    Raises:
        ScoreError: as `piqe`.
    """
    images = stacked(images, metric="piqe", smallest=SMALLEST)
    return over_threads(images, partial(one_by_one, score=_score, undefined=NOTHING_BRIGHT), threads)


def _score(image: NDArray[Any]) -> float:
    """PIQE of one picture; NaN if nothing is brighter than zero."""
    from hqgen.quality.blocks import Blocks  # imports numba, so not at the top

    levels = _stretched(image)
    if levels is None:
        return float("nan")
    with borrowed(Blocks, *image.shape) as blocks:
        return blocks.score(levels)


def _stretched(image: NDArray[Any]) -> NDArray[np.float32] | None:
    """Whole levels, the brightest of them 255; None if nothing is brighter than zero.

    The arithmetic is that of pyiqa in float32, because its last bit decides where a level is rounded to.
    """
    if image.dtype == np.uint8:
        table = np.arange(256, dtype=np.float32) / np.float32(255)
        return np.asarray(_rounded(table, table[image.max()])[image])
    with np.errstate(over="ignore", under="ignore"):
        values = image.astype(np.float32)
    brightest = values.max()
    return _rounded(values, brightest) if 0 < brightest < np.inf else None


def _rounded(values: NDArray[np.float32], brightest: np.float32) -> NDArray[np.float32]:
    return np.asarray(np.rint(np.float32(255) * (values / brightest)))
