"""Grain: how much neighbouring pixels differ without a direction, over the mean brightness; lower is better.

The mask is that of J. Immerkaer, "Fast Noise Variance Estimation", Computer Vision and Image Understanding
64(2), 1996: the difference of two Laplacians, blind to flat areas, slopes and straight edges along the axes.
Fine texture counts as grain. So the number compares candidates of one scene, and only those that are not
blurred; `hqgen.quality.rules.Consensus` uses it that way.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqgen.compiled import compiled
from hqgen.quality.batch import NO_BRIGHTNESS, Scores, one_by_one
from hqgen.quality.pictures import stacked

SMALLEST = 3
"""Rows and columns of the smallest picture that has a value: one mask."""


def grain(images: NDArray[Any]) -> NDArray[np.float64]:
    """Standard deviation of the noise, as far as it is noise, over the mean of each picture; lower is better.

    Args:
        images: (H, W) or (N, H, W), uint8 or floats of any scale that begins at zero.

    Returns:
        float64 (N,), N = 1 for (H, W). A picture that is flat, not finite or not above zero on average gets
        +inf.

    Raises:
        ScoreError: another dtype or number of axes, or a side under 3 pixels.
    """
    return grain_scores(images)[0]


def grain_scores(images: NDArray[Any]) -> Scores:
    """Score like `grain`, with the reason for each picture without a value.

    Returns:
        float64 (N,), and for each picture None, or the reason why its value is +inf.

    Raises:
        ScoreError: as `grain`.
    """
    return one_by_one(stacked(images, metric="grain", smallest=SMALLEST), _score, NO_BRIGHTNESS)


def _score(image: NDArray[Any]) -> float:
    """Grain of one picture; NaN if its mean is not above zero."""
    mean = float(image.mean(dtype=np.float64))
    if mean <= 0:
        return math.nan
    pixels = (image.shape[0] - 2) * (image.shape[1] - 2)
    levels = image if image.dtype == np.uint8 else image.astype(np.float32)
    # The mask multiplies the deviation of independent noise by 6; sqrt(pi / 2) makes it of a mean magnitude.
    deviation: float = math.sqrt(math.pi / 2) * _magnitude(levels) / (6 * pixels)
    return deviation / mean


@compiled
def _magnitude(image: NDArray[Any]) -> float:
    """Sum of the magnitudes of the mask [[1, -2, 1], [-2, 4, -2], [1, -2, 1]] over all its places."""
    height, width = image.shape
    across = np.empty(width, np.float32)
    total: float = 0.0
    for y in range(1, height - 1):
        for x in range(width):
            middle = np.float32(image[y, x])
            across[x] = np.float32(image[y - 1, x]) - middle - middle + np.float32(image[y + 1, x])
        for x in range(1, width - 1):
            total += abs(across[x - 1] - across[x] - across[x] + across[x + 1])
    return total
