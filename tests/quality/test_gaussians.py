from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import gamma
from scipy.stats import gennorm

from hqgen.quality.gaussians import fit_asymmetric, fit_symmetric, shapes

GRID = np.arange(200, 10001) / 1000


def moments(values: NDArray[np.float64]) -> NDArray[np.float64]:
    negative, positive = values[values < 0], values[values > 0]
    sums = [np.sum(negative**2), np.sum(positive**2), np.sum(np.abs(values)), negative.size, positive.size]
    return np.array(sums, np.float64)


@given(alpha=st.floats(0.4, 5), deviation=st.floats(0.1, 10), seed=st.integers(0, 2**32 - 1))
def test_the_fit_is_that_of_a_search_through_the_grid(alpha: float, deviation: float, seed: int) -> None:
    values = np.random.default_rng(seed).gamma(1 / alpha, 1, 5000) ** (1 / alpha) * deviation
    values *= np.random.default_rng(seed + 1).choice([-1.0, 1.3], 5000)
    ratio = gamma(2 / GRID) ** 2 / (gamma(1 / GRID) * gamma(3 / GRID))
    squares, magnitude = np.mean(values**2), np.mean(np.abs(values))
    symmetric = np.abs(squares / magnitude**2 - 1 / ratio).argmin()
    assert fit_symmetric(moments(values) / values.size) == symmetric
    left, right = np.sqrt(np.mean(values[values < 0] ** 2)), np.sqrt(np.mean(values[values > 0] ** 2))
    g = left / right
    norm = magnitude**2 / squares * (g**3 + 1) * (g + 1) / (g**2 + 1) ** 2
    fit = fit_asymmetric(moments(values)[None], values.size)
    assert fit.nearest[0] == np.abs(ratio - norm).argmin()
    assert (fit.left[0], fit.right[0]) == (pytest.approx(left), pytest.approx(right))


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 4.0])
def test_the_shape_of_a_generalised_gaussian_is_found(alpha: float) -> None:
    values = gennorm.rvs(alpha, size=200_000, random_state=0)
    place = fit_symmetric(moments(values) / values.size)
    assert shapes().alpha[place] == pytest.approx(alpha, rel=0.05)


def test_values_of_one_sign_have_no_deviation_on_the_other_side() -> None:
    fit = fit_asymmetric(moments(np.array([1.0, 2.0]))[None], 2)
    assert np.isnan(fit.left[0])
    assert fit.nearest[0] == 0


@pytest.mark.parametrize(("values", "alpha"), [([1.0, -1.0], 10.0), ([1e6] + [0.0] * 10**6, 0.2)])
def test_beyond_the_grid_its_end_is_taken(values: list[float], alpha: float) -> None:
    array = np.array(values)
    assert shapes().alpha[fit_symmetric(moments(array) / array.size)] == alpha
