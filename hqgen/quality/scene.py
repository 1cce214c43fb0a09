"""Natural scene statistics: the sums over pixels that NIQE's features are computed from, as compiled loops.

Equations and their numbers: A. Mittal, R. Soundararajan, A. C. Bovik, "Making a 'Completely Blind' Image
Quality Analyzer", IEEE Signal Processing Letters 20(3), 2013. The compiler may not reorder a sum (no
fast-math), so a machine with wider vectors gives the same sums.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hqgen.compiled import compiled

__all__ = ["BLOCK", "Scene"]

BLOCK = 96
"""Side of a block at full size, pixels; half of that at half size."""

Image = NDArray[np.float64]
Half = NDArray[np.float32]


def _gaussian() -> Image:
    """Seven taps that applied along rows and along columns make the 7x7 Gaussian of sigma 7/6.

    pyiqa keeps its 7x7 kernel in float32, whose sum S differs from one by 1e-8. On a flat patch of value v
    that leaves x - mu = v (1 - S), of one sign everywhere, where an exact kernel leaves zeros or round-off;
    and the features count signs. The taps are scaled to that same S.
    """
    taps = np.exp(-(np.arange(-3.0, 4.0) ** 2) / (2 * (7 / 6) ** 2))
    kernel = np.outer(taps, taps) / taps.sum() ** 2
    total = kernel.astype(np.float32).sum(dtype=np.float64)
    return np.asarray(taps / taps.sum() * np.sqrt(total))


def _bicubic() -> Half:
    """Eight taps that halve a line: the cubic of a = -1/2 (Keys 1981), stretched by two against aliasing."""
    x = np.abs(np.arange(-3.5, 4.0)) / 2
    taps = np.where(x <= 1, 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2)
    return np.asarray(taps / taps.sum(), np.float32)


GAUSSIAN = _gaussian()
BICUBIC = _bicubic()
EPSILON = float(np.finfo(np.float64).eps)


@compiled
def along_columns(image: Image, i: int, line_x: Image, line_xx: Image) -> None:
    """Gaussian along the columns at row i, of x and of x², into lines that repeat their edges thrice."""
    height, width = image.shape
    x, xx, here = line_x[3 : width + 3], line_xx[3 : width + 3], image[i]
    for j in range(width):
        x[j] = GAUSSIAN[3] * here[j]
        xx[j] = GAUSSIAN[3] * (here[j] * here[j])
    for k in range(1, 4):
        weight, above, below = GAUSSIAN[3 + k], image[max(i - k, 0)], image[min(i + k, height - 1)]
        for j in range(width):
            x[j] += weight * (above[j] + below[j])
            xx[j] += weight * (above[j] * above[j] + below[j] * below[j])
    for line in (line_x, line_xx):
        for j in range(3):
            line[j] = line[3]
            line[width + 3 + j] = line[width + 2]


@compiled
def along_row(line: Image, mean: Image) -> None:
    """Gaussian along a line of W + 6 values, into W values."""
    for j in range(mean.size):
        mean[j] = (
            GAUSSIAN[3] * line[j + 3]
            + GAUSSIAN[4] * (line[j + 2] + line[j + 4])
            + GAUSSIAN[5] * (line[j + 1] + line[j + 5])
            + GAUSSIAN[6] * (line[j] + line[j + 6])
        )


@compiled
def contrast_normalise(image: Image, normalised: Image) -> None:
    """(x - mu) / (sigma + 1), mu and sigma the Gaussian-weighted local mean and deviation (eq. 1 to 3).

    Args:
        image: float64 (H, W), grey levels; beyond the border its edge repeats.
        normalised: float64 (H, W), written.
    """
    height, width = image.shape
    line_x, line_xx = np.empty(width + 6), np.empty(width + 6)
    mean, square = np.empty(width), np.empty(width)
    for i in range(height):
        along_columns(image, i, line_x, line_xx)
        along_row(line_x, mean)
        along_row(line_xx, square)
        x, y = image[i], normalised[i]
        for j in range(width):
            sigma = np.sqrt(abs(square[j] - mean[j] * mean[j]) + EPSILON)
            # `/` would look for a zero first, which keeps the loop from using vector instructions.
            y[j] = np.divide(x[j] - mean[j], sigma + 1.0)


@compiled
def halve(image: Half, half: Half) -> None:
    """Bicubic reduction by two with antialiasing; beyond the border the image is mirrored.

    In float32 as pyiqa does it: where the picture is nearly flat, the last bits decide on signs.

    Args:
        image: float32 (H, W), H and W even.
        half: float32 (H / 2, W / 2), written.
    """
    height, width = image.shape
    line = np.empty(width + 6, np.float32)
    inner = line[3 : width + 3]
    for i in range(height // 2):
        line[:] = 0.0
        for k in range(8):
            source = 2 * i + k - 3
            source = -source - 1 if source < 0 else source
            source = 2 * height - 1 - source if source >= height else source
            weight, row = BICUBIC[k], image[source]
            for j in range(width):
                inner[j] += weight * row[j]
        for j in range(3):
            line[2 - j] = line[3 + j]
            line[width + 3 + j] = line[width + 2 - j]
        for j in range(width // 2):
            value = np.float32(0.0)
            for k in range(8):
                value += BICUBIC[k] * line[2 * j + k]
            half[i, j] = value


@compiled
def add_products(a: Image, b: Image, sums: Image) -> None:
    """Add one line of products p = a b to the running sums, column by column.

    The five sums lie one behind the other in one array, `BLOCK` apart: only so can the compiler see that they
    do not overlap, and use vector instructions.
    """
    for j in range(a.size):
        p = a[j] * b[j]
        sums[j] += p * p if p < 0.0 else 0.0
        sums[BLOCK + j] += p * p if p > 0.0 else 0.0
        sums[2 * BLOCK + j] += abs(p)
        sums[3 * BLOCK + j] += 1.0 if p < 0.0 else 0.0
        sums[4 * BLOCK + j] += 1.0 if p > 0.0 else 0.0


@compiled
def wrap(line: Image, wrapped: Image) -> None:
    """Copy a line of n values with the last one before it and the first one behind it."""
    n = line.size
    wrapped[0], wrapped[n + 1] = line[n - 1], line[0]
    for j in range(n):
        wrapped[j + 1] = line[j]


@compiled
def block_moments(block: Image, moments: Image) -> None:
    """Moments of a block, and of its products with itself shifted by one pixel in four directions.

    Args:
        block: float64 (size, size).
        moments: float64 (5, 5), written: for the block, then the products with the neighbour to the left,
            above, above left and above right (circular within the block): sum of squares of the negative and
            of the positive values, sum of magnitudes, number of negative and of positive values.
    """
    size = block.shape[0]
    above, row = np.empty(size + 2), np.empty(size + 2)
    ones = np.ones(size)
    sums = np.zeros((5, 5 * BLOCK))
    wrap(block[size - 1], row)
    for i in range(size):
        above, row = row, above
        wrap(block[i], row)
        here = row[1 : size + 1]
        add_products(here, ones, sums[0])
        add_products(here, row[0:size], sums[1])
        add_products(here, above[1 : size + 1], sums[2])
        add_products(here, above[0:size], sums[3])
        add_products(here, above[2 : size + 2], sums[4])
    for m in range(5):
        total0 = total1 = total2 = total3 = total4 = 0.0
        for j in range(size):
            total0 += sums[m, j]
            total1 += sums[m, BLOCK + j]
            total2 += sums[m, 2 * BLOCK + j]
            total3 += sums[m, 3 * BLOCK + j]
            total4 += sums[m, 4 * BLOCK + j]
        moments[m, 0], moments[m, 1], moments[m, 2] = total0, total1, total2
        moments[m, 3], moments[m, 4] = total3, total4


@compiled
def moments_of_blocks(normalised: Image, size: int) -> Image:
    """`block_moments` of every block of `size` pixels a side, row by row: float64 (B, 5, 5)."""
    rows, columns = normalised.shape[0] // size, normalised.shape[1] // size
    moments = np.empty((rows * columns, 5, 5))
    for b in range(rows * columns):
        top, left = b // columns * size, b % columns * size
        block_moments(normalised[top : top + size, left : left + size], moments[b])
    return moments


class Scene:
    """Memory to take the moments of pictures of one size in: fresh pages would cost as much time as the sums.

    Args:
        height: rows of the pictures, a multiple of `BLOCK`.
        width: columns, likewise.
    """

    def __init__(self, height: int, width: int) -> None:
        self.full, self.full_normalised = np.empty((2, height, width))
        self.small, self.small_normalised = np.empty((2, height // 2, width // 2))
        self.unit = np.empty((height, width), np.float32)
        self.unit_small = np.empty((height // 2, width // 2), np.float32)

    def moments(self, levels: NDArray[np.generic]) -> Image:
        """Moments of all blocks of a picture, given its grey levels (H, W), at both scales.

        Returns:
            float64 (2, B, 5, 5): scale, block, and what `block_moments` writes.
        """
        np.copyto(self.full, levels, casting="safe")
        np.divide(self.full, 255, out=self.unit, casting="same_kind")
        halve(self.unit, self.unit_small)
        np.multiply(self.unit_small, 255, out=self.small, dtype=np.float64)
        contrast_normalise(self.full, self.full_normalised)
        contrast_normalise(self.small, self.small_normalised)
        return np.stack(
            [
                moments_of_blocks(self.full_normalised, BLOCK),
                moments_of_blocks(self.small_normalised, BLOCK // 2),
            ]
        )
