"""Maps that IL-NIQE makes of a picture, and the statistics of their blocks.

Equations: L. Zhang, L. Zhang, A. C. Bovik, "A Feature-Enriched Completely Blind Image Quality Evaluator",
IEEE Transactions on Image Processing 24(8), 2015. The picture is grey, so its three opponent colours are the
same picture times three factors, and only one of them is filtered.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft2, ifft2

from hqgen.compiled import compiled
from hqgen.quality.filters import Image, contrast_normalise, gaussian
from hqgen.quality.scene import block_moments

SIDE = 504
"""Rows and columns that are used, of the 524 that a picture is resized to."""

BLOCKS = 6
"""Blocks along a side: 84x84 pixels each, half of that at half size."""

OPPONENTS = (-0.01, -0.09, 0.96)
"""Levels of a grey picture in the three opponent colours, per grey level."""

EDGE = 1e-8
"""Added to the squared gradient, so that its logarithm is finite."""

REACH = 5
"""Pixels that a derivative reaches to each side: three sigma, rounded up, at both sizes."""

STEPS = 50
"""Newton's method stops after so many steps, or when one changes the exponent by less than `CLOSE` of it."""

CLOSE = 1e-5


FIVE = np.concatenate([[0.0], gaussian(5, 5 / 6), [0.0]])
"""The 5x5 Gaussian of sigma 5/6, as seven taps."""

SMOOTHING = gaussian(6, 0.9)
"""The 6x6 Gaussian of sigma 0.9, before the picture is halved."""


class Statistics(NamedTuple):
    """Statistics of the 36 blocks of one size, row by row."""

    structure: Image  # (36, 5, 5): moments of the normalised picture and its products
    edges: Image  # (36, 3, 2): scale and shape of the Weibull distributions of the gradients of the opponents
    levels: Image  # (36, 2): mean and variance of the logarithm of the grey levels
    slopes: Image  # (36, 2, 5): moments of the two derivatives
    responses: Image  # (36, 24, 5): moments of the real and imaginary responses of 12 filters
    response_slopes: Image  # (36, 48, 5): moments of their derivatives
    response_edges: Image  # (36, 24, 2): scale and shape of their gradients


@cache
def derivative_taps(scale: int) -> tuple[Image, Image]:
    """A Gaussian and its derivative, without their factors; sigma of 1.66 at full size."""
    sigma = 1.66 / scale**0.28
    x = np.arange(-REACH, REACH + 1.0)
    gaussian = np.exp(-(x**2) / (2 * sigma**2))
    return gaussian, x * gaussian


@cache
def log_gabor(scale: int) -> NDArray[np.float32]:
    """Transfer functions of 3 wavelengths x 4 orientations: float32 (12, H, W)."""
    side = SIDE // scale
    x, y = np.meshgrid(*[np.fft.fftfreq(side)] * 2)
    radius, theta = np.hypot(x, y), np.arctan2(-y, x)
    radius[0, 0] = 1
    filters = np.empty((3, 4, side, side), np.float32)
    for s in range(3):
        wavelength = 2.4 / scale**0.87 * 1.31**s
        radial = np.exp(-(np.log(radius * wavelength) ** 2) / (2 * np.log(0.55) ** 2))
        radial[0, 0] = 0
        for o in range(4):
            away = np.abs(np.angle(np.exp(1j * (theta - o * np.pi / 4))))
            filters[s, o] = radial * np.exp(-(away**2) / (2 * (np.pi / 4 / 1.1) ** 2))
    return filters.reshape(12, side, side)


@compiled
def smooth_halve(image: Image, half: Image) -> None:
    """The 6x6 Gaussian at every second pixel; beyond the border the edge repeats."""
    height, width = image.shape
    line = np.empty(width + 5)
    for i in range(half.shape[0]):
        line[:] = 0.0
        inner = line[2 : width + 2]
        for k in range(6):
            row = image[min(max(2 * i - 2 + k, 0), height - 1)]
            for j in range(width):
                inner[j] += SMOOTHING[k] * row[j]
        line[0] = line[1] = line[2]
        line[width + 2 :] = line[width + 1]
        for j in range(half.shape[1]):
            total = 0.0
            for k in range(6):
                total += SMOOTHING[k] * line[2 * j + k]
            half[i, j] = total


@compiled
def columns_of(image: Image, i: int, taps: Image, sign: float, line: Image) -> None:
    """Even (`sign` 1) or odd (`sign` -1) taps along the columns at row i, with zeros beyond the border."""
    height, width = image.shape
    inner = line[REACH : width + REACH]
    row = image[i]
    for j in range(width):
        inner[j] = taps[REACH] * row[j]
    for k in range(1, REACH + 1):
        tap = taps[REACH + k]
        if i + k < height:
            below = image[i + k]
            for j in range(width):
                inner[j] += tap * below[j]
        if i - k >= 0:
            above = image[i - k]
            for j in range(width):
                inner[j] += sign * tap * above[j]


@compiled
def rows_of(line: Image, taps: Image, sign: float, result: Image) -> None:
    """The same along a line of W + 10 values, into W values."""
    t1, t2, t3, t4, t5 = taps[6], taps[7], taps[8], taps[9], taps[10]
    for j in range(result.size):
        result[j] = (
            taps[5] * line[j + 5]
            + t1 * (line[j + 6] + sign * line[j + 4])
            + t2 * (line[j + 7] + sign * line[j + 3])
            + t3 * (line[j + 8] + sign * line[j + 2])
            + t4 * (line[j + 9] + sign * line[j + 1])
            + t5 * (line[j + 10] + sign * line[j])
        )


@compiled
def add_signed(row: Image, sums: Image) -> None:
    """Add a row of W values to five running sums, W apart in one array, column by column."""
    width = row.size
    for j in range(width):
        v = row[j]
        sums[j] += v * v if v < 0.0 else 0.0
        sums[width + j] += v * v if v > 0.0 else 0.0
        sums[2 * width + j] += abs(v)
        sums[3 * width + j] += 1.0 if v < 0.0 else 0.0
        sums[4 * width + j] += 1.0 if v > 0.0 else 0.0


@compiled
def move_sums(sums: Image, size: int, moments: Image) -> None:
    """Add the columns of each block, and begin again: moments (blocks, 5)."""
    width = sums.size // 5
    for b in range(moments.shape[0]):
        for m in range(5):
            moments[b, m] = sums[m * width + b * size : m * width + (b + 1) * size].sum()
    sums[:] = 0.0


@compiled
def derive(image: Image, even: Image, odd: Image, moments: Image, energy: Image) -> None:
    """Moments of the blocks of an image and of its two derivatives, and the squared gradient.

    Args:
        image: float64 (S, S).
        even: Gaussian taps.
        odd: taps of its derivative.
        moments: float64 (36, 3, 5), written: of the image, and of the derivative along rows and columns.
        energy: float64 (S, S), written.
    """
    side = image.shape[1]
    size = side // BLOCKS
    even_line, odd_line = np.zeros(side + 2 * REACH), np.zeros(side + 2 * REACH)
    dx, dy, sums = np.empty(side), np.empty(side), np.zeros((3, 5 * side))
    for i in range(side):
        columns_of(image, i, even, 1.0, even_line)
        columns_of(image, i, odd, -1.0, odd_line)
        rows_of(even_line, odd, -1.0, dx)
        rows_of(odd_line, even, 1.0, dy)
        add_signed(image[i], sums[0])
        add_signed(dx, sums[1])
        add_signed(dy, sums[2])
        squared = energy[i]
        for j in range(side):
            squared[j] = dx[j] * dx[j] + dy[j] * dy[j]
        if (i + 1) % size == 0:
            first = i // size * BLOCKS
            for m in range(3):
                move_sums(sums[m], size, moments[first : first + BLOCKS, m])


@compiled
def weibull(logs: Image, fit: Image) -> None:
    """Fit a Weibull distribution by maximum likelihood (Newton's method), given logarithms of the values.

    Args:
        logs: float64 (n,).
        fit: float64 (2,), written: scale and shape; NaN if the values are equal.
    """
    count, mean, largest = logs.size, logs.mean(), logs.max()
    spread = 0.0
    for value in logs:
        spread += (value - mean) ** 2
    k = 1.2 / np.sqrt(spread / (count - 1))
    total = 0.0
    for _ in range(STEPS):
        total, first, second = 0.0, 0.0, 0.0
        for value in logs:
            x = value - largest
            power = np.exp(k * x)
            total += power
            first += power * x
            second += power * x * x
        slope = first / total
        step = (slope + largest - mean - 1.0 / k) / (second / total - slope * slope + 1.0 / (k * k))
        k -= step
        if not abs(step) > CLOSE * abs(k):
            break
    total = 0.0
    for value in logs:
        total += np.exp(k * (value - largest))
    fit[0], fit[1] = np.exp(largest + np.log(total / count) / k), k


@compiled
def edge_fits(energy: Image, factor: float, fits: Image) -> None:
    """`weibull` of the gradient of each block: fits (36, 2), of the root of `factor`² energy + `EDGE`."""
    size = energy.shape[0] // BLOCKS
    logs = np.empty(size * size)
    for b in range(BLOCKS * BLOCKS):
        top, left = b // BLOCKS * size, b % BLOCKS * size
        for i in range(size):
            row = energy[top + i, left : left + size]
            for j in range(size):
                logs[i * size + j] = 0.5 * np.log(factor * factor * row[j] + EDGE)
        weibull(logs, fits[b])


def blocks_of(image: NDArray[Any]) -> NDArray[Any]:
    """(S, S) -> (36, pixels of a block), row by row."""
    size = image.shape[0] // BLOCKS
    return image.reshape(BLOCKS, size, BLOCKS, size).swapaxes(1, 2).reshape(BLOCKS**2, size * size)


def structure(image: Image) -> Image:
    """Moments of the blocks of the contrast-normalised picture: float64 (36, 5, 5)."""
    size = image.shape[0] // BLOCKS
    normalised, moments = np.empty(image.shape), np.empty((BLOCKS**2, 5, 5))
    contrast_normalise(image, image * image, 0, FIVE, 0.0, normalised)
    for b in range(BLOCKS**2):
        top, left = b // BLOCKS * size, b % BLOCKS * size
        block_moments(normalised[top : top + size, left : left + size], moments[b])
    return moments


def statistics(levels: Image, scale: int) -> Statistics:
    """All statistics of a picture of grey levels: float64 (504, 504), or (252, 252) at scale 2."""
    count = BLOCKS**2
    even, odd = derivative_taps(scale)
    energy = np.empty(levels.shape)
    image = OPPONENTS[2] * levels
    slopes, edges = np.empty((count, 3, 5)), np.empty((count, 3, 2))
    derive(image, even, odd, slopes, energy)
    for n, opponent in enumerate(OPPONENTS):
        edge_fits(energy, opponent / OPPONENTS[2], edges[:, n])
    logs = np.log(levels + 1e-5)
    brightness = blocks_of(np.sqrt(3) * (logs - logs.mean()))
    moments, response_edges = np.empty((24, count, 3, 5)), np.empty((24, count, 2))
    spectrum = fft2(image)
    for n, transfer in enumerate(log_gabor(scale)):
        response = ifft2(transfer * spectrum)
        for m, part in ((2 * n, response.real), (2 * n + 1, response.imag)):
            derive(np.ascontiguousarray(part), even, odd, moments[m], energy)
            edge_fits(energy, 1.0, response_edges[m])
    moments = moments.swapaxes(0, 1)
    return Statistics(
        structure(image),
        edges,
        np.stack([brightness.mean(axis=1), brightness.var(axis=1, ddof=1)], axis=1),
        slopes[:, 1:],
        moments[:, :, 0],
        moments[:, :, 1:].reshape(count, 48, 5),
        response_edges.swapaxes(0, 1),
    )
