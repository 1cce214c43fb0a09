"""Grain: noise, as far as one picture can tell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import convolve, gaussian_filter

from hqgen.errors import ScoreError
from hqgen.quality.grain import grain, grain_scores
from hqgen.quality.scorers import get_scorer

MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])


def levels(seed: int = 0, shape: tuple[int, int] = (30, 50)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@given(seed=st.integers(0, 999), height=st.integers(3, 20), width=st.integers(3, 20))
def test_it_is_the_mean_magnitude_of_the_mask_over_the_mean(seed: int, height: int, width: int) -> None:
    picture = levels(seed, (height, width))
    masked = convolve(picture.astype(float), MASK)[1:-1, 1:-1]
    expected = np.sqrt(np.pi / 2) / 6 * np.abs(masked).mean() / picture.mean()
    np.testing.assert_allclose(grain(picture), expected, rtol=1e-5)


def test_noise_on_an_even_picture_is_measured() -> None:
    noise = np.random.default_rng(0).standard_normal((200, 300))
    np.testing.assert_allclose(grain(0.5 + 0.05 * noise), 0.1, rtol=0.03)


def test_slopes_and_straight_edges_have_none() -> None:
    ramp = np.add.outer(np.arange(20.0), 3 * np.arange(30.0)) + 1
    ramp[:, 12:] += 50
    assert grain(ramp)[0] < 1e-6


def test_blur_lowers_it() -> None:
    picture = levels().astype(float)
    assert grain(gaussian_filter(picture, 1))[0] < grain(picture)[0]


@given(seed=st.integers(0, 99), gain=st.floats(1e-3, 1e3))
def test_the_brightness_of_a_picture_does_not_matter(seed: int, gain: float) -> None:
    picture = levels(seed).astype(float)
    np.testing.assert_allclose(grain(picture * gain), grain(picture), rtol=1e-4)


def test_pictures_without_a_value_say_why_and_harm_no_neighbour() -> None:
    flat, broken, dark = np.full((9, 9), 7.0), np.full((9, 9), np.nan), -levels(1, (9, 9)).astype(float)
    values, reasons = grain_scores(np.stack([flat, levels(0, (9, 9)), broken, dark]))
    assert np.isfinite(values).tolist() == [False, True, False, False]
    assert [reason is None for reason in reasons] == [False, True, False, False]


def test_it_is_a_metric_by_name() -> None:
    np.testing.assert_array_equal(get_scorer("grain").score(levels()[None])[0], grain(levels()))


def test_a_picture_smaller_than_the_mask_is_refused() -> None:
    with pytest.raises(ScoreError, match="too small"):
        grain(levels(0, (2, 9)))
