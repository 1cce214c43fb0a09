"""Filters of natural scene statistics, as compiled loops: contrast normalisation and halving.

Equations and their numbers: A. Mittal, R. Soundararajan, A. C. Bovik, "Making a 'Completely Blind' Image
Quality Analyzer", IEEE Signal Processing Letters 20(3), 2013. The compiler must not reorder a sum
(no fast-math), so every machine gives the same sums.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqgen.compiled import compiled

Image = NDArray[np.float64]


def gaussian(size: int, sigma: float) -> Image:
    """`size` taps; along rows and then along columns they make a Gaussian whose sum is not quite one.

    pyiqa keeps its kernel in float32, so its sum S differs from one by 1e-8. On a flat patch of value v
    this gives x - mu = v (1 - S), with the same sign everywhere; an exact kernel would give zeros or
    rounding errors. The features count signs, so the taps are scaled to the same S.
    """
    taps = np.exp(-((np.arange(size) - (size - 1) / 2) ** 2) / (2 * sigma**2))
    kernel = np.outer(taps, taps) / taps.sum() ** 2
    total = kernel.astype(np.float32).sum(dtype=np.float64)
    return np.asarray(taps / taps.sum() * np.sqrt(total))


def _bicubic() -> NDArray[np.float32]:
    """Eight taps that halve a line: the cubic with a = -1/2 (Keys 1981), twice as wide against aliasing.

    They are multiples of 2^-11, so float32 holds them exactly.
    """
    x = np.abs(np.arange(-3.5, 4.0)) / 2
    taps = np.where(x <= 1, 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2)
    return np.asarray(taps / taps.sum(), np.float32)


GAUSSIAN = gaussian(7, 7 / 6)
"""The 7x7 Gaussian of sigma 7/6."""

EXACT = GAUSSIAN / GAUSSIAN.sum()
"""The same with a sum of one."""

BICUBIC = _bicubic()
EPSILON = float(np.finfo(np.float64).eps)


@compiled
def along_columns(image: Image, i: int, taps: Image, line: Image) -> None:
    """Seven symmetric taps along the columns at row i, into a line that repeats each edge three times.

    One pass over all seven rows: with one pass per row, storing would take longer than adding.
    """
    last, width = image.shape[0] - 1, image.shape[1]
    inner = line[3 : width + 3]
    tap3, tap4, tap5, tap6 = taps[3], taps[4], taps[5], taps[6]
    a, b, c, d = image[max(i - 3, 0)], image[max(i - 2, 0)], image[max(i - 1, 0)], image[i]
    e, f, g = image[min(i + 1, last)], image[min(i + 2, last)], image[min(i + 3, last)]
    for j in range(width):
        inner[j] = tap3 * d[j] + tap4 * (c[j] + e[j]) + tap5 * (b[j] + f[j]) + tap6 * (a[j] + g[j])
    for j in range(3):
        line[j] = line[3]
        line[width + 3 + j] = line[width + 2]


@compiled
def along_row(line: Image, taps: Image, mean: Image) -> None:
    """Seven symmetric taps along a line of W + 6 values, into W values."""
    tap3, tap4, tap5, tap6 = taps[3], taps[4], taps[5], taps[6]
    for j in range(mean.size):
        mean[j] = (
            tap3 * line[j + 3]
            + tap4 * (line[j + 2] + line[j + 4])
            + tap5 * (line[j + 1] + line[j + 5])
            + tap6 * (line[j] + line[j + 6])
        )


@compiled
def contrast_normalise(
    image: Image, squares: Image, top: int, taps: Image, smallest: float, normalised: Image
) -> None:
    """(x - mu) / (sigma + 1), mu and sigma the Gaussian-weighted local mean and deviation (eq. 1 to 3).

    Args:
        image: float64 (H, W). Beyond the border its edge repeats.
        squares: float64 (H, W), its squares.
        top: the first of the rows that are normalised.
        taps: `GAUSSIAN`, or other seven, which along rows and columns make the Gaussian.
        smallest: differences up to this one become zero.
        normalised: float64 (rows, W), written.
    """
    width = image.shape[1]
    line, mean, square = np.empty(width + 6), np.empty(width), np.empty(width)
    for i in range(normalised.shape[0]):
        along_columns(image, top + i, taps, line)
        along_row(line, taps, mean)
        along_columns(squares, top + i, taps, line)
        along_row(line, taps, square)
        x, y = image[top + i], normalised[i]
        for j in range(width):
            difference = x[j] - mean[j]
            sigma = np.sqrt(abs(square[j] - mean[j] * mean[j]) + EPSILON)
            # `/` would check for zero first, and then the loop could not use vector instructions.
            y[j] = np.divide(difference if abs(difference) > smallest else 0.0, sigma + 1.0)


@compiled
def mirrored(i: int, height: int) -> int:
    """The row at place i; beyond the border the image is mirrored."""
    if i < 0:
        return -i - 1
    return 2 * height - 1 - i if i >= height else i


@compiled
def halve_columns(image: NDArray[Any], i: int, line: NDArray[Any]) -> None:
    """The eight rows around 2 i into one line, which mirrors its outermost values at each end."""
    height, width = image.shape
    inner = line[3 : width + 3]
    a, b = image[mirrored(2 * i - 3, height)], image[mirrored(2 * i - 2, height)]
    c, d = image[mirrored(2 * i - 1, height)], image[2 * i]
    e, f = image[mirrored(2 * i + 1, height)], image[mirrored(2 * i + 2, height)]
    g, h = image[mirrored(2 * i + 3, height)], image[mirrored(2 * i + 4, height)]
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
    for j in range(line.size - width - 3):
        line[width + 3 + j] = line[width + 2 - j]


@compiled
def halve_row(line: NDArray[Any], even: NDArray[Any], odd: NDArray[Any], white: float, half: Image) -> None:
    """A line with its mirrored ends into half as many values, times `white`.

    Even and odd values are separated first, because vector instructions need them without gaps.
    """
    for j in range(even.size):
        even[j] = line[2 * j]
        odd[j] = line[2 * j + 1]
    for j in range(half.size):
        half[j] = white * np.float64(
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
def halve(image: NDArray[Any], white: float, half: Image) -> None:
    """Bicubic reduction by two with antialiasing; beyond the border the image is mirrored (as in MATLAB).

    The sums are computed in the type of the image: if the picture is almost flat, their last bits decide.

    Args:
        image: float32 or float64 (H, W); where white is 1, grey levels / 255.
        white: factor of the result.
        half: float64 (H / 2, W / 2), rounded up; written.
    """
    columns = half.shape[1]
    line = np.empty(2 * columns + 6, image.dtype)
    even, odd = np.empty(columns + 3, image.dtype), np.empty(columns + 3, image.dtype)
    for i in range(half.shape[0]):
        halve_columns(image, i, line)
        halve_row(line, even, odd, white, half[i])
