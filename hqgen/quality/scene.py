"""Natural scene statistics: the sums over pixels behind the features of NIQE, as compiled loops.

Equations and their numbers: A. Mittal, R. Soundararajan, A. C. Bovik, "Making a 'Completely Blind' Image
Quality Analyzer", IEEE Signal Processing Letters 20(3), 2013. The compiler must not reorder a sum
(no fast-math), so every machine gives the same sums.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hqgen.compiled import compiled
from hqgen.quality.filters import GAUSSIAN, Image, contrast_normalise, halve

BLOCK = 96
"""Side of a block at full size, pixels; half of that at half size."""

TOGETHER = 4
"""Rows of a block whose products are added in registers."""

PITCH = BLOCK + 8
"""Distance between rows of a wrapped tile; the compiler needs a constant."""


@compiled
def wrap(image: Image, top: int, left: int, rows: int, columns: int, wrapped: Image) -> None:
    """Copy a tile with the row above it and the columns beside it; they are circular in the image.

    The rows are `PITCH` apart. Below them are rows of zeros, up to a multiple of `TOGETHER`.
    """
    height, width = image.shape
    for i in range(rows + 1):
        source, row = image[(top + i - 1) % height], wrapped[i * PITCH : i * PITCH + columns + 2]
        row[0], row[columns + 1] = source[(left - 1) % width], source[(left + columns) % width]
        inner = row[1 : columns + 1]
        for j in range(columns):
            inner[j] = source[left + j]
    wrapped[(rows + 1) * PITCH : (rows + TOGETHER) * PITCH] = 0.0


@compiled
def add_products(a: Image, b: Image, size: int, sums: Image) -> None:
    """Add the products p = a b of `TOGETHER` rows of `size` values to the running sums, column by column.

    The five sums are in one array, `BLOCK` apart; the rows are in one array, `PITCH` apart. This shows the
    compiler that they do not overlap, so that it can use vector instructions.
    """
    for j in range(size):
        left, right, magnitude = sums[j], sums[BLOCK + j], sums[2 * BLOCK + j]
        lefts, rights = sums[3 * BLOCK + j], sums[4 * BLOCK + j]
        for i in range(TOGETHER):
            p = a[i * PITCH + j] * b[i * PITCH + j]
            left += p * p if p < 0.0 else 0.0
            right += p * p if p > 0.0 else 0.0
            magnitude += abs(p)
            lefts += 1.0 if p < 0.0 else 0.0
            rights += 1.0 if p > 0.0 else 0.0
        sums[j], sums[BLOCK + j], sums[2 * BLOCK + j] = left, right, magnitude
        sums[3 * BLOCK + j], sums[4 * BLOCK + j] = lefts, rights


@compiled
def add_columns(sums: Image, size: int, moments: Image) -> None:
    """Add the columns of the five sums from `add_products`."""
    left = right = magnitude = lefts = rights = 0.0
    for j in range(size):
        left += sums[j]
        right += sums[BLOCK + j]
        magnitude += sums[2 * BLOCK + j]
        lefts += sums[3 * BLOCK + j]
        rights += sums[4 * BLOCK + j]
    moments[0], moments[1], moments[2], moments[3], moments[4] = left, right, magnitude, lefts, rights


@compiled
def block_moments(block: Image, moments: Image) -> None:
    """Moments of a block, and of its products with itself shifted by one pixel in four directions.

    Args:
        block: float64 (H, W), a block or a whole picture.
        moments: float64 (5, 5), written: for the block, then the products with the neighbour to the left,
            above, above left and above right (circular within the block): sum of squares of the negative and
            of the positive values, sum of magnitudes, number of negative and of positive values.
    """
    height, width = block.shape
    wrapped = np.empty((BLOCK + TOGETHER) * PITCH)
    ones, sums = np.ones(TOGETHER * PITCH), np.zeros((5, 5 * BLOCK))
    for top in range(0, height, BLOCK):
        for left in range(0, width, BLOCK):
            rows, columns = min(BLOCK, height - top), min(BLOCK, width - left)
            wrap(block, top, left, rows, columns, wrapped)
            for i in range(0, rows, TOGETHER):
                above = wrapped[i * PITCH : (i + TOGETHER + 1) * PITCH]
                row = above[PITCH:]
                centre = row[1:]
                add_products(centre, ones, columns, sums[0])
                add_products(centre, row, columns, sums[1])
                add_products(centre, above[1:], columns, sums[2])
                add_products(centre, above, columns, sums[3])
                add_products(centre, above[2:], columns, sums[4])
    for m in range(5):
        add_columns(sums[m], min(width, BLOCK), moments[m])


@compiled
def moments_of_blocks(image: Image, squares: Image, strip: Image) -> Image:
    """`block_moments` of every block of an image, row by row: float64 (B, 5, 5).

    `strip` (size, W) is memory for one normalised row of blocks of `size` x `size` pixels.
    """
    size, columns = strip.shape[0], strip.shape[1] // strip.shape[0]
    rows = image.shape[0] // size
    moments = np.empty((rows * columns, 5, 5))
    for b in range(rows * columns):
        left = b % columns * size
        if left == 0:
            contrast_normalise(image, squares, b // columns * size, GAUSSIAN, 0.0, strip)
        block_moments(strip[:, left : left + size], moments[b])
    return moments


@compiled
def scale_and_square(image: Image, unit: NDArray[np.float32], squares: Image) -> None:
    """Write image / 255 and image², each (H, W).

    A multiplication by 1 / 255 takes half the time of a division by 255. For whole levels both give the same
    float32: the bits of the quotient repeat after eight, so it is never close to the middle between two
    floats.
    """
    for i in range(image.shape[0]):
        x, u, xx = image[i], unit[i], squares[i]
        for j in range(image.shape[1]):
            u[j] = np.float32(x[j] * (1 / 255))
            xx[j] = x[j] * x[j]


class Scene:
    """Memory for the moments of pictures of one size; new memory each time would take as long as the sums.

    Args:
        height: rows of the pictures, a multiple of `BLOCK`.
        width: columns, a multiple of `BLOCK`.
    """

    def __init__(self, height: int, width: int) -> None:
        self.full, self.full_squares = np.empty((2, height, width))
        self.small, self.small_squares = np.empty((2, height // 2, width // 2))
        self.unit = np.empty((height, width), np.float32)
        self.full_strip = np.empty((BLOCK, width))
        self.small_strip = np.empty((BLOCK // 2, width // 2))

    def moments(self, levels: NDArray[np.generic]) -> Image:
        """Moments of all blocks of a picture, given its grey levels (H, W), at both scales.

        Returns:
            float64 (2, B, 5, 5): scale, block, and the moments as `block_moments` writes them.
        """
        np.copyto(self.full, levels, casting="safe")
        scale_and_square(self.full, self.unit, self.full_squares)
        halve(self.unit, 255.0, self.small)
        np.multiply(self.small, self.small, out=self.small_squares)
        return np.stack(
            [
                moments_of_blocks(self.full, self.full_squares, self.full_strip),
                moments_of_blocks(self.small, self.small_squares, self.small_strip),
            ]
        )
