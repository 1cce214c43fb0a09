"""A dim, drifting screen that shows a picture to the camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from hqgen.simulation.camera import Sensor, simulate
from hqgen.simulation.motion import Motion, moving_picture
from hqgen.spikes.packed import PackedSpikes

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Screen:
    """How a picture is shown: light in [0, 1], lengths as shares of the frame.

    As U-CALTECH's helicopter; light is (rate - 0.0037) / 0.06, with the numbers of the sensor `low`.

    Attributes:
        size: longer side of the picture.
        surround: light of the surroundings of the screen.
        black: light of a black pixel of the screen.
        white: light of a white one.
        offset: how far its middle may be from the frame's, each way.
        tilt: largest angle that it is turned by in degrees, each way.
        drift: largest motion in pixels per frame; the smallest is half of that.
        turn: largest turn in degrees per frame, each way.
    """

    size: float = 0.87
    surround: float = 0.22
    black: float = 0.30
    white: float = 0.95
    offset: float = 0.02
    tilt: float = 2.0
    drift: float = 0.045
    turn: float = 0.003


SCREEN = Screen()

_HOLD = 4
"""The scene is drawn once for so many frames: it moves by less than a fifth of a pixel in them."""


def film(
    picture: Floats, geometry: tuple[int, int], frames: int, sensor: Sensor, *, seed: Sequence[int]
) -> PackedSpikes:
    """Show a picture on a drifting screen and film it.

    Args:
        picture: float32 (h, w), brightness in [0, 1].
        geometry: (H, W) of the recording.
        frames: T.
        sensor: what films it.
        seed: of place, motion, pixels and noise.
    """
    rng = np.random.default_rng([*seed, 1])
    direction, speed = rng.uniform(0, 2 * np.pi), SCREEN.drift * rng.uniform(0.5, 1)
    motion = Motion(
        right=_HOLD * speed * np.cos(direction),
        down=_HOLD * speed * np.sin(direction),
        rotation=_HOLD * SCREEN.turn * rng.uniform(-1, 1),
    )
    shown = moving_picture(_shown(picture, geometry, rng), -(-frames // _HOLD), *geometry, motion)
    scene = (light for light in shown for _ in range(_HOLD))
    return simulate(islice(scene, frames), sensor, seed=[*seed, 2])


def _shown(picture: Floats, geometry: tuple[int, int], rng: np.random.Generator) -> Floats:
    """The light of the screen with its surround: float32 (H, W) in [0, 1]."""
    from PIL import Image

    height, width = geometry
    scale = SCREEN.size * min(height / picture.shape[0], width / picture.shape[1])
    size = tuple(max(1, round(scale * side)) for side in picture.shape[::-1])
    light = Image.fromarray(SCREEN.black + (SCREEN.white - SCREEN.black) * picture)
    middle = [
        round((frame - side) / 2 + frame * SCREEN.offset * rng.uniform(-1, 1))
        for frame, side in zip((width, height), size, strict=True)
    ]
    scene = Image.new("F", (width, height), SCREEN.surround)
    scene.paste(light.resize(size, Image.Resampling.BICUBIC), (middle[0], middle[1]))
    angle = SCREEN.tilt * rng.uniform(-1, 1)
    turned = scene.rotate(angle, Image.Resampling.BICUBIC, fillcolor=SCREEN.surround)
    return np.clip(np.asarray(turned, np.float32), 0, 1)
