"""The source `demo`: scenes simulated from pictures that come with scikit-image, and one drawn here.

Nothing is downloaded: only files of scikit-image's wheel are used. Some scenes move very little, so long
windows win; others move by a third of a pixel per frame, so long windows blur.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import SourceError, UnknownNameError
from hqgen.pictures import read_light
from hqgen.simulation.camera import preset, simulate
from hqgen.simulation.motion import Motion, moving_picture
from hqgen.spikes.packed import PackedSpikes

FRAMES = 61
CENTRE = 30
GEOMETRY = (250, 400)

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Scene:
    """A picture and its motion.

    Args:
        file: a picture of scikit-image; None for the drawn one.
        motion: of the picture.
        crop: the part to show, as shares of height and width: (top, bottom, left, right).
    """

    file: str | None
    motion: Motion
    crop: tuple[float, float, float, float] = (0, 1, 0, 1)


_SCENES = {
    "astronaut": _Scene("astronaut.png", Motion(right=0.05), (0, 0.64, 0, 1)),
    "brick": _Scene("brick.png", Motion(right=0.25, down=0.1)),
    "camera": _Scene("camera.png", Motion(right=-0.1, down=0.02), (0.05, 0.75, 0, 1)),
    "chart": _Scene(None, Motion(rotation=0.03)),
    "chelsea": _Scene("chelsea.png", Motion(zoom=0.001)),
    "coffee": _Scene("coffee.png", Motion(rotation=0.05, right=0.05)),
    "coins": _Scene("coins.png", Motion(right=0.2, rotation=0.02)),
    "grass": _Scene("grass.png", Motion(down=0.1)),
    "hubble": _Scene("hubble_deep_field.jpg", Motion(right=0.02, down=0.01)),
    "moon": _Scene("moon.png", Motion(rotation=-0.03)),
    "motorcycle": _Scene("motorcycle_left.png", Motion(right=0.4)),
    "rocket": _Scene("rocket.jpg", Motion(down=0.25)),
}


def demo_scenes() -> list[str]:
    """The names of the scenes, in order."""
    return list(_SCENES)


@cache
def demo_recording(name: str) -> PackedSpikes:
    """Simulate a scene in normal light: 61 frames of 250x400 pixels, with the same bits every time.

    Raises:
        UnknownNameError: there is no such scene.
        SourceError: the installed scikit-image does not have the picture.
    """
    return simulate(_frames(name), preset("normal"), seed=crc32(name.encode()))


def demo_truth(name: str) -> Floats:
    """The picture in front of the camera at the centre frame: float32 (250, 400), linear light in [0, 1].

    Raises:
        UnknownNameError: there is no such scene.
        SourceError: the installed scikit-image does not have the picture.
    """
    return next(frame for index, frame in enumerate(_frames(name)) if index == CENTRE)


def _frames(name: str) -> Iterator[Floats]:
    if name not in _SCENES:
        raise UnknownNameError("demo scene", name, _SCENES)
    scene = _SCENES[name]
    picture = _chart() if scene.file is None else read_light(_installed(scene.file))
    height, width = picture.shape
    top, bottom, left, right = scene.crop
    cropped = picture[
        round(top * height) : round(bottom * height), round(left * width) : round(right * width)
    ]
    return moving_picture(cropped, FRAMES, *GEOMETRY, scene.motion)


def _installed(file: str) -> Path:
    """Where a picture of scikit-image is; its own loaders would download what the wheel lacks."""
    package = find_spec("skimage")
    for folder in (package and package.submodule_search_locations) or []:
        if (path := Path(folder) / "data" / file).is_file():
            return path
    raise SourceError(
        f"the installed scikit-image has no picture `{file}`",
        hint="`demo` needs the pictures that come with scikit-image: `pip install -U scikit-image`",
    )


def _chart() -> Floats:
    """Draw a test chart: a Siemens star of 36 spokes between grey steps and bars that get finer."""
    height, width = 560, 880
    y, x = np.mgrid[:height, :width].astype(np.float64)
    u, v = x - width / 2, y - height / 2
    radius = np.hypot(u, v)
    # soft edges of about one pixel: hard ones would alias
    spokes = 0.5 + 0.45 * np.clip(np.sin(36 * np.arctan2(v, u)) * radius / 36, -1, 1)
    stairs = 0.05 + 0.9 * np.floor(8 * y / height) / 7
    period = 40 * 0.2 ** (y / height)
    bars = 0.5 + 0.45 * np.clip(np.sin(2 * np.pi * u / period) * period / 6, -1, 1)
    chart = np.where(u < 0, stairs, bars)
    chart = np.where(radius < 0.46 * height, 0.5, chart)
    return np.where((radius < 0.42 * height) & (radius > 8), spokes, chart).astype(np.float32)
