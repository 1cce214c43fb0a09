"""Statistics of a whole picture, as BRISQUE takes them.

The kernels are those of NIQE, but the conventions of the official code differ. There are no blocks, so
nothing is cut off. Beyond the border are zeros instead of repeated edges. The products are circular in the
picture. The picture is halved in double precision, like in MATLAB.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqgen.quality.filters import EXACT, Image, contrast_normalise, halve
from hqgen.quality.scene import block_moments

REACH = 3
"""Zeros beyond the border: half the side of the Gaussian."""

ROUNDING = 1e-9
"""Grey levels. x - mu of a flat area is below this, rounding errors only, and counts as zero."""


class Padded:
    """Memory for a picture with a border of zeros.

    `contrast_normalise` repeats the edges. With a border of zeros as wide as the reach of the filter it
    filters as if the zeros had no end.
    """

    def __init__(self, height: int, width: int) -> None:
        self.values, self.squares = np.zeros((2, height + 2 * REACH, width + 2 * REACH))
        self.normalised = np.empty((height, width + 2 * REACH))

    def moments(self, levels: NDArray[Any]) -> Image:
        """`block_moments` of the normalised picture: float64 (5, 5)."""
        self.values[REACH:-REACH, REACH:-REACH] = levels
        np.multiply(self.values, self.values, out=self.squares)
        contrast_normalise(self.values, self.squares, REACH, EXACT, ROUNDING, self.normalised)
        moments = np.empty((5, 5))
        block_moments(self.normalised[:, REACH:-REACH], moments)
        return moments


class Whole:
    """Memory for the moments of pictures of one size.

    Args:
        height: rows of the pictures.
        width: columns.
    """

    def __init__(self, height: int, width: int) -> None:
        self.full = np.empty((height, width))
        self.half = np.empty(((height + 1) // 2, (width + 1) // 2))
        self.padded = Padded(*self.full.shape), Padded(*self.half.shape)

    def moments(self, levels: NDArray[Any]) -> tuple[Image, tuple[int, int]]:
        """Moments of a picture, given its grey levels (H, W), at both scales.

        Returns:
            float64 (2, 5, 5): scale, and the moments as `block_moments` writes them; and the pixels of both.
        """
        np.copyto(self.full, levels, casting="safe")
        halve(self.full, 1.0, self.half)
        full, half = self.padded
        return np.stack([full.moments(self.full), half.moments(self.half)]), (self.full.size, self.half.size)
