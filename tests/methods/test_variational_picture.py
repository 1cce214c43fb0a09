"""The picture of `variational`: moved light comes back to its place, and the mean is less noisy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hqgen.methods.variational_picture import picture_at, sharpened
from tests.methods.test_variational_links import waves


def inner(picture: NDArray[np.floating]) -> NDArray[np.float64]:
    return picture[6:-6, 6:-6].astype(np.float64)


@pytest.mark.parametrize(("vx", "vy"), [(0.0, 0.0), (0.4, 0.0), (-0.3, 0.2)])
@pytest.mark.parametrize("time", [20.0, 20.33, 19.5])
def test_a_moving_picture_is_shown_at_the_instant(vx: float, vy: float, time: float) -> None:
    y, x = np.meshgrid(np.arange(32), np.arange(30), indexing="ij")
    right, down = x - vx * (time - 20), y - vy * (time - 20)
    truth = 0.3 + 0.1 * np.sin(right * 0.7 + down * 0.2) + 0.1 * np.sin(down * 0.6 - right * 0.1)
    np.testing.assert_allclose(inner(picture_at(waves(vx, vy), time)), inner(truth), atol=0.01)


def test_errors_that_differ_from_step_to_step_become_smaller() -> None:
    noise = np.random.default_rng(0).normal(size=(32, 41, 30)) * 0.005
    moving = waves(0.3, 0.1)
    noisy = inner(picture_at((moving + noise).astype(np.float32), 20)) - inner(picture_at(moving, 20))
    assert noisy.std() < 0.5 * 0.005


@pytest.mark.parametrize("time", [-0.4, 0.0, 40.0, 40.4])
def test_the_instant_may_be_at_the_ends(time: float) -> None:
    still = np.full((5, 41, 6), 0.3, np.float32)
    np.testing.assert_allclose(picture_at(still, time), 0.3, rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 41, 1), (1, 1, 1), (2, 3, 1), (1, 2, 5)])
def test_a_picture_of_a_few_pixels_is_possible(shape: tuple[int, int, int]) -> None:
    light = np.random.default_rng(0).random(shape, np.float32)
    picture = picture_at(light, (shape[1] - 1) / 2)
    assert np.isfinite(picture).all()


def test_sharpening_undoes_most_of_a_small_blur() -> None:
    edge = np.repeat(np.array([0.2, 0.6], np.float32), 10)[None].repeat(4, axis=0)
    blurred = 2 * edge - sharpened(edge, 0.5)
    assert np.abs(sharpened(blurred, 0.5) - edge).max() < 0.5 * np.abs(blurred - edge).max()
    assert sharpened(edge, 0) is edge
