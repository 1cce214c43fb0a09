from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from hqgen.simulation.camera import preset, simulate
from hqgen.simulation.motion import Motion, moving_picture
from hqgen.spikes.displacement import block_displacements, displacement, smallest_side
from hqgen.spikes.packed import PackedSpikes

HEIGHT, WIDTH, FRAMES, REACH = 120, 152, 41, 6

Floats = NDArray[np.float32]


@cache
def texture(height: int = 200, width: int = 240, seed: int = 0) -> Floats:
    """Soft spots of light between 0.05 and 0.95."""
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((height, width)), 2)
    low, high = np.percentile(noise, [2, 98])
    light: Floats = np.clip((noise - low) / (high - low), 0.05, 0.95).astype(np.float32)
    return light


def by_chance(rate: NDArray[np.floating], seed: int, frames: int = FRAMES) -> PackedSpikes:
    """Spikes at random: more noise than a camera has."""
    return PackedSpikes.pack(np.random.default_rng(seed).random((frames, *rate.shape)) < rate)


def view(down: int = 0, right: int = 0, seed: int = 0) -> Floats:
    """The texture, moved down and to the right."""
    return texture(seed=seed)[30 - down : 30 - down + HEIGHT, 30 - right : 30 - right + WIDTH]


def moved(one: NDArray[np.floating], other: NDArray[np.floating], reach: int = REACH) -> float:
    return displacement(by_chance(one, 1), by_chance(other, 2), reach)


def filmed(motion: Motion, frames: int, light: str = "normal") -> PackedSpikes:
    picture = texture(400, 480, seed=3)
    return simulate(moving_picture(picture, frames, HEIGHT, WIDTH, motion), preset(light), seed=5)


@given(down=st.integers(-5, 5), right=st.integers(-5, 5))
@settings(max_examples=25, deadline=None)
def test_a_moved_picture_is_measured_within_a_third_of_a_pixel(down: int, right: int) -> None:
    assert moved(view(), view(down, right)) == pytest.approx(math.hypot(down, right), abs=0.34)


@pytest.mark.parametrize("light", ["normal", "low"])
@pytest.mark.parametrize("speed", [0.0, 0.02, 0.05, 0.1])
def test_a_filmed_scene_moves_as_fast_as_it_was_filmed(speed: float, light: str) -> None:
    spikes = filmed(Motion(right=speed, down=-speed / 2), 83, light)
    found = displacement(spikes[:41], spikes[42:], 8)
    assert found == pytest.approx(42 * math.hypot(speed, speed / 2), abs=0.4 if light == "normal" else 1)


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.3, 0.9, 1.0])
def test_noise_dark_and_saturation_are_no_motion(rate: float) -> None:
    flat = np.full((HEIGHT, WIDTH), rate, np.float32)
    for seed in range(10):
        assert displacement(by_chance(flat, seed), by_chance(flat, 100 + seed), REACH) == 0


def test_a_change_of_brightness_is_no_motion() -> None:
    assert moved(0.5 * view(), 0.4 * view()) == 0
    assert moved(np.zeros_like(view()), np.full_like(view(), 0.5)) == 0


def test_another_picture_is_farther_than_the_reach() -> None:
    assert moved(view(), view(seed=1)) >= REACH
    assert moved(np.zeros_like(view()), view()) >= REACH
    assert moved(view(), view(down=20)) >= REACH


def test_a_small_thing_counts_before_a_still_background() -> None:
    before, after = 0.3 * view(seed=1), 0.3 * view(seed=1)
    before[40:84, 50:94] = view()[40:84, 50:94]
    after[40:84, 54:98] = view()[40:84, 50:94]
    assert moved(before, after) > 2
    blocks = block_displacements(by_chance(before, 1), by_chance(after, 2), REACH)
    assert (blocks == 0).sum() >= blocks.size / 2


def test_stripes_that_move_along_themselves_do_not_move() -> None:
    columns = np.arange(WIDTH)
    level = np.tile(0.4 + 0.3 * np.sin(2 * np.pi * columns / 37), (HEIGHT, 1))
    assert moved(level, level) == 0


@pytest.mark.parametrize("step", range(4))
def test_slanted_stripes_move_across_themselves_alone(step: int) -> None:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    before, after = (0.4 + 0.3 * np.sin(2 * np.pi * (rows + columns - shift) / 37) for shift in (0, step))
    assert moved(before, after) == pytest.approx(step / math.sqrt(2), abs=0.35)


def test_a_colour_filter_does_not_hold_the_picture() -> None:
    gain = np.tile(np.array([[1.0, 0.6], [0.6, 0.3]]), (HEIGHT // 2, WIDTH // 2))
    assert moved(gain * view(), gain * view(right=3)) == pytest.approx(3, abs=0.34)


def test_the_same_windows_give_the_same_number_in_every_order_of_work() -> None:
    one, other = by_chance(view(), 1), by_chance(view(1, 2), 2)
    first = block_displacements(one, other, REACH)
    upright = PackedSpikes.pack(one.frames()[:, ::-1])
    turned = PackedSpikes(upright.data, HEIGHT, WIDTH, bottom_up=True)
    np.testing.assert_array_equal(block_displacements(turned, other, REACH), first)


def test_windows_that_cannot_be_compared_are_refused() -> None:
    one = by_chance(view(), 1)
    with pytest.raises(ValueError, match="two windows"):
        displacement(one, one[:40], REACH)
    long = PackedSpikes(np.zeros((256, one.data.shape[1]), np.uint8), HEIGHT, WIDTH)
    with pytest.raises(ValueError, match="up to 255 frames"):
        displacement(long, long, REACH)
    side = smallest_side(REACH)
    small = np.full((side, side), 0.5)
    assert moved(small, small) == 0
    with pytest.raises(ValueError, match="too small for a reach of 6"):
        moved(small[1:], small[1:])
