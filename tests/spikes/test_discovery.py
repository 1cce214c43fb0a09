from __future__ import annotations

import numpy as np
import pytest

from hqgen.simulation.camera import preset, simulate
from hqgen.simulation.motion import Motion, moving_picture
from hqgen.sources.demo import demo_recording, demo_truth
from hqgen.spikes.discovery import discover, padding_columns
from tests.spikes.test_formats import raw_bytes


def bits(height: int, width: int, *, msb: bool = False) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    picture = np.kron(demo_truth("coffee"), np.ones((2, 2), np.float32))
    scene = moving_picture(picture, 24, height, width, Motion(right=0.1))
    frames = simulate(scene, preset("normal"), seed=1).frames()
    return np.frombuffer(raw_bytes(frames, msb=msb), np.uint8)


@pytest.mark.parametrize(("height", "width"), [(240, 320), (128, 200), (120, 160)])
@pytest.mark.parametrize("msb", [False, True])
def test_the_geometry_of_an_unknown_camera_is_found(height: int, width: int, msb: bool) -> None:
    assert discover(bits(height, width, msb=msb)) == (height, width)


@pytest.mark.parametrize("content", ["zeros", "ones", "noise", "short", "empty"])
def test_nothing_is_found_where_there_is_nothing(content: str) -> None:
    size = {"short": 900, "empty": 0}.get(content, 200_000)
    data = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    if content in ("zeros", "ones"):
        data[:] = 0 if content == "zeros" else 255
    assert discover(data) is None


@pytest.mark.parametrize("padding", [0, 8, 16, 24])
@pytest.mark.parametrize("filled", ["zeros", "noise"])
def test_columns_that_are_not_picture_are_counted(padding: int, filled: str) -> None:
    counts = demo_recording("coffee").frames()[:41].sum(0).astype(np.float32)
    outside = np.zeros((250, padding), np.float32)
    if filled == "noise":
        outside = np.random.default_rng(0).integers(0, 42, outside.shape).astype(np.float32)
    assert padding_columns(np.concatenate([counts, outside], 1)) == padding


def test_a_dark_picture_has_no_padding() -> None:
    assert padding_columns(np.zeros((20, 32), np.float32)) == 0
