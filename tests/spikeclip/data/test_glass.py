from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spikeclip.data.glass import Glass, behind, shade

CLEAR = Glass(blur=0, shading=0, slope=0, lamp=0, window=0)


@given(seed=st.integers(0, 999), level=st.floats(0, 1))
def test_light_stays_within_its_range_and_repeats(seed: int, level: float) -> None:
    scene = np.full((30, 41), level, np.float32)
    first, again = (behind(scene, Glass(), 0.2, np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.float32
    assert 0 <= first.min() <= first.max() <= 1


def test_clear_glass_changes_nothing() -> None:
    scene = np.random.default_rng(0).random((30, 41), np.float32)
    np.testing.assert_allclose(behind(scene, CLEAR, 0.2, np.random.default_rng(1)), scene, atol=1e-6)
    np.testing.assert_array_equal(shade((30, 41), CLEAR, np.random.default_rng(1)), np.float32(1))


@given(st.integers(0, 999))
def test_corners_are_darker_than_the_middle_and_by_no_more_than_is_said(seed: int) -> None:
    passes = shade((31, 41), Glass(shading=0.2), np.random.default_rng(seed))
    assert passes[15, 20] == passes.max() == 1
    assert 0.8 - 1e-6 <= passes[0, 0] == passes.min()


def test_stray_light_has_a_slope_and_keeps_its_mean() -> None:
    scene = np.full((41, 41), 0.3, np.float32)
    light = behind(scene, Glass(blur=0, lamp=0, window=0, slope=0.5), 0.2, np.random.default_rng(5))
    assert abs(light.mean() - 0.3) < 1e-6
    assert 0.01 < np.ptp(light) < 0.2 * 0.5 * 2 * np.sqrt(2)


def test_about_half_of_the_samples_have_a_lamp_and_half_a_window() -> None:
    scene = np.full((40, 40), 0.3, np.float32)
    for there in (Glass(blur=0, slope=0, window=0), Glass(blur=0, slope=0, lamp=0)):
        seen = [np.ptp(behind(scene, there, 0.2, np.random.default_rng(seed))) for seed in range(60)]
        assert 15 < sum(value > 1e-3 for value in seen) < 45
        assert max(seen) < 0.11
