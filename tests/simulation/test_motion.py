from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hqgen.simulation.motion import Motion, moving_picture

STILL = Motion()


def ramp(height: int, width: int) -> NDArray[np.float32]:
    """Grows to the right, so that a frame's values are positions in the picture."""
    return np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1))


def spot(height: int, width: int, y: int, x: int) -> NDArray[np.float32]:
    picture = np.zeros((height, width), np.float32)
    picture[y - 1 : y + 2, x - 1 : x + 2] = 1
    return picture


def place(frame: NDArray[np.float32]) -> NDArray[np.float64]:
    """(x, y) of the frame's centre of mass, from its middle."""
    y, x = np.indices(frame.shape) - np.array(frame.shape).reshape(2, 1, 1) / 2 + 0.5
    return np.array([(frame * x).sum(), (frame * y).sum()], np.float64) / float(frame.sum())


def test_a_still_picture_of_the_frames_size_is_given_as_it_is() -> None:
    picture = np.random.default_rng(0).random((20, 30), np.float32)
    frames = list(moving_picture(picture, 3, 20, 30, STILL))
    assert len(frames) == 3
    for frame in frames:
        assert frame.dtype == np.float32
        np.testing.assert_allclose(frame, picture, atol=1e-5)


def test_the_picture_moves_to_the_right_and_down_by_so_many_pixels_a_frame() -> None:
    frames = list(moving_picture(spot(61, 61, 30, 30), 11, 31, 31, Motion(right=0.5, down=-0.25)))
    places = np.stack([place(frame) for frame in frames])
    np.testing.assert_allclose(places[5], 0, atol=0.05)
    np.testing.assert_allclose(np.diff(places, axis=0).mean(axis=0), (0.5, -0.25), atol=0.02)


def test_rotation_is_clockwise_about_the_middle() -> None:
    frames = list(moving_picture(spot(81, 81, 40, 60), 3, 41, 41, Motion(rotation=30)))
    right, turned = place(frames[1]), place(frames[2])
    assert right[1] == pytest.approx(0, abs=0.05)
    assert np.rad2deg(np.arctan2(turned[1], turned[0])) == pytest.approx(30, abs=1)  # y points down
    assert np.hypot(*turned) == pytest.approx(np.hypot(*right), rel=0.02)


def test_zoom_makes_the_picture_grow() -> None:
    frames = list(moving_picture(spot(81, 81, 40, 60), 3, 41, 41, Motion(zoom=0.25)))
    at_rest, later = place(frames[1])[0], place(frames[2])[0]
    assert later / at_rest == pytest.approx(1.25, rel=0.01)


@settings(max_examples=60, deadline=None)
@given(
    right=st.floats(-2, 2),
    down=st.floats(-2, 2),
    rotation=st.floats(-5, 5),
    zoom=st.floats(-0.02, 0.02),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    size=st.tuples(st.integers(2, 60), st.integers(2, 60)),
)
def test_no_frame_ever_shows_the_edge_or_leaves_the_range(
    right: float, down: float, rotation: float, zoom: float, height: int, width: int, size: tuple[int, int]
) -> None:
    # Outside of a ramp the values would be clamped and no longer grow along a row.
    motion = Motion(right, down, rotation, zoom)
    picture = ramp(*size)
    for frame in moving_picture(picture, 9, height, width, motion):
        assert frame.shape == (height, width)
        assert frame.min() >= 0
        assert frame.max() <= 1
        if width > 1:
            assert (np.diff(frame, axis=1) > 0).all()


def test_a_fine_picture_is_averaged_not_skipped_over() -> None:
    checkers = np.indices((400, 400)).sum(axis=0).astype(np.float32) % 2
    (frame,) = moving_picture(checkers, 1, 50, 50, STILL)
    np.testing.assert_allclose(frame, 0.5, atol=0.1)


@pytest.mark.parametrize("shape", [(5,), (1, 9), (3, 4, 3)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least 2x2"):
        moving_picture(np.zeros(shape, np.float32), 1, 4, 4, STILL)


@pytest.mark.parametrize(("frames", "height", "width"), [(0, 4, 4), (3, 0, 4), (3, 4, -1)])
def test_frames_that_cannot_be_filmed_are_refused_at_once(frames: int, height: int, width: int) -> None:
    with pytest.raises(ValueError, match="cannot film"):
        moving_picture(ramp(9, 9), frames, height, width, STILL)
