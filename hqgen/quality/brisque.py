"""BRISQUE: how distorted a person would find a picture, learned from its statistics; lower is better.

The algorithm is that of A. Mittal, A. K. Moorthy, A. C. Bovik, "No-Reference Image Quality Assessment in
the Spatial Domain", IEEE Transactions on Image Processing 21(12), 2012, with the numerical choices of the
official release (see docs/judges.md). `brisque_live.npz` holds the numbers of that release: the support
vector machine `allmodel` and the ranges of the features `allrange` of https://github.com/utlive/BRISQUE at
commit 2e2a5ac. Their copyright notice is in `brisque_live.txt`.

18 features at full size and 18 at half size describe the whole picture. The machine was trained on the
opinions of people about photographs with JPEG and JPEG 2000 artefacts, noise, blur and lost packets.
"""

from __future__ import annotations

from functools import cache, partial
from importlib.resources import as_file, files
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hqgen.quality.batch import NO_STATISTICS, Scores, one_by_one, over_threads
from hqgen.quality.gaussians import fit_asymmetric, fit_symmetric, shapes
from hqgen.quality.memory import borrowed
from hqgen.quality.pictures import stacked

SMALLEST = 14
"""Rows and columns of the smallest picture that has a score: half of it holds the 7x7 Gaussian."""

Array = NDArray[np.float64]


def brisque(images: NDArray[Any], *, threads: int = 1) -> Array:
    """Score grey pictures; lower is better.

    Photographs have 0 to 100 as a rule, but the machine has no bounds: the best have scores below zero.

    Args:
        images: (H, W) or (N, H, W). uint8 are grey levels 0 to 255. Floats are in [0, 1], as for pyiqa: they
            are multiplied by 255, but not rounded and not clamped.
        threads: number of pictures in work at once; the scores do not depend on it.

    Returns:
        float64 (N,), N = 1 for (H, W). A picture that is flat or not finite gets +inf.

    Raises:
        ScoreError: another dtype or number of axes, or a side under 14 pixels.
    """
    return brisque_scores(images, threads=threads)[0]


def brisque_scores(images: NDArray[Any], *, threads: int = 1) -> Scores:
    """Score like `brisque`, with the reason for each picture without a score.

    Returns:
        float64 (N,), and for each picture None, or the reason why its score is +inf.

    Raises:
        ScoreError: as `brisque`.
    """
    images = stacked(images, metric="brisque", smallest=SMALLEST)
    return over_threads(images, partial(one_by_one, score=_score, undefined=NO_STATISTICS), threads)


def _score(image: NDArray[Any]) -> float:
    return _regression(brisque_features(image))


def brisque_features(image: NDArray[Any]) -> Array:
    """The 36 features of one picture, as in table I of the paper.

    Args:
        image: (H, W), uint8 or floating, as for `brisque`.

    Returns:
        float64 (36,): at full size, then at half size, alpha and variance of the contrast-normalised picture
        and alpha, mean, left and right variance of its four products with itself, shifted by one pixel.
        A picture that has only positive or only negative products has NaN among them.
    """
    from hqgen.quality.whole import Whole  # imports numba, so not at the top

    with borrowed(Whole, *image.shape) as whole, np.errstate(over="ignore", invalid="ignore"):
        moments, pixels = whole.moments(image if image.dtype == np.uint8 else image.astype(np.float64) * 255)
    return np.concatenate([_features(*scale) for scale in zip(moments, pixels, strict=True)])


def _features(moments: Array, pixels: int) -> Array:
    """The 18 features of one size, given the moments (5, 5) of `block_moments`."""
    picture, products = moments[0], moments[1:]
    table, fit = shapes(), fit_asymmetric(products, pixels)
    mean = (fit.right - fit.left) * np.sqrt(table.ratio[fit.nearest])
    alphas = table.alpha[fit.nearest]
    features = np.stack([alphas, mean, fit.left**2, fit.right**2], axis=-1)
    alpha = table.alpha[fit_symmetric(picture / pixels)]
    return np.array([alpha, (picture[0] + picture[1]) / pixels, *features.ravel()])


class Machine(NamedTuple):
    """A support vector machine with Gaussian kernels."""

    vectors: Array  # (774, 36)
    coefficients: Array  # (774,)
    low: Array  # (36,): features that become -1
    high: Array  # (36,): features that become 1
    gamma: float
    rho: float


@cache
def machine() -> Machine:
    """The official one."""
    with as_file(files("hqgen.quality") / "brisque_live.npz") as path, np.load(path) as file:
        vectors, coefficients, low, high = (file[n] for n in ("vectors", "coefficients", "low", "high"))
        return Machine(vectors, coefficients, low, high, float(file["gamma"]), float(file["rho"]))


def _regression(features: Array) -> float:
    """The score of 36 features. The sum is NumPy's own, which is the same on every machine."""
    svm = machine()
    scaled = 2 * (features - svm.low) / (svm.high - svm.low) - 1
    distances = np.sum((svm.vectors - scaled) ** 2, axis=1)
    return float(np.sum(svm.coefficients * np.exp(-svm.gamma * distances)) - svm.rho)
