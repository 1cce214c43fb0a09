from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.errors import ScoreError
from hqgen.quality.fidelity import at_best_gain, fair_image, psnr


def test_equal_images_have_no_psnr_and_different_ones_the_textbooks() -> None:
    image = np.linspace(0, 1, 64).reshape(8, 8)
    assert psnr(image, image) is None
    assert psnr(np.zeros((8, 8)), np.full((8, 8), 0.1)) == pytest.approx(20)


@given(gain=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
def test_the_gain_of_a_picture_does_not_matter(gain: float, seed: int) -> None:
    picture, truth = np.random.default_rng(seed).random((2, 9, 9))
    np.testing.assert_allclose(fair_image(picture * gain, truth), fair_image(picture, truth), rtol=1e-9)
    np.testing.assert_allclose(fair_image(truth * gain, truth), truth, rtol=1e-9)


def test_a_black_picture_stays_black() -> None:
    assert not fair_image(np.zeros((4, 4), np.uint8), np.ones((4, 4))).any()


def test_pictures_of_another_size_are_refused() -> None:
    with pytest.raises(ScoreError, match="truth has the shape"):
        fair_image(np.ones((4, 4)), np.ones((4, 5)))


@given(st.floats(1e-6, 1e6))
def test_the_best_gain_takes_out_any_positive_factor(factor: float) -> None:
    truth = np.random.default_rng(1).random((8, 9))
    assert at_best_gain(factor * truth, truth) == pytest.approx(truth)


def test_no_gain_is_better_than_the_best_one() -> None:
    generator = np.random.default_rng(2)
    truth, image = generator.random((8, 9)) / 2, generator.random((8, 9))
    best = float(np.mean((at_best_gain(image, truth) - truth) ** 2))
    errors = [np.mean((gain * image - truth) ** 2) for gain in np.linspace(0, 1, 99)]
    assert best <= min(errors) + 1e-12
    assert not at_best_gain(np.zeros((8, 9)), truth).any()
