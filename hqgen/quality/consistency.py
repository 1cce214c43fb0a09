"""Consistency: does a candidate show what the camera counted at the key frame? Lower is better.

A no-reference score knows how pictures look, not what was before the camera: it can prefer a blurred or an
invented picture. The spikes know. A brief exposure around the key frame (`hqgen.spikes.exposure`) is hardly
blurred by motion, but noisy; blurring it and the candidate alike by a small Gaussian takes the noise away and
leaves the edges in place. What then remains between the two is compared with what counting alone explains.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqgen.compiled import compiled
from hqgen.errors import ScoreError

NAME = "consistency"

VERSION = 1
"""Goes up by one when the same spikes and picture would get another value than before."""

SIGMA = 1.5
"""Standard deviation of the blur, pixels."""

RADIUS = 5
"""Pixels on each side that the blur reaches; a Gaussian has less than 0.1 % beyond it."""

SMALLEST = RADIUS + 1
"""Rows and columns that a candidate needs at least."""

Floats = NDArray[np.float32]


def parameters() -> dict[str, Any]:
    """Everything beside the version that decides the values, as plain JSON values; it goes into the plan."""
    return {"sigma": SIGMA, "radius": RADIUS}


def consistency(candidates: NDArray[np.uint8], reference: Floats) -> NDArray[np.float64]:
    """Compare candidates of one sample with the spikes counted around its key frame; lower is better.

    Candidate and reference are blurred alike, the candidate is brought to the gain that fits best (least
    squares), and the mean squared difference is divided by the one that counting noise alone would leave. So
    1 means that the spikes say nothing against the candidate, and 2 that its own error is as large as the
    noise of the reference. A value below 1 means nothing: the candidate repeats the noise of the reference.

    Counting noise: a pixel that integrates to a threshold with an unknown charge at the start counts
    m spikes on average with a variance f (1 - f), where f is the fraction of m. From m = 0.79 on, where the
    two are equal, its mean over f is taken, 1/6.

    Args:
        candidates: uint8 (N, H, W), grey levels proportional to light.
        reference: float32 (H, W), spikes counted, from `hqgen.spikes.exposure.key_exposure`.

    Returns:
        float64 (N,); +inf for a black candidate, and for all where no spike was counted.

    Raises:
        ScoreError: the shapes differ, or a side is shorter than the blur.
    """
    if candidates.ndim != 3 or candidates.dtype != np.uint8 or candidates.shape[1:] != reference.shape:
        raise ScoreError(
            f"`{NAME}` compares candidates uint8 (N, H, W) with a reference (H, W), "
            f"not {candidates.dtype} {candidates.shape} with {reference.shape}",
            hint="candidates and reference must be of one recording",
        )
    if min(reference.shape) < SMALLEST:
        raise ScoreError(
            f"a picture of {reference.shape[0]}x{reference.shape[1]} pixels is too small: "
            f"`{NAME}` needs {SMALLEST}x{SMALLEST}",
            hint="build from recordings with more pixels",
        )
    kernel = _kernel()
    values = np.full(len(candidates), np.inf)
    expected = _blurred(reference.astype(np.float32, copy=False), kernel)
    noise = _kept_noise(kernel) * float(np.mean(_counting_variance(expected)))
    if noise <= 0:
        return values
    for index, candidate in enumerate(candidates):
        error = _error(_blurred(candidate, kernel), expected)
        if np.isfinite(error):
            values[index] = error / noise
    return values


def _kernel() -> Floats:
    """The Gaussian from its middle outwards, (RADIUS + 1,); both halves sum to 1."""
    half = np.exp(-0.5 * (np.arange(RADIUS + 1) / SIGMA) ** 2)
    kernel: Floats = (half / (2 * half.sum() - 1)).astype(np.float32)
    return kernel


def _counting_variance(mean: Floats) -> Floats:
    """Variance of a count of this mean, in spikes squared."""
    few = mean < 0.5 + 12**-0.5
    variance: Floats = np.where(few, mean * (1 - mean), 1 / 6).astype(np.float32)
    return variance


def _kept_noise(kernel: Floats) -> float:
    """What the blur leaves of the variance of independent noise."""
    squares = kernel.astype(np.float64) ** 2
    return float(2 * squares.sum() - squares[0]) ** 2


def _blurred(image: NDArray[Any], kernel: Floats) -> Floats:
    """Blur (H, W), mirrored at its borders."""
    smooth = np.empty(image.shape, np.float32)
    _blur(image, kernel, smooth)
    return smooth


def _error(picture: Floats, expected: Floats) -> float:
    """Mean squared difference at the gain that makes it least; NaN for a black picture."""
    return _squared_difference(picture, expected, _gain(picture, expected)) / picture.size


@compiled
def _blur(image: NDArray[Any], kernel: Floats, smooth: Floats) -> None:
    """Blur along columns, then along rows; one row at a time, so that it stays in the nearest cache."""
    height, width = image.shape
    reach = kernel.size - 1
    line = np.empty(width + 2 * reach, np.float32)
    for y in range(height):
        for x in range(width):
            line[reach + x] = kernel[0] * np.float32(image[y, x])
        for step in range(1, reach + 1):
            above, below = abs(y - step), y + step
            below = below if below < height else 2 * (height - 1) - below
            weight = kernel[step]
            for x in range(width):
                line[reach + x] += weight * (np.float32(image[above, x]) + np.float32(image[below, x]))
        for step in range(1, reach + 1):
            line[reach - step] = line[reach + step]
            line[reach + width - 1 + step] = line[reach + width - 1 - step]
        for x in range(width):
            smooth[y, x] = kernel[0] * line[reach + x]
        for step in range(1, reach + 1):
            weight = kernel[step]
            for x in range(width):
                smooth[y, x] += weight * (line[reach + x - step] + line[reach + x + step])


@compiled
def _gain(picture: Floats, expected: Floats) -> float:
    """The factor of `picture` that brings it nearest to `expected`; NaN if it is black."""
    product, square = 0.0, 0.0
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            product += np.float64(picture[y, x]) * np.float64(expected[y, x])
            square += np.float64(picture[y, x]) ** 2
    gain: float = product / square
    return gain


@compiled
def _squared_difference(picture: Floats, expected: Floats, gain: float) -> float:
    total = 0.0
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            total += (gain * np.float64(picture[y, x]) - np.float64(expected[y, x])) ** 2
    return total
