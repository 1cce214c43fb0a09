"""The maps of IL-NIQE against slow programs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import correlate
from scipy.signal import convolve2d
from scipy.stats import weibull_min

from hqgen.quality.maps import (
    BLOCKS,
    FIVE,
    blocks_of,
    derivative_taps,
    derive,
    log_gabor,
    smooth_halve,
    weibull,
)


def moments(values: NDArray[np.float64]) -> list[float]:
    negative, positive = values[values < 0], values[values > 0]
    sums = (negative**2).sum(), (positive**2).sum(), np.abs(values).sum(), negative.size, positive.size
    return [float(value) for value in sums]


@pytest.mark.parametrize("scale", [1, 2])
def test_derivatives_are_those_of_a_full_kernel_with_zeros_beyond_the_border(scale: int) -> None:
    image = np.random.default_rng(0).normal(0, 30, (24, 24))
    even, odd = derivative_taps(scale)
    found, energy = np.empty((BLOCKS**2, 3, 5)), np.empty(image.shape)
    derive(image, even, odd, found, energy)
    dx, dy = (convolve2d(image, kernel, mode="same") for kernel in (np.outer(even, odd), np.outer(odd, even)))
    np.testing.assert_allclose(energy, dx**2 + dy**2, rtol=1e-9)
    np.testing.assert_allclose(found[:, 0], [moments(block) for block in blocks_of(image)], rtol=1e-9)
    for m, derivative in ((1, dx), (2, dy)):
        expected = np.array([moments(block) for block in blocks_of(derivative)])
        expected = expected[:, [1, 0, 2, 4, 3]]  # a convolution turns the kernel around: the other sign
        np.testing.assert_allclose(found[:, m], expected, rtol=1e-9)


@pytest.mark.parametrize("shape", [0.5, 1.0, 2.5])
def test_a_weibull_distribution_is_fitted_by_maximum_likelihood(shape: float) -> None:
    values = weibull_min.rvs(shape, scale=7, size=2000, random_state=0)
    fit = np.empty(2)
    weibull(np.log(values), fit)
    expected_shape, _, expected_scale = weibull_min.fit(values, floc=0)
    assert fit == pytest.approx([expected_scale, expected_shape], rel=1e-3)


def test_equal_values_have_no_weibull_distribution() -> None:
    fit = np.zeros(2)
    weibull(np.full(100, 2.0), fit)
    assert np.isnan(fit).any()


@pytest.mark.parametrize("shape", [(20, 30), (6, 6)])
def test_the_half_picture_is_that_of_a_full_kernel_at_every_second_pixel(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).uniform(0, 255, shape)
    half = np.empty((shape[0] // 2, shape[1] // 2))
    smooth_halve(image, half)
    taps = np.exp(-(np.arange(-2.5, 3) ** 2) / (2 * 0.9**2))
    kernel = np.outer(taps, taps) / taps.sum() ** 2
    padded = np.pad(image, ((2, 3), (2, 3)), mode="edge")
    expected = np.lib.stride_tricks.sliding_window_view(padded, (6, 6))[::2, ::2]
    np.testing.assert_allclose(half, np.einsum("ijkl,kl->ij", expected, kernel), rtol=1e-6)


def test_the_small_gaussian_has_five_taps() -> None:
    image = np.zeros((9, 9))
    image[4, 4] = 1
    spread = correlate(image, np.outer(FIVE, FIVE))
    assert np.count_nonzero(spread) == 25
    assert spread.sum() == pytest.approx(1, abs=1e-7)


def test_filters_pass_no_constant_and_are_strongest_at_their_wavelength_and_orientation() -> None:
    filters = log_gabor(2)
    assert filters.shape == (12, 252, 252)
    assert not filters[:, 0, 0].any()
    frequencies = np.fft.fftfreq(252)
    for s in range(3):
        along_x = filters[4 * s, 0]  # orientation 0: only frequencies along the rows
        strongest = abs(frequencies[along_x.argmax()])
        assert 1 / strongest == pytest.approx(2.4 / 2**0.87 * 1.31**s, rel=0.03) or strongest > 0.49
        assert filters[4 * s + 2, :, 0].max() > 0.9 * along_x.max()
