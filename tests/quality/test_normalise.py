"""The one rule from a method's float image to the uint8 candidate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hqgen.errors import ScoreError, UsageError
from hqgen.methods.tfi import TFI
from hqgen.methods.tfp import TFP
from hqgen.methods.tfstp import TFSTP
from hqgen.quality.normalise import Normalisation, gain_of, to_uint8, with_gain
from hqgen.spikes.recording import open_recording


def noise(seed: int = 0, shape: tuple[int, int] = (40, 60)) -> np.ndarray:
    return np.random.default_rng(seed).random(shape).astype(np.float32)


def scene(seed: int = 0) -> np.ndarray:
    """A ramp from 0 to 0.4 with some noise."""
    ramp = np.linspace(0, 0.4, 240 * 320, dtype=np.float32).reshape(240, 320)
    return ramp * (0.9 + 0.2 * noise(seed, (240, 320)))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), gain=st.floats(1e-6, 1e6))
def test_gain_does_not_matter(seed: int, gain: float) -> None:
    image = noise(seed)
    scaled = to_uint8(image * np.float32(gain)).astype(int)
    assert np.abs(scaled - to_uint8(image)).max() <= 1


@given(seed=st.integers(0, 2**32 - 1), power=st.integers(-60, 60))
def test_a_power_of_two_as_gain_changes_no_pixel(seed: int, power: int) -> None:
    image = noise(seed)
    np.testing.assert_array_equal(to_uint8(image * np.float32(2.0**power)), to_uint8(image))


@given(seed=st.integers(0, 2**32 - 1), low=st.floats(-0.5, 0.5))
def test_a_brighter_pixel_never_comes_out_darker(seed: int, low: float) -> None:
    image = noise(seed) + np.float32(low)
    grey = to_uint8(image).ravel()[np.argsort(image, axis=None)].astype(int)
    assert np.diff(grey).min() >= 0


@given(seed=st.integers(0, 2**32 - 1))
def test_zero_stays_zero_and_what_is_below_becomes_black(seed: int) -> None:
    image = noise(seed)
    image[3, 5], image[7, 9] = 0, -4
    grey = to_uint8(image)
    assert grey[3, 5] == grey[7, 9] == 0


def test_the_output_is_contiguous_uint8_and_the_input_untouched() -> None:
    image = scene()
    before = image.copy()
    grey = to_uint8(image)
    assert grey.dtype == np.uint8
    assert grey.shape == image.shape
    assert grey.flags.c_contiguous
    np.testing.assert_array_equal(image, before)


def test_the_white_point_comes_out_at_its_level() -> None:
    grey = to_uint8(scene())
    assert np.median(grey[-2:]) == pytest.approx(0.9 * 255, abs=3)
    assert np.mean(grey == 255) < 0.01
    darker = to_uint8(scene(), Normalisation(level=0.5))
    assert np.median(darker[-2:]) == pytest.approx(0.5 * 255, abs=3)


@pytest.mark.parametrize("value", [1.0, 1e6])
def test_hot_pixels_do_not_darken_the_picture(value: float) -> None:
    image = scene()
    spots = np.random.default_rng(1).choice(image.size, image.size // 1250, replace=False)  # 0.08 %
    hot = image.copy()
    hot.flat[spots] = value
    change = np.delete(to_uint8(hot).astype(int) - to_uint8(image), spots)
    assert np.abs(change).max() <= 2


def test_a_noisy_and_a_clean_image_of_one_scene_are_equally_bright() -> None:
    clean = scene()
    clean = np.maximum(clean, 0.05)
    noisy = 1 / np.maximum(1, np.floor(1 / clean + noise(5, clean.shape)))  # intervals are whole frames
    assert to_uint8(noisy).mean() == pytest.approx(to_uint8(clean).mean(), rel=0.08)
    by_maximum = noisy / noisy.max(), clean / clean.max()
    assert abs(by_maximum[0].mean() / by_maximum[1].mean() - 1) > 0.08, "the case would prove nothing"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_a_reason(bad: float) -> None:
    image = scene()
    image[0, :3] = bad
    with pytest.raises(ScoreError, match="3 of 76800 pixels are not finite"):
        to_uint8(image)


@pytest.mark.parametrize("value", [0, -1])
def test_a_dark_image_is_a_reason(value: float) -> None:
    with pytest.raises(ScoreError, match="dark image"):
        to_uint8(np.full((32, 32), value, np.float32))


def test_single_bright_pixels_are_no_picture() -> None:
    image = np.zeros((32, 32), np.float32)
    image[::8, ::8] = 1
    with pytest.raises(ScoreError, match="dark image"):
        to_uint8(image)


@pytest.mark.parametrize("value", [1e-30, 0.3, 1, 1e30])
def test_a_flat_image_is_a_reason(value: float) -> None:
    with pytest.raises(ScoreError, match="flat image: every pixel is 230"):
        to_uint8(np.full((32, 32), value, np.float32))


@pytest.mark.parametrize("shape", [(3, 40), (40, 0), (40,), (2, 40, 40)])
def test_what_is_no_image_is_a_reason(shape: tuple[int, ...]) -> None:
    with pytest.raises(ScoreError, match="at least 4x4 pixels"):
        to_uint8(np.ones(shape, np.float32))


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.uint16, np.int32])
def test_any_real_type_is_taken(kind: type) -> None:
    image = np.arange(64 * 64).reshape(64, 64) // 64
    np.testing.assert_array_equal(to_uint8(image.astype(kind)), to_uint8(image))


def test_sides_that_are_no_multiple_of_the_block_keep_their_pixels() -> None:
    image = scene()[:239, :317]
    assert to_uint8(image).shape == (239, 317)
    assert to_uint8(image)[-1].any()


@pytest.mark.parametrize(
    "wrong", [{"quantile": 0}, {"quantile": 1.1}, {"level": 0}, {"level": 2}, {"block": 1}]
)
def test_a_rule_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="normalisation cannot have"):
        Normalisation(**wrong)


def test_the_plan_gets_name_version_and_parameters() -> None:
    parameters = Normalisation().parameters()
    assert parameters == {"name": "white", "version": 1, "quantile": 0.995, "level": 0.9, "block": 4}
    assert json.loads(json.dumps(parameters)) == parameters


@pytest.mark.real
def test_all_methods_show_a_real_recording_equally_bright(data_root: Path) -> None:
    recording = open_recording(data_root / "recvidar2019/classA/car-100kmh.dat", height=250, width=400)
    methods = [TFP(21), TFP(), TFI(), TFI("paper"), TFSTP()]
    pictures = [to_uint8(method.reconstruct(recording.window(100, *method.span))) for method in methods]
    means = np.array([picture.mean() for picture in pictures])
    assert means.max() / means.min() < 1.1
    assert max(np.mean(picture == 255) for picture in pictures) < 0.01


def test_a_gain_can_be_that_of_several_pictures_together() -> None:
    dim, bright = np.random.default_rng(0).random((2, 40, 48)) * [[[0.5]], [[1.0]]]
    gain = gain_of(np.concatenate([dim, bright]))
    assert with_gain(bright, gain).mean() > 1.5 * with_gain(dim, gain).mean()
    np.testing.assert_array_equal(with_gain(dim, gain_of(dim)), to_uint8(dim))
    with pytest.raises(ScoreError, match="1 of 1920 pixels are not finite"):
        with_gain(np.where(np.arange(1920).reshape(40, 48) == 7, np.nan, dim), gain)
