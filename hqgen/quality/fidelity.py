"""A picture beside the truth, where that is known: PSNR and SSIM, at the gain that suits the picture best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import ScoreError

Values = NDArray[np.float64]


def psnr(image: Values, truth: Values) -> float | None:
    """Peak signal-to-noise ratio in dB of two images with values in [0, 1]; None for equal ones."""
    error = float(np.mean((image - truth) ** 2))
    return -10 * float(np.log10(error)) if error else None


def ssim(image: Values, truth: Values) -> float:
    """Structural similarity of two images with values in [0, 1]: windows of 7x7 pixels, all of one weight.

    Source: Wang et al., TIP 2004, as scikit-image computes it without further arguments.
    """
    from skimage.metrics import structural_similarity

    return float(structural_similarity(image, truth, data_range=1.0))


def fair_image(picture: NDArray[np.generic], truth: NDArray[np.generic]) -> Values:
    """A picture at the gain that brings it nearest to the truth (least squares): float64 (H, W).

    Args:
        picture: (H, W) of any unit; a black one stays black.
        truth: (H, W).

    Raises:
        ScoreError: the shapes differ.
    """
    image, wanted = picture.astype(np.float64), truth.astype(np.float64)
    if image.shape != wanted.shape:
        raise ScoreError(
            f"the truth has the shape {wanted.shape}, the picture {image.shape}",
            hint="the truth must be of the same recording",
        )
    energy = float(np.sum(image**2))
    return image * (float(np.sum(image * wanted)) / energy) if energy else image


def at_best_gain(image: NDArray[np.generic], truth: Values) -> Values:
    """`fair_image` within [0, 1]: what PSNR and SSIM are measured of."""
    return np.clip(fair_image(image, truth), 0, 1)
