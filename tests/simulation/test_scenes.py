from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hqgen.pictures import load_pictures
from hqgen.simulation.scenes import (
    CENTRE,
    FRAMES,
    NO_MASK,
    MotionLimits,
    SceneMaker,
    Scenes,
    SensorLimits,
    _near_an_end,
    _white,
    draw_shapes,
    render,
    sample,
    soften,
)
from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.recording import ArrayRecording

IDEAL = SensorLimits(noisy=0)
SHARP = (0.0, 0.0)
STILL = MotionLimits(shift=0, rotation=0, zoom=0)


def maker(pictures: Path, scenes: Scenes | None = None, seed: int = 0) -> SceneMaker:
    return SceneMaker(load_pictures(pictures, longest=480, smallest=32), scenes or Scenes(), seed)


def test_batch_depends_on_seed_and_index_only(pictures: Path) -> None:
    one, again = maker(pictures).batch(3, 4, 24), maker(pictures).batch(3, 4, 24)
    np.testing.assert_array_equal(one.spikes, again.spikes)
    np.testing.assert_array_equal(one.rate, again.rate)
    for other in (maker(pictures).batch(4, 4, 24), maker(pictures, seed=1).batch(3, 4, 24)):
        assert not np.array_equal(one.spikes, other.spikes)


def test_batch_has_binary_frames_and_rates_within_the_range_of_the_recipe(pictures: Path) -> None:
    batch = maker(pictures, Scenes(dim=0, rates=(0.3, 0.6))).batch(0, 6, 24)
    assert batch.spikes.shape == (6, FRAMES, 24, 24)
    assert set(np.unique(batch.spikes)) == {0, 1}
    assert batch.rate.shape == (6, 24, 24)
    assert batch.rate.dtype == np.float32
    assert batch.rate.min() >= 0
    assert batch.rate.max() <= 0.6


def test_in_a_still_ideal_scene_the_spikes_count_the_rate(pictures: Path) -> None:
    batch = maker(pictures, Scenes(motion=STILL, sensor=IDEAL, optics=SHARP)).batch(0, 6, 24)
    assert np.abs(batch.spikes.sum(1) - FRAMES * batch.rate).max() <= 1.001


def test_in_a_moving_scene_they_do_not(pictures: Path) -> None:
    batch = maker(pictures, Scenes(sensor=IDEAL)).batch(0, 6, 24)
    assert np.abs(batch.spikes.sum(1) - FRAMES * batch.rate).max() > 2


def test_noisy_sensor_deviates_from_the_rate_and_keeps_its_mean(pictures: Path) -> None:
    scenes = Scenes(motion=STILL, optics=SHARP, dim=0, sensor=SensorLimits(noisy=1, gain=0.1, dark=0, hot=0))
    batch = maker(pictures, scenes).batch(0, 12, 48)
    error = batch.spikes.mean(1) - batch.rate
    assert np.abs(FRAMES * error).max() > 2
    assert abs(error.mean()) < 2e-3


@given(column=st.floats(-40, 40, width=32), row=st.floats(-40, 40, width=32))
def test_a_texture_is_sampled_linearly_and_its_border_goes_on_outside(column: float, row: float) -> None:
    texture = np.arange(35, dtype=np.float32).reshape(5, 7)
    expected = min(max(column, 0), 6) + 7 * min(max(row, 0), 4)
    assert sample(texture, np.float32(column), np.float32(row)) == pytest.approx(expected, abs=1e-4)


def test_drawn_shapes_change_the_picture_and_depend_on_the_seed_only() -> None:
    flat = Image.new("L", (64, 48), 128)
    one, again, other = (
        np.asarray(draw_shapes(np.random.default_rng(seed), flat.copy())) for seed in (1, 1, 2)
    )
    assert one.shape == (48, 64)
    assert np.ptp(one) > 0
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def poses(shift: float) -> np.ndarray:
    """Two layers of 16x16 textures at scale 1, the front one moving `shift` columns a frame."""
    still = np.tile(np.array([1, 0, 8, 0, 1, 8], np.float32), (2, 3, 1))
    still[1, :, 2] += shift * np.arange(3)
    return still


def test_scene_without_front_layer_shows_the_texture_behind() -> None:
    back = np.random.default_rng(0).random((16, 16), np.float32)
    frames = np.empty((3, 5, 5), np.float32)
    render(back, back, poses(0), NO_MASK, frames)
    np.testing.assert_array_equal(frames[1], back[6:11, 6:11])


def test_front_layer_hides_what_is_behind_and_moves_over_it() -> None:
    back, fore = np.zeros((16, 16), np.float32), np.ones((16, 16), np.float32)
    frames = np.empty((3, 7, 7), np.float32)
    disc = np.array([0, 0, 1, 0, 1, 1], np.float32)
    render(back, fore, poses(2), disc, frames)  # two texture pixels are one patch pixel of the mask
    covered = [np.flatnonzero(frame[3] > 0.5).tolist() for frame in frames]
    assert covered == [[2, 3, 4], [0, 1, 2], [0]]


def test_windows_at_an_end_mirror_their_frames_as_those_of_a_recording_do(pictures: Path) -> None:
    whole = maker(pictures).batch(2, 1, 24).spikes[0]
    for seed in range(20):
        frames = _near_an_end(np.random.default_rng(seed))
        first, last = int(frames.min()), int(frames.max())
        assert (first, last) != (0, FRAMES - 1)
        recording = ArrayRecording(PackedSpikes.pack(whole[first : last + 1]))
        window = recording.window(CENTRE - first, CENTRE, FRAMES - 1 - CENTRE)
        np.testing.assert_array_equal(whole[frames], window.spikes.frames())


def test_scenes_at_the_end_have_the_target_of_whole_ones(pictures: Path) -> None:
    whole, ends = (maker(pictures, Scenes(ends=share)).batch(1, 1, 24) for share in (0.0, 1.0))
    np.testing.assert_array_equal(ends.rate, whole.rate)
    assert not np.array_equal(ends.spikes, whole.spikes)


@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_target_is_as_many_frames_after_the_centre_frame_as_the_recipe_says(
    offset: float, pictures: Path
) -> None:
    scenes = Scenes(layered=0, sensor=IDEAL, offset=offset)
    batch = maker(pictures, scenes).batch(5, 1, 24)
    rng = np.random.default_rng([0, 5])
    white = _white(rng, scenes)
    frames = maker(pictures, scenes)._brightness(rng, 24)
    np.testing.assert_allclose(batch.white, white, rtol=1e-6)
    np.testing.assert_allclose(batch.rate[0], frames[CENTRE + int(offset)] * np.float32(white), rtol=1e-5)


def test_sensor_sees_the_target_through_the_blur_of_the_recipe(pictures: Path) -> None:
    batch = maker(pictures, Scenes(motion=STILL, sensor=IDEAL, optics=(0.9, 0.9), blur=0)).batch(0, 6, 24)
    assert np.abs(batch.spikes.sum(1) - FRAMES * batch.rate).max() > 1.5


@pytest.mark.parametrize("side", [0.0, 0.1, 1 / 3])
def test_soften_is_a_separable_blur_with_mirrored_borders(side: float) -> None:
    frames = np.random.default_rng(0).random((2, 6, 7), np.float32)
    padded = np.pad(frames, ((0, 0), (1, 1), (1, 1)), mode="reflect")
    rows = (1 - 2 * side) * padded[:, :, 1:-1] + side * (padded[:, :, :-2] + padded[:, :, 2:])
    expected = (1 - 2 * side) * rows[:, 1:-1] + side * (rows[:, :-2] + rows[:, 2:])
    soften(frames, side)
    np.testing.assert_allclose(frames, expected, atol=1e-6)


@pytest.mark.parametrize("patch", [16, 40])
def test_pictures_smaller_than_a_patch_give_whole_scenes(patch: int, pictures: Path) -> None:
    small = [p.resize((33, 40)) for p in load_pictures(pictures, longest=480, smallest=32)]
    batch = SceneMaker(small, Scenes(motion=MotionLimits(shift=60)), 0).batch(0, 4, patch)
    assert np.isfinite(batch.rate).all()
