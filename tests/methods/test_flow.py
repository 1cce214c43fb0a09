"""The flow is that of the scene, and stays calm where there is nothing to see."""

from __future__ import annotations

import numpy as np
import pytest

from hqgen.methods.flow import Flow, estimate_flow
from hqgen.simulation.motion import Motion
from tests.methods.moving import HEIGHT, WIDTH, expected_velocity, film, scene
from tests.methods.windows import random_window, window


def error(flow: Flow, expected: np.ndarray, border: int = 10) -> float:
    """Mean distance of the velocities away from the border, pixels per frame."""
    distance = np.hypot(*(flow.velocity - expected))
    return float(distance[border:-border, border:-border].mean())


@pytest.mark.parametrize(
    "motion",
    [
        Motion(),
        Motion(right=0.2),
        Motion(down=-0.3),
        Motion(right=0.6, down=0.4),
        Motion(rotation=0.3),
        Motion(zoom=0.004),
        Motion(right=-0.2, down=0.1, rotation=-0.2, zoom=-0.003),
    ],
    ids=["still", "right", "up", "fast", "rotation", "zoom", "all"],
)
def test_finds_the_motion_of_a_picture(motion: Motion) -> None:
    flow = estimate_flow(film(scene(motion)))
    assert flow.velocity.shape == (2, HEIGHT, WIDTH)
    assert flow.velocity.dtype == flow.acceleration.dtype == flow.confidence.dtype == np.float32
    assert error(flow, expected_velocity(motion)) < 0.025, "half a pixel at either end of the window"


def test_finds_a_motion_that_becomes_faster() -> None:
    times = np.arange(-20, 21)
    still = scene(Motion(), frames=1)[0]
    wide = np.pad(still, 20, mode="reflect")
    frames = []
    for time in times:  # whole pixels are enough: the blur of the lens is larger
        shift = round(0.3 * time + 0.005 * time**2)
        frames.append(np.roll(wide, shift, axis=1)[20:-20, 20:-20])
    flow = estimate_flow(film(frames))
    inner = flow.acceleration[:, 15:-15, 25:-25]
    assert inner[0].mean() == pytest.approx(0.01, abs=0.002)
    assert abs(inner[1].mean()) < 0.001


def test_tells_two_layers_apart_and_doubts_their_edge() -> None:
    back, front = scene(Motion(right=-0.25), seed=1), scene(Motion(right=0.25), seed=2)
    rows = slice(25, 55)
    frames = [frame.copy() for frame in back]
    for frame, other in zip(frames, front, strict=True):
        frame[rows] = other[rows]
    flow = estimate_flow(film(frames))
    assert np.median(flow.velocity[0, 32:48]) == pytest.approx(0.25, abs=0.02)
    assert np.median(flow.velocity[0, :18]) == pytest.approx(-0.25, abs=0.02)
    inside = flow.confidence[[8, 40, 70]].mean()
    assert flow.confidence[[24, 25, 54, 55]].mean() < inside


@pytest.mark.parametrize("value", [0, 1], ids=["empty", "saturated"])
def test_nothing_moves_where_nothing_differs(value: int) -> None:
    flow = estimate_flow(window(np.full((41, 30, 40), value, np.uint8), 20))
    assert not flow.velocity.any()
    assert not flow.acceleration.any()
    assert (flow.confidence == 1).all()


def test_noise_alone_moves_little() -> None:
    flow = estimate_flow(random_window(0, (64, 96), frames=41, centre=20))
    assert np.isfinite(flow.velocity).all()
    assert np.hypot(*flow.velocity).mean() < 0.1


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (13, 5), (31, 57)])
@pytest.mark.parametrize("frames", [1, 4, 9, 41])
def test_small_pictures_and_short_windows_give_a_finite_flow(shape: tuple[int, int], frames: int) -> None:
    flow = estimate_flow(random_window(0, shape, frames=frames, centre=frames // 3))
    assert flow.velocity.shape == flow.acceleration.shape == (2, *shape)
    assert flow.confidence.shape == shape
    assert np.isfinite(flow.velocity).all()
    assert np.isfinite(flow.acceleration).all()
    assert ((flow.confidence > 0) & (flow.confidence <= 1)).all()


def test_a_centre_that_is_not_in_the_middle_has_the_same_motion() -> None:
    motion = Motion(right=0.3, down=0.1)
    whole = film(scene(motion, frames=41))
    early = type(whole)(whole.spikes, 8)
    assert error(estimate_flow(early), expected_velocity(motion)) < 0.04


def test_is_the_same_twice() -> None:
    seen = random_window(3, (40, 50), frames=41, centre=20)
    for one, other in zip(estimate_flow(seen), estimate_flow(seen), strict=True):
        np.testing.assert_array_equal(one, other)
