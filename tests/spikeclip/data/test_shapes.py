from __future__ import annotations

import numpy as np
import pytest

from spikeclip.data.shapes import SHAPES, draw


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_two_levels_of_brightness_before_a_gradient(shape: str) -> None:
    picture = draw(shape, "a")
    assert picture.shape == (128, 128)
    assert picture.dtype == np.float32
    assert 0 <= picture.min() < 0.4
    assert 0.6 < picture.max() <= 1
    # A gradient alone has no steps; a shape has an edge all around it.
    assert np.abs(np.diff(picture, axis=0)).max() > 0.3
    assert np.abs(np.diff(picture, axis=1)).max() > 0.3


def test_the_same_key_draws_the_same_and_another_one_another() -> None:
    assert (draw("star", "a") == draw("star", "a")).all()
    assert (draw("star", "a") != draw("star", "b")).any()


def test_shapes_differ() -> None:
    drawn = [draw(shape, "a") for shape in SHAPES]
    assert all((one != other).any() for i, one in enumerate(drawn) for other in drawn[:i])
