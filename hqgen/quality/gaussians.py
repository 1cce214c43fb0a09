"""Generalised Gaussians, fitted by their moments.

Source: N.-E. Lasmar, Y. Stitou, Y. Berthoumieu, "Multiscale skewed heavy tailed model for texture analysis",
IEEE ICIP 2009. The grid of alpha is that of the official code of NIQE and BRISQUE (LIVE).
"""

from __future__ import annotations

from functools import cache
from math import lgamma
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Shapes(NamedTuple):
    """Functions of the shape alpha of a generalised Gaussian, tabulated; each float64 (9801,)."""

    alpha: Array
    ratio: Array  # G(2/a)² / (G(1/a) G(3/a)): E|x|² / E x² of the distribution
    scale: Array  # sqrt(G(1/a) / G(3/a)): beta of unit deviation
    mean: Array  # G(2/a) / G(1/a)


class Fit(NamedTuple):
    """Asymmetric generalised Gaussians, each array of the shape of the moments without their last axis."""

    nearest: NDArray[np.intp]  # place of alpha in `Shapes`; 0 where it is not defined
    left: Array  # deviation of the negative values
    right: Array  # and of the positive ones


@cache
def shapes() -> Shapes:
    """The table for alpha = 0.2, 0.201, ..., 10."""
    alpha = np.arange(200.0, 10001.0) / 1000
    one, two, three = (np.array([lgamma(n / a) for a in alpha.tolist()]) for n in (1, 2, 3))
    return Shapes(alpha, np.exp(2 * two - one - three), np.exp((one - three) / 2), np.exp(two - one))


@cache
def _middles(inverse: bool) -> Array:
    """Where the nearest ratio of the table changes, rising."""
    ratio = 1 / shapes().ratio[::-1] if inverse else shapes().ratio
    return np.asarray((ratio[1:] + ratio[:-1]) / 2)


def fit_symmetric(moments: Array) -> NDArray[np.intp]:
    """Fit generalised Gaussians around zero.

    The nearest value of E x² / E|x|² decides, as in BRISQUE, and not of its inverse, as in `fit_asymmetric`.

    Args:
        moments: float64 (..., 5) as `block_moments` writes them, divided by the number of values.

    Returns:
        (...): the place of alpha in `shapes()`.
    """
    left_squares, right_squares, magnitudes = np.moveaxis(moments[..., :3], -1, 0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        ratio = (left_squares + right_squares) / magnitudes**2
    last = len(shapes().alpha) - 1
    return np.asarray(last - np.searchsorted(_middles(True), ratio))


def fit_asymmetric(moments: Array, count: Array | float) -> Fit:
    """Fit asymmetric generalised Gaussians.

    Args:
        moments: float64 (..., 5) as `block_moments` writes them.
        count: number of values that each has, zeros included.
    """
    left_squares, right_squares, magnitudes, lefts, rights = np.moveaxis(moments, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        left, right = np.sqrt(left_squares / lefts), np.sqrt(right_squares / rights)
        gamma = left / right
        ratio = (magnitudes / count) ** 2 / ((left_squares + right_squares) / count)
        ratio *= (gamma**3 + 1) * (gamma + 1) / (gamma**2 + 1) ** 2
    nearest = np.searchsorted(_middles(False), ratio)
    nearest[np.isnan(ratio)] = 0  # as pyiqa's search does
    return Fit(nearest, left, right)
