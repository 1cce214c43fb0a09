"""NIQE: the distance of the statistics of a picture from those of pristine pictures; lower is better.

The algorithm is that of A. Mittal, R. Soundararajan, A. C. Bovik, "Making a 'Completely Blind' Image Quality
Analyzer", IEEE Signal Processing Letters 20(3), 2013, with the numerical choices of pyiqa's `niqe`, which it
equals (see docs/niqe.md). `niqe_pristine.npz` holds the mean and covariance of the official release (Mittal
et al. 2013) of the Laboratory for Image and Video Engineering (LIVE), University of Texas at Austin. They are
the arrays of `basicsr/metrics/niqe_pris_params.npz` (sha256
2a7c182a68c9e7f1b2e2e5ec723279d6f65d912b6fcaf37eb2bf03d7367c4296) in the source distribution of basicsr 1.4.2.

A picture is cut into blocks of 96x96. Each block gives 18 features at full size and 18 at half size, and the
score is the distance between the Gaussian fitted to the features of the blocks and the pristine one (eq. 10).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqgen.quality.batch import FLAT, NO_STRUCTURE, NOT_FINITE, over_threads
from hqgen.quality.gaussians import fit_asymmetric, shapes
from hqgen.quality.memory import borrowed
from hqgen.quality.pictures import require_unit_range, stacked

SMALLEST = 96
"""Rows and columns of the smallest picture that has a score: one block."""

RCOND = 36 * float(np.finfo(np.float64).eps)
"""Eigenvalues below this share of the largest one count as zero: the default of torch for 36 features."""

CONDITION = 1e7
"""Up to this condition solving and the pseudo-inverse agree to 1e-8; it is far below 1 / `RCOND`."""

Array = NDArray[np.float64]


def niqe(images: NDArray[Any], *, threads: int = 1) -> Array:
    """Score grey pictures; lower is better.

    Args:
        images: (H, W) or (N, H, W). uint8 are grey levels 0 to 255. Floats are in [0, 1]: they are multiplied
            by 255 and rounded half to even.
        threads: number of pictures in work at once; the scores do not depend on it.

    Returns:
        float64 (N,), N = 1 for (H, W). A picture that is flat or not finite gets +inf.

    Raises:
        ScoreError: another dtype or number of axes, floats outside [0, 1], or a side under 96 pixels.
    """
    images = stacked(images, metric="niqe", smallest=SMALLEST)
    require_unit_range(images, metric="niqe")
    return score_images(images, threads=threads)[0]


def score_images(images: NDArray[Any], *, threads: int = 1) -> tuple[Array, list[str | None]]:
    """Score like `niqe`, with the reason for each picture without a score.

    Floats may be outside [0, 1], as the raw output of a network is; like pyiqa, this does not clamp them.

    Returns:
        float64 (N,), and for each picture None, or the reason why its score is +inf.

    Raises:
        ScoreError: another dtype or number of axes, or a side under 96 pixels.
    """
    return over_threads(stacked(images, metric="niqe", smallest=SMALLEST), _score, threads)


def _score(images: NDArray[Any]) -> tuple[Array, list[str | None]]:
    """Score (N, H, W) on this thread."""
    measured = _measure(images)
    reasons = [result if isinstance(result, str) else None for result in measured]
    scores = np.full(len(measured), np.inf)
    moments = [result for result in measured if not isinstance(result, str)]
    if moments:
        scores[[reason is None for reason in reasons]] = _distances(_features(np.stack(moments)))
    for n in np.flatnonzero(~np.isfinite(scores)).tolist():
        reasons[n] = reasons[n] or NO_STRUCTURE
    return scores, reasons


def _measure(images: NDArray[Any]) -> list[Array | str]:
    """`Scene.moments` of each picture, or the reason why it has no score."""
    from hqgen.quality.scene import Scene  # imports numba, so not at the top

    height, width = (side // SMALLEST * SMALLEST for side in images.shape[1:])
    measured: list[Array | str] = []
    with borrowed(Scene, height, width) as scene:
        for image in images:
            levels = _levels(image)
            blocks = levels[:height, :width]
            if levels.dtype != np.uint8 and not np.isfinite(levels).all():
                measured.append(NOT_FINITE)
            elif blocks.min() == blocks.max():
                measured.append(FLAT)
            else:
                measured.append(scene.moments(blocks))
    return measured


def _levels(image: NDArray[Any]) -> NDArray[Any]:
    """Grey levels of a picture; inf if they do not fit into float32, in which the picture is halved."""
    if image.dtype == np.uint8:
        return image
    with np.errstate(over="ignore"):
        wide = image.astype(np.promote_types(image.dtype, np.float32))
        return np.where(np.isfinite((wide * 255).astype(np.float32)), np.rint(wide * 255), np.inf)


def _features(moments: Array) -> Array:
    """Features of asymmetric generalised Gaussians (NIQE eq. 5 to 8).

    A block that has only positive or only negative values has NaN features; alpha counts nevertheless.

    Args:
        moments: float64 (N, 2, B, 5, 5) of `Scene.moments`.

    Returns:
        float64 (N, B, 36): at full size, then at half size, alpha and beta of the block itself and alpha,
        mean, left and right beta of its four products.
    """
    pixels = (np.array([SMALLEST, SMALLEST // 2]) ** 2.0)[:, None, None]
    fit, table = fit_asymmetric(moments, pixels), shapes()
    alpha, scale = table.alpha[fit.nearest], table.scale[fit.nearest]
    beta_left, beta_right = fit.left * scale, fit.right * scale
    mean = (beta_right - beta_left) * table.mean[fit.nearest]
    block = np.stack([alpha, (beta_left + beta_right) / 2], axis=-1)[..., 0, :]
    products = np.stack([alpha, mean, beta_left, beta_right], axis=-1)[..., 1:, :]
    scales = np.concatenate([block, products.reshape(*products.shape[:-2], 16)], axis=-1)
    return np.concatenate([scales[:, 0], scales[:, 1]], axis=-1)


@cache
def pristine() -> tuple[Array, Array]:
    """Mean (36,) and covariance (36, 36) of the features of pristine pictures."""
    with as_file(files("hqgen.quality") / "niqe_pristine.npz") as path, np.load(path) as file:
        return file["mu"], file["cov"]


def _distances(features: Array) -> Array:
    """Distance of the blocks' features, (N, B, 36), to the pristine ones (eq. 10): (N,), +inf if undefined.

    The mean over blocks leaves out NaN features; the covariance leaves out every block with a NaN feature.
    """
    mu, cov = pristine()
    known = np.isfinite(features)
    whole: NDArray[np.bool_] = np.all(known, axis=2, keepdims=True)
    defined: NDArray[np.bool_] = np.any(whole, axis=(1, 2))
    features, known, whole = np.where(known, features, 0)[defined], known[defined], whole[defined]
    count = whole.sum(axis=1, keepdims=True)
    centred = (features - (features * whole).sum(axis=1, keepdims=True) / count) * whole
    spread = centred.swapaxes(1, 2) @ centred / np.maximum(count - 1, 1)
    difference = mu - features.sum(axis=1) / known.sum(axis=1)
    scores = np.full(len(defined), np.inf)
    scores[defined] = np.sqrt(_squared_lengths(difference, (cov + spread) / 2))
    return scores


def _squared_lengths(differences: Array, covariances: Array) -> Array:
    """Products d C⁺ d of each difference d, (N, 36), and covariance C, (N, 36, 36): (N,).

    C contains half the pristine covariance, so its eigenvalues are at least half the smallest pristine one,
    and at most the trace. If this bounds the condition, the pseudo-inverse is the inverse, and solving the
    equations takes a tenth of its time.
    """
    solvable = np.trace(covariances, axis1=1, axis2=2) < CONDITION * _smallest_eigenvalue() / 2
    lengths = np.empty(len(differences))
    for chosen, times_inverse in ((solvable, np.linalg.solve), (~solvable, _times_pseudo_inverse)):
        if chosen.any():
            d = differences[chosen, :, None]
            lengths[chosen] = np.sum(d * times_inverse(covariances[chosen], d), axis=(1, 2))
    return lengths


def _times_pseudo_inverse(covariances: Array, differences: Array) -> Array:
    """C⁺ d; C is symmetric, so its singular values are the magnitudes of its eigenvalues."""
    inverse = np.linalg.pinv(covariances, rcond=RCOND, hermitian=True)
    return np.asarray(inverse @ differences, np.float64)


@cache
def _smallest_eigenvalue() -> float:
    """The smallest eigenvalue of the pristine covariance."""
    return float(np.linalg.eigvalsh(pristine()[1])[0])
