"""Natural scene statistics: the sums over pixels behind the features of NIQE, as compiled loops.

Equations and their numbers: A. Mittal, R. Soundararajan, A. C. Bovik, "Making a 'Completely Blind' Image
Quality Analyzer", IEEE Signal Processing Letters 20(3), 2013. The compiler must not reorder a sum
(no fast-math), so every machine gives the same sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hqgen.compiled import compiled

BLOCK = 96
"""Side of a block at full size, pixels; half of that at half size."""

TOGETHER = 4
"""Rows of a block whose products are added in registers."""

PITCH = BLOCK + 8
"""Distance between rows of a wrapped block; the compiler needs a constant."""

Image = NDArray[np.float64]
Half = NDArray[np.float32]


def _gaussian() -> Image:
    """Seven taps; along rows and then along columns they make the 7x7 Gaussian of sigma 7/6.

    pyiqa keeps its 7x7 kernel in float32, so its sum S differs from one by 1e-8. On a flat patch of value v
    this gives x - mu = v (1 - S), with the same sign everywhere; an exact kernel would give zeros or
    rounding errors. The features count signs, so the taps are scaled to the same S.
    """
    taps = np.exp(-(np.arange(-3.0, 4.0) ** 2) / (2 * (7 / 6) ** 2))
    kernel = np.outer(taps, taps) / taps.sum() ** 2
    total = kernel.astype(np.float32).sum(dtype=np.float64)
    return np.asarray(taps / taps.sum() * np.sqrt(total))


def _bicubic() -> Half:
    """Eight taps that halve a line: the cubic with a = -1/2 (Keys 1981), twice as wide against aliasing."""
    x = np.abs(np.arange(-3.5, 4.0)) / 2
    taps = np.where(x <= 1, 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2)
    return np.asarray(taps / taps.sum(), np.float32)


GAUSSIAN = _gaussian()
BICUBIC = _bicubic()
EPSILON = float(np.finfo(np.float64).eps)


@compiled
def along_columns(image: Image, i: int, line: Image) -> None:
    """Gaussian along the columns at row i, into a line that repeats each edge three times.

    One pass over all seven rows: with one pass per row, storing would take longer than adding.
    """
    last, width = image.shape[0] - 1, image.shape[1]
    inner = line[3 : width + 3]
    a, b, c, d = image[max(i - 3, 0)], image[max(i - 2, 0)], image[max(i - 1, 0)], image[i]
    e, f, g = image[min(i + 1, last)], image[min(i + 2, last)], image[min(i + 3, last)]
    for j in range(width):
        inner[j] = (
            GAUSSIAN[3] * d[j]
            + GAUSSIAN[4] * (c[j] + e[j])
            + GAUSSIAN[5] * (b[j] + f[j])
            + GAUSSIAN[6] * (a[j] + g[j])
        )
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
def contrast_normalise(image: Image, squares: Image, top: int, normalised: Image) -> None:
    """(x - mu) / (sigma + 1), mu and sigma the Gaussian-weighted local mean and deviation (eq. 1 to 3).

    The rows of the image (H, W) from `top` are written to `normalised` (rows, W); beyond the border the edge
    of the image repeats.
    """
    width = image.shape[1]
    line, mean, square = np.empty(width + 6), np.empty(width), np.empty(width)
    for i in range(normalised.shape[0]):
        along_columns(image, top + i, line)
        along_row(line, mean)
        along_columns(squares, top + i, line)
        along_row(line, square)
        x, y = image[top + i], normalised[i]
        for j in range(width):
            sigma = np.sqrt(abs(square[j] - mean[j] * mean[j]) + EPSILON)
            # `/` would check for zero first, and then the loop could not use vector instructions.
            y[j] = np.divide(x[j] - mean[j], sigma + 1.0)


@compiled
def mirrored(i: int, height: int) -> int:
    """The row at place i; beyond the border the image is mirrored."""
    if i < 0:
        return -i - 1
    return 2 * height - 1 - i if i >= height else i


@compiled
def halve_columns(unit: Half, i: int, line: Half) -> None:
    """The eight rows around 2 i into one line, which mirrors its three outermost values at each end."""
    height, width = unit.shape
    inner = line[3 : width + 3]
    a, b = unit[mirrored(2 * i - 3, height)], unit[mirrored(2 * i - 2, height)]
    c, d = unit[mirrored(2 * i - 1, height)], unit[2 * i]
    e, f = unit[2 * i + 1], unit[mirrored(2 * i + 2, height)]
    g, h = unit[mirrored(2 * i + 3, height)], unit[mirrored(2 * i + 4, height)]
    for j in range(width):
        inner[j] = (
            BICUBIC[0] * a[j]
            + BICUBIC[1] * b[j]
            + BICUBIC[2] * c[j]
            + BICUBIC[3] * d[j]
            + BICUBIC[4] * e[j]
            + BICUBIC[5] * f[j]
            + BICUBIC[6] * g[j]
            + BICUBIC[7] * h[j]
        )
    for j in range(3):
        line[2 - j] = line[3 + j]
        line[width + 3 + j] = line[width + 2 - j]


@compiled
def halve_row(line: Half, even: Half, odd: Half, half: Image) -> None:
    """A line of W + 6 values into W / 2 grey levels.

    Even and odd values are separated first, because vector instructions need them without gaps.
    """
    for j in range(even.size):
        even[j] = line[2 * j]
        odd[j] = line[2 * j + 1]
    for j in range(half.size):
        half[j] = 255.0 * np.float64(
            BICUBIC[0] * even[j]
            + BICUBIC[1] * odd[j]
            + BICUBIC[2] * even[j + 1]
            + BICUBIC[3] * odd[j + 1]
            + BICUBIC[4] * even[j + 2]
            + BICUBIC[5] * odd[j + 2]
            + BICUBIC[6] * even[j + 3]
            + BICUBIC[7] * odd[j + 3]
        )


@compiled
def halve(unit: Half, half: Image) -> None:
    """Bicubic reduction by two with antialiasing; beyond the border the image is mirrored.

    Computed in float32, like pyiqa: if the picture is almost flat, the last bits decide the signs.

    Args:
        unit: float32 (H, W), grey levels / 255; H and W even.
        half: float64 (H / 2, W / 2), written: grey levels.
    """
    width = unit.shape[1]
    line = np.empty(width + 6, np.float32)
    even, odd = np.empty(width // 2 + 3, np.float32), np.empty(width // 2 + 3, np.float32)
    for i in range(half.shape[0]):
        halve_columns(unit, i, line)
        halve_row(line, even, odd, half[i])


@compiled
def wrap(block: Image, wrapped: Image) -> None:
    """Copy a block into rows `PITCH` apart, its last row above it, its last and first column beside it."""
    size = block.shape[0]
    for i in range(size + 1):
        source, row = block[(i - 1) % size], wrapped[i * PITCH : i * PITCH + size + 2]
        row[0], row[size + 1] = source[size - 1], source[0]
        inner = row[1 : size + 1]
        for j in range(size):
            inner[j] = source[j]


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
        block: float64 (size, size).
        moments: float64 (5, 5), written: for the block, then the products with the neighbour to the left,
            above, above left and above right (circular within the block): sum of squares of the negative and
            of the positive values, sum of magnitudes, number of negative and of positive values.
    """
    size = block.shape[0]
    wrapped = np.empty((size + 1) * PITCH)
    ones, sums = np.ones(TOGETHER * PITCH), np.zeros((5, 5 * BLOCK))
    wrap(block, wrapped)
    for i in range(0, size, TOGETHER):
        above = wrapped[i * PITCH : (i + TOGETHER + 1) * PITCH]
        row = above[PITCH:]
        centre = row[1:]
        add_products(centre, ones, size, sums[0])
        add_products(centre, row, size, sums[1])
        add_products(centre, above[1:], size, sums[2])
        add_products(centre, above, size, sums[3])
        add_products(centre, above[2:], size, sums[4])
    for m in range(5):
        add_columns(sums[m], size, moments[m])


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
            contrast_normalise(image, squares, b // columns * size, strip)
        block_moments(strip[:, left : left + size], moments[b])
    return moments


@compiled
def scale_and_square(image: Image, unit: Half, squares: Image) -> None:
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
        halve(self.unit, self.small)
        np.multiply(self.small, self.small, out=self.small_squares)
        return np.stack(
            [
                moments_of_blocks(self.full, self.full_squares, self.full_strip),
                moments_of_blocks(self.small, self.small_squares, self.small_strip),
            ]
        )


@lru_cache(maxsize=2)
def _idle_scenes(size: tuple[int, int]) -> list[Scene]:  # noqa: ARG001 (one list per size)
    """Unused scenes of one size, for the last two sizes."""
    return []


@contextmanager
def borrowed_scene(height: int, width: int) -> Iterator[Scene]:
    """A scene for this thread alone; afterwards it is kept for the next user of that size."""
    idle = _idle_scenes((height, width))
    try:
        scene = idle.pop()
    except IndexError:
        scene = Scene(height, width)
    try:
        yield scene
    finally:
        idle.append(scene)
