"""Motion-aligned TFP is sharp where things move, and TFP where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from hqgen.errors import UsageError
from hqgen.methods.flow import Flow
from hqgen.methods.intervals import interval_rates
from hqgen.methods.mtfp import MTFP, aligned_means, block_edges, correction, interval_residuals, trust
from hqgen.methods.tfp import TFP
from hqgen.simulation.motion import Motion
from tests.methods.moving import film, psnr, scene
from tests.methods.windows import random_window, window


@pytest.mark.parametrize(
    "motion",
    [Motion(right=0.3), Motion(right=-0.4, down=0.4), Motion(rotation=0.4), Motion(zoom=0.005)],
    ids=["slow", "fast", "rotation", "zoom"],
)
def test_is_4_db_better_than_tfp_on_a_moving_picture(motion: Motion) -> None:
    frames = scene(motion)
    seen = film(frames)
    assert psnr(MTFP().reconstruct(seen), frames[20]) > psnr(TFP().reconstruct(seen), frames[20]) + 4


def test_loses_nothing_on_a_still_picture() -> None:
    frames = scene(Motion())
    seen = film(frames)
    assert psnr(MTFP().reconstruct(seen), frames[20]) > psnr(TFP().reconstruct(seen), frames[20]) - 0.1


def test_layers_with_covered_places_are_better_than_any_tfp() -> None:
    back, front = scene(Motion(right=-0.3), seed=1), scene(Motion(right=0.3), seed=2)
    frames = [frame.copy() for frame in back]
    for time, (frame, other) in enumerate(zip(frames, front, strict=True), start=-20):
        columns = slice(35 + round(0.3 * time), 75 + round(0.3 * time))
        frame[:, columns] = other[:, columns]
    seen = film(frames)
    best = max(psnr(TFP(length).reconstruct(seen), frames[20]) for length in (5, 11, 21, 41))
    assert psnr(MTFP().reconstruct(seen), frames[20]) > best + 1


@pytest.mark.parametrize("value", [0, 1])
def test_silent_and_saturated_windows_are_zero_and_one(value: int) -> None:
    image = MTFP().reconstruct(window(np.full((41, 20, 24), value), 20))
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, value, rtol=1e-6)


def test_noise_gives_a_rate() -> None:
    image = MTFP().reconstruct(random_window(0, (40, 56), frames=41, centre=20, rate=0.3))
    assert image.min() >= 0
    assert image.max() <= 1
    assert abs(float(image.mean()) - 0.3) < 0.05


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (13, 5)])
@pytest.mark.parametrize(("frames", "centre"), [(1, 0), (3, 2), (9, 0), (28, 7), (60, 59)])
def test_small_pictures_and_short_windows_give_a_picture(
    shape: tuple[int, int], frames: int, centre: int
) -> None:
    image = MTFP().reconstruct(random_window(0, shape, frames=frames, centre=centre))
    assert image.shape == shape
    assert np.isfinite(image).all()


def test_the_end_of_a_recording_is_as_sharp() -> None:
    motion = Motion(right=0.3, down=0.2)
    whole = film(scene(motion))
    early = type(whole)(whole.spikes[20:], 0)
    truth = scene(motion)[20]
    assert psnr(MTFP().reconstruct(early), truth) > psnr(TFP().reconstruct(whole), truth) + 2


def test_a_hot_pixel_stays_where_it_is() -> None:
    frames = scene(Motion())
    spikes = film(frames).spikes.frames()
    spikes[:, 40, 50] = 1
    image = MTFP().reconstruct(window(spikes, 20))
    others = np.delete(image[38:43, 48:53].ravel(), 12)
    assert image[40, 50] > others.max()


@pytest.mark.parametrize("count", [1, 2, 5, 7, 8, 28, 41, 81])
def test_blocks_hold_all_frames_and_one_is_centred(count: int) -> None:
    for centre in range(count):
        edges = block_edges(count, centre)
        assert edges[0] == 0
        assert edges[-1] == count
        assert (np.diff(edges) > 0).all()
        key = np.searchsorted(edges, centre, side="right") - 1
        assert edges[key] <= centre < edges[key + 1]
        if 5 <= centre < count - 5:
            assert (edges[key], edges[key + 1]) == (centre - 2, centre + 3)


def test_a_block_that_shows_something_else_counts_little() -> None:
    means = 0.3 + 0.01 * np.random.default_rng(0).standard_normal((8, 30, 30)).astype(np.float32)
    means[7, :, 15:] += 0.2
    weights = trust(means, 3)
    assert weights[7, :, 20:].max() < 0.05
    assert weights[7, :, :9].mean() > 0.7
    assert (weights[3] == 1).all()


def steady(velocity: np.ndarray) -> Flow:
    velocity = velocity.astype(np.float32)
    return Flow(velocity, np.zeros_like(velocity), np.ones_like(velocity[0]))


def test_a_picture_that_explains_the_intervals_leaves_no_residual() -> None:
    period = np.array([[2, 3, 4, 5]])
    spikes = window(np.arange(1, 42)[:, None, None] % period == 0, 20).spikes
    image = (1 / period).astype(np.float32)
    still = steady(np.zeros((2, 1, 4)))
    found = interval_residuals(spikes, interval_rates(spikes), image, still, 20)
    np.testing.assert_allclose(found, 0, atol=1e-6)
    more = interval_residuals(spikes, interval_rates(spikes), image - np.float32(0.1), still, 20)
    np.testing.assert_allclose(more[5:39], 0.1, rtol=1e-5)
    np.testing.assert_array_equal(more[0], 0, err_msg="no interval is closed before the first spike")


def test_residuals_give_back_the_contrast_that_intervals_blurred() -> None:
    x = np.arange(96, dtype=np.float32)
    rows = [0.5 + 0.4 * np.sin(2 * np.pi * (x - 0.5 * time) / 8) for time in range(-20, 21)]
    frames = [np.tile(row, (40, 1)).astype(np.float32) for row in rows]
    seen = film(frames, rate=0.25)
    speed = np.zeros((2, 40, 96))
    speed[0] = 0.5
    flow, edges = steady(speed), np.array([0, 41])
    rates = interval_rates(seen.spikes)
    mean = aligned_means(rates, flow, 20, edges)[0][0]
    residuals = interval_residuals(seen.spikes, rates, mean, flow, 20)
    corrected = mean + aligned_means(residuals, flow, 20, edges)[0][0]
    wave = (frames[20] - 0.5)[:, 24:72]

    def contrast(image: np.ndarray) -> float:
        return float((image[:, 24:72] * wave).sum() / (0.25 * wave * wave).sum())

    assert contrast(mean) < 0.8
    assert contrast(mean) + 0.1 < contrast(corrected) < 1.05


def test_a_correction_keeps_what_blocks_agree_on_and_drops_their_noise() -> None:
    weights = np.full((8, 40, 40), 1 / 8, np.float32)
    noise = 0.02 * np.random.default_rng(0).standard_normal(weights.shape).astype(np.float32)
    common = np.zeros((40, 40), np.float32)
    common[:, 20:] = 0.1
    found = correction(noise + common, weights)
    assert found[:, 25:].mean() == pytest.approx(0.1, rel=0.02)
    assert np.std(found[:, :15]) < 0.7 * np.std(noise[..., :15].mean(axis=0))
    np.testing.assert_array_equal(correction(np.zeros_like(weights), weights), 0)


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1, not 0"):
        MTFP(0)
