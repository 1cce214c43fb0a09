"""The compiled filters against slow ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import correlate

from hqgen.quality.filters import EXACT, GAUSSIAN, contrast_normalise, halve


def matlab_weights(length: int) -> NDArray[np.float64]:
    """Rows of weights that halve `length` values as `imresize` does: pixel by pixel, mirrored ends."""
    weights = np.zeros(((length + 1) // 2, length))
    for i, row in enumerate(weights):
        centre = 2 * i + 0.5
        for k in range(int(centre) - 5, int(centre) + 7):
            x = abs(k - centre) / 2
            cubic = 1.5 * x**3 - 2.5 * x**2 + 1 if x <= 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
            inside = k % (2 * length)
            row[min(inside, 2 * length - 1 - inside)] += cubic * (x <= 2) / 2
    return weights


@given(height=st.integers(4, 23), width=st.integers(4, 23), seed=st.integers(0, 2**32 - 1))
def test_halving_is_that_of_matlab_for_even_and_odd_sizes(height: int, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).uniform(0, 255, (height, width))
    half = np.empty(((height + 1) // 2, (width + 1) // 2))
    halve(image, 1.0, half)
    expected = matlab_weights(height) @ image @ matlab_weights(width).T
    np.testing.assert_allclose(half, expected, rtol=0, atol=1e-10)


def test_a_constant_stays_the_same_at_half_size() -> None:
    half = np.empty((8, 9))
    halve(np.full((15, 18), 0.5, np.float32), 255.0, half)
    assert (half == 127.5).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (40, 2), (31, 33)])
def test_normalisation_repeats_the_edges_and_is_that_of_a_full_kernel(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).uniform(0, 255, shape)
    normalised = np.empty(shape)
    contrast_normalise(image, image**2, 0, EXACT, 0.0, normalised)
    taps = np.exp(-(np.arange(-3.0, 4.0) ** 2) / (2 * (7 / 6) ** 2))
    kernel = np.outer(taps, taps) / taps.sum() ** 2
    mean, square = (correlate(values, kernel, mode="nearest") for values in (image, image**2))
    expected = (image - mean) / (np.sqrt(np.abs(square - mean**2)) + 1)
    np.testing.assert_allclose(normalised, expected, rtol=0, atol=1e-9)


def test_a_flat_area_becomes_zero_where_small_differences_count_as_rounding() -> None:
    image = np.full((20, 20), 187.0)
    normalised = np.empty((10, 20))
    contrast_normalise(image, image**2, 5, EXACT, 1e-9, normalised)
    assert not normalised.any()
    contrast_normalise(image, image**2, 5, GAUSSIAN, 0.0, normalised)
    assert len({*np.sign(normalised).ravel()}) == 1
    assert 0 < np.abs(normalised).max() < 1e-5
