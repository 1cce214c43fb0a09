"""The retina-like model: a mean of intervals where nothing moves, the last intervals where something does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hqgen.methods.retina import Retina
from hqgen.methods.tfi import TFI
from hqgen.methods.tfp import TFP
from hqgen.spikes.packed import PackedSpikes, Window
from tests.methods.windows import REDS, random_window, reds, window

FRAMES, CENTRE = 141, 100


def camera(rate: NDArray[np.float64], seed: int = 0) -> Window:
    """What an ideal camera fires for rates (T, H, W) in every frame."""
    phase = np.random.default_rng(seed).random(rate.shape[1:])
    total = np.floor(phase + np.concatenate([np.zeros_like(rate[:1]), rate.cumsum(0)]))
    return Window(PackedSpikes.pack(np.diff(total, axis=0)), CENTRE)


def wall(rate: float) -> NDArray[np.float64]:
    return np.full((FRAMES, 8, 9), rate)


@given(seed=st.integers(0, 1000), rate=st.floats(0, 1), count=st.integers(2, 160), data=st.data())
def test_the_rate_is_finite_and_between_zero_and_one(
    seed: int, rate: float, count: int, data: st.DataObject
) -> None:
    centre = data.draw(st.integers(0, count - 1))
    image = Retina().reconstruct(random_window(seed, (5, 7), count, centre, rate))
    assert image.dtype == np.float32
    assert image.shape == (5, 7)
    assert image.min() >= 0
    assert image.max() <= 1


@pytest.mark.parametrize("rate", [0.05, 0.13, 0.4, 0.77])
def test_a_wall_keeps_its_firing_rate(rate: float) -> None:
    image = Retina().reconstruct(camera(wall(rate)))
    np.testing.assert_allclose(image, rate, rtol=0.15)
    assert image.mean() == pytest.approx(rate, rel=0.03)


def test_where_nothing_moves_it_is_steadier_than_one_interval() -> None:
    still = camera(wall(0.37))
    assert Retina().reconstruct(still).std() < 0.2 * TFI().reconstruct(still).std()


def test_where_light_changes_it_forgets_the_earlier_spikes() -> None:
    rate = wall(0.2)
    rate[CENTRE - 10 :] = 0.6
    image = Retina().reconstruct(camera(rate))
    assert abs(image.mean() - 0.6) < 0.1
    assert TFP().reconstruct(camera(rate)).mean() < 0.52


def test_a_pixel_that_goes_dark_is_dark() -> None:
    rate = wall(0.5)
    rate[CENTRE - 20 :] = 0
    assert Retina().reconstruct(camera(rate)).max() < 0.05


@pytest.mark.parametrize(("fired", "value"), [(0, 0.0), (1, 1.0)])
def test_silent_and_saturated_pixels_are_zero_and_one(fired: int, value: float) -> None:
    image = Retina().reconstruct(window(np.full((FRAMES, 6, 7), fired), CENTRE))
    np.testing.assert_array_equal(image, np.float32(value))


def test_a_spike_in_the_refractory_time_is_noise() -> None:
    time, row, column = np.indices((FRAMES, 11, 11))
    frames = (time + column + 2 * row) % 10 == 0  # in every frame there are as many in each neighbourhood
    (last,) = np.flatnonzero(frames[80:90, 5, 5]) + 80
    frames[last + 1, 5, 5] = True
    assert Retina().reconstruct(window(frames, CENTRE))[5, 5] == pytest.approx(0.1, rel=0.01)


def test_only_spikes_up_to_the_first_one_after_the_centre_count() -> None:
    frames = np.zeros((FRAMES, 3, 3), np.uint8)
    frames[: CENTRE + 10 : 5] = 1
    early = Retina().reconstruct(window(frames, CENTRE))
    frames[CENTRE + 10 :] = 1
    np.testing.assert_array_equal(Retina().reconstruct(window(frames, CENTRE)), early)


def test_at_the_ends_it_uses_the_frames_that_exist() -> None:
    short = random_window(1, (6, 6), 30, 10, 0.3)
    assert Retina().mirrored_share(short) == 0
    np.testing.assert_array_equal(
        Retina().reconstruct(short), Retina().reconstruct(Window(short.spikes, 10, (10, 19)))
    )


def test_it_runs_by_name_only() -> None:
    assert not Retina.in_default


@pytest.mark.real
@pytest.mark.parametrize("name", REDS)
def test_it_is_better_than_one_interval_on_real_scenes(data_root: Path, name: str) -> None:
    recording, truth = reds(data_root, name)

    def psnr(method: Retina | TFI) -> float:
        image = method.reconstruct(recording.window(150, *method.span))
        return float(-10 * np.log10(np.mean((np.clip(image / 0.6, 0, 1) - truth) ** 2)))

    assert psnr(Retina()) > psnr(TFI())
