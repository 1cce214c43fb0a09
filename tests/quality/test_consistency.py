"""Consistency of candidates with the counted spikes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from hqgen.errors import ScoreError
from hqgen.quality.consistency import RADIUS, SIGMA, SMALLEST, consistency, parameters

SHAPE = (60, 90)


def light(seed: int = 0, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """A smooth picture in [0.1, 0.9]."""
    smooth = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 3)
    return np.asarray(0.1 + 0.8 * (smooth - smooth.min()) / np.ptp(smooth))


def picture(brightness: np.ndarray) -> np.ndarray:
    levels: np.ndarray = np.rint(np.clip(brightness, 0, 1) * 255).astype(np.uint8)
    return levels


def counted(rate: np.ndarray, frames: int, seed: int = 0) -> np.ndarray:
    """What pixels that integrate and fire count, with an unknown charge at the start."""
    start = np.random.default_rng(seed).random(rate.shape)
    counts: np.ndarray = np.floor(start + rate * frames).astype(np.float32)
    return counts


def test_it_is_the_error_of_the_blurred_pictures_at_the_best_gain_over_that_of_counting() -> None:
    candidate, reference = picture(light(0)), counted(light(1), 7)
    one, other = (
        gaussian_filter(image.astype(float), SIGMA, mode="mirror", radius=RADIUS)
        for image in (candidate, reference)
    )
    gain = np.sum(one * other) / np.sum(one**2)
    spread = np.zeros((31, 31))
    spread[15, 15] = 1
    noise = np.sum(gaussian_filter(spread, SIGMA, radius=RADIUS) ** 2) * np.mean(
        np.where(other < 0.7887, other * (1 - other), 1 / 6)
    )
    expected = np.mean((gain * one - other) ** 2) / noise
    np.testing.assert_allclose(consistency(candidate[None], reference), expected, rtol=1e-5)


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.6])
def test_the_scene_itself_is_about_as_far_as_counting_explains(rate: float) -> None:
    scene = light(0, (200, 300))
    value = consistency(picture(scene)[None], counted(rate * scene, 7))[0]
    assert 0.7 < value < 1.3


def test_a_blurred_a_moved_and_a_noisy_candidate_are_worse_than_the_scene() -> None:
    scene = light(0, (200, 300))
    noisy = scene + 0.3 * np.random.default_rng(1).standard_normal(scene.shape)
    wrong = [gaussian_filter(scene, 4), np.roll(scene, 3, axis=1), noisy]
    values = consistency(np.stack([picture(image) for image in (scene, *wrong)]), counted(scene, 7))
    assert values[0] < values[1:].min()


def test_a_candidate_that_repeats_the_noise_is_below_one() -> None:
    reference = counted(0.3 * light(), 7)
    assert consistency(picture(reference / reference.max())[None], reference)[0] < 0.1


@given(seed=st.integers(0, 999), halvings=st.integers(0, 2))
def test_the_brightness_of_a_candidate_does_not_matter(seed: int, halvings: int) -> None:
    candidate, reference = picture(light(seed)) // 4 * 4, counted(light(seed + 1), 7)
    dim = candidate // 2**halvings
    np.testing.assert_allclose(
        consistency(dim[None], reference), consistency(candidate[None], reference), rtol=1e-4
    )


@given(seed=st.integers(0, 999))
def test_a_candidate_is_compared_without_regard_to_the_others(seed: int) -> None:
    candidates = np.random.default_rng(seed).integers(0, 256, (3, 20, 30), np.uint8)
    reference = counted(light(seed, (20, 30)), 7)
    alone = np.concatenate([consistency(candidate[None], reference) for candidate in candidates])
    np.testing.assert_array_equal(consistency(candidates, reference), alone)


def test_a_black_candidate_has_no_consistency() -> None:
    candidates = np.stack([np.zeros(SHAPE, np.uint8), picture(light())])
    values = consistency(candidates, counted(light(), 7))
    assert values[0] == np.inf
    assert np.isfinite(values[1])


def test_without_a_spike_no_candidate_has_a_consistency() -> None:
    assert np.isposinf(consistency(picture(light())[None], np.zeros(SHAPE, np.float32))).all()


def test_a_saturated_recording_has_a_consistency() -> None:
    values = consistency(picture(light())[None], np.full(SHAPE, 7, np.float32))
    assert np.isfinite(values).all()


def test_no_candidate_gives_no_value() -> None:
    assert consistency(np.empty((0, *SHAPE), np.uint8), counted(light(), 7)).shape == (0,)


@pytest.mark.parametrize(
    "candidates",
    [np.zeros(SHAPE, np.uint8), np.zeros((2, 9, 9), np.uint8), np.zeros((2, *SHAPE), np.float32)],
)
def test_candidates_of_another_form_are_refused(candidates: np.ndarray) -> None:
    with pytest.raises(ScoreError, match="compares candidates"):
        consistency(candidates, np.zeros(SHAPE, np.float32))


def test_the_smallest_picture_has_a_value_and_a_smaller_one_is_refused() -> None:
    small = np.arange(SMALLEST**2, dtype=np.uint8).reshape(1, SMALLEST, SMALLEST)
    assert np.isfinite(consistency(small, np.ones((SMALLEST, SMALLEST), np.float32))).all()
    with pytest.raises(ScoreError, match="too small"):
        consistency(small[:, 1:], np.ones((SMALLEST - 1, SMALLEST), np.float32))


def test_the_parameters_are_plain() -> None:
    assert parameters() == {"sigma": 1.5, "radius": 5}
