"""The links follow the motion, and rest where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hqgen.methods.variational_links import along_motion, at_rest, bounds, velocity


def random_links(height: int, width: int) -> NDArray[np.float32]:
    """Links of a scene that moves differently at every pixel; the cut cells at the far edges rest."""
    rng = np.random.default_rng(8)
    weight, followed = rng.uniform(0.5, 4, (height, width)), rng.random((height, width))
    vx, vy = rng.uniform(-0.3, 0.3, (2, height, width))
    followed[-1] = followed[:, -1] = 0
    moving = weight * followed / 4
    return np.stack([weight - 4 * moving, moving, moving * vx, moving * vy], axis=1).astype(np.float32)


def waves(vx: float, vy: float) -> NDArray[np.float32]:
    """Two crossing waves that move: light (32, 41, 30)."""
    y, t, x = np.meshgrid(np.arange(32), np.arange(41) - 20, np.arange(30), indexing="ij")
    right, down = x - vx * t, y - vy * t
    light = 0.3 + 0.1 * np.sin(right * 0.7 + down * 0.2) + 0.1 * np.sin(down * 0.6 - right * 0.1)
    return light.astype(np.float32)


@pytest.mark.parametrize(("vx", "vy"), [(0.0, 0.0), (0.4, 0.0), (-0.3, 0.2), (0.1, -0.5)])
def test_the_velocity_of_texture_is_found(vx: float, vy: float) -> None:
    found = velocity(waves(vx, vy), 20)
    np.testing.assert_allclose(found[0], vx, atol=0.03)
    np.testing.assert_allclose(found[1], vy, atol=0.03)


def test_light_without_texture_rests() -> None:
    flat = np.full((12, 41, 14), 0.3, np.float32)
    np.testing.assert_array_equal(along_motion(flat, 20, 4.0), at_rest(12, 14, 4.0))


def test_nothing_is_followed_faster_than_a_pixel_per_step() -> None:
    noise = np.random.default_rng(0).random((20, 41, 20), np.float32)
    assert np.hypot(*velocity(noise * np.float32(0.1), 20)).max() <= 0.8001
    for steps in (1, 2):
        assert np.isfinite(along_motion(noise[:, :steps], 0, 4.0)).all()


def test_light_at_rest_adds_nothing_in_space() -> None:
    assert bounds(at_rest(5, 6, 3.0)) == (9.0, 0.0)
