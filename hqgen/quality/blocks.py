"""Statistics of blocks of 16x16 pixels, as PIQE takes them, as compiled loops.

Equations: Venkatanath et al., "Blind Image Quality Evaluation Using Perception Based Features", NCC 2015.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hqgen.compiled import compiled
from hqgen.quality.filters import GAUSSIAN, Image, contrast_normalise

BLOCK = 16
"""Side of a block, pixels."""

SEGMENT = 6
"""Pixels of a piece of an edge of a block."""

ACTIVE = 0.1
"""Variance above which a block counts."""

SMOOTH = 0.1
"""Deviation below which a piece of an edge is an artefact."""


@compiled
def variance(total: float, squares: float, count: int) -> float:
    """Unbiased variance of `count` values with this sum and sum of squares."""
    return max((squares - total * total / count) / (count - 1), 0.0)


@compiled
def smooth_piece(edge: Image) -> bool:
    """Whether `SEGMENT` successive values of an edge of a block hardly differ."""
    for first in range(BLOCK - SEGMENT + 1):
        total = squares = 0.0
        for k in range(first, first + SEGMENT):
            total += edge[k]
            squares += edge[k] * edge[k]
        if variance(total, squares, SEGMENT) < SMOOTH * SMOOTH:
            return True
    return False


@compiled
def has_artefact(block: Image) -> bool:
    """Whether one of the four edges has a smooth piece (section III.C of the paper)."""
    last = BLOCK - 1
    return (
        smooth_piece(block[0])
        or smooth_piece(block[last])
        or smooth_piece(block[:, 0])
        or smooth_piece(block[:, last])
    )


@compiled
def has_noise(sums: Image, squares: Image, total: float, total_squares: float, deviation: float) -> bool:
    """Whether the two middle columns vary like the surrounding ones (section III.D of the paper).

    The surrounding columns are all except the eighth and the tenth. The published code deletes the eighth,
    and then the ninth of the rest; the scores in the literature are those of that code.
    """
    centre = variance(sums[7] + sums[8], squares[7] + squares[8], 2 * BLOCK)
    around = variance(total - sums[7] - sums[9], total_squares - squares[7] - squares[9], 14 * BLOCK)
    if around == 0.0 and centre > 0.0:  # the ratio is infinite, and beta 1
        return deviation > 2.0
    ratio = np.sqrt(centre / around) if around > 0.0 else 0.0
    return deviation > 2.0 * abs(deviation - ratio) / max(deviation, ratio)


@compiled
def add_strip(strip: Image, sums: Image, squares: Image) -> tuple[float, int]:
    """Distortion of the active blocks of a strip of 16 rows, and the number of these blocks.

    Args:
        strip: float64 (16, W), contrast-normalised.
        sums: float64 (W,), memory.
        squares: float64 (W,), memory.
    """
    width = sums.size
    sums[:], squares[:] = 0.0, 0.0
    for i in range(BLOCK):
        row = strip[i]
        for j in range(width):
            sums[j] += row[j]
            squares[j] += row[j] * row[j]
    distortion, active = 0.0, 0
    for left in range(0, width - BLOCK + 1, BLOCK):
        right = left + BLOCK
        total, total_squares = sums[left:right].sum(), squares[left:right].sum()
        spread = variance(total, total_squares, BLOCK * BLOCK)
        if spread > ACTIVE:
            active += 1
            if has_artefact(strip[:, left:right]):
                distortion += 1.0 - spread
            if has_noise(sums[left:right], squares[left:right], total, total_squares, np.sqrt(spread)):
                distortion += spread
    return distortion, active


@compiled
def pooled(image: Image, squares: Image, strip: Image, memory: Image) -> float:
    """The score: the distortion per active block, in percent (eq. 12 of the paper).

    Args:
        image: float64 (H, W), grey levels.
        squares: float64 (H, W), their squares.
        strip: float64 (16, W), memory.
        memory: float64 (2, W), memory.
    """
    distortion, active = 0.0, 0
    for top in range(0, image.shape[0] - BLOCK + 1, BLOCK):
        contrast_normalise(image, squares, top, GAUSSIAN, 0.0, strip)
        more, count = add_strip(strip, memory[0], memory[1])
        distortion += more
        active += count
    return 100.0 * (distortion + 1.0) / (active + 1.0)


class Blocks:
    """Memory for the score of pictures of one size.

    A picture is mirrored at the bottom and at the right by as many pixels as are left over of whole blocks,
    like in the published code. So the last pixels may not fill a block; then only the filter sees them.

    Args:
        height: rows of the pictures, at least 16.
        width: columns, at least 16.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        rows, columns = height + height % BLOCK, width + width % BLOCK
        self.values, self.squares = np.empty((2, rows, columns))
        self.strip, self.memory = np.empty((BLOCK, columns)), np.empty((2, columns))

    def score(self, levels: NDArray[np.float32]) -> float:
        """PIQE of a picture, given its grey levels (H, W), the brightest of them 255."""
        height, width = self.height, self.width
        rows, columns = height % BLOCK, width % BLOCK
        self.values[:height, :width] = levels
        self.values[height:, :width] = levels[height - rows :][::-1]
        self.values[:, width:] = self.values[:, width - columns : width][:, ::-1]
        np.multiply(self.values, self.values, out=self.squares)
        return float(pooled(self.values, self.squares, self.strip, self.memory))
