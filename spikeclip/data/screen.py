"""A dim, drifting screen that shows a picture to the camera."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hqgen.simulation.camera import Sensor, simulate
from hqgen.simulation.motion import Motion, moving_picture
from hqgen.spikes.packed import PackedSpikes
from spikeclip.data.glass import Glass, behind, shade

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Screen:
    """How a picture is shown: light in [0, 1], lengths as shares of the frame.

    The defaults are near U-CALTECH's helicopter, where light is (rate - 0.0037) / 0.06, with the numbers of
    the sensor `low`.

    Attributes:
        size: longer side of the picture.
        surround: light of the surroundings of the screen.
        black: light of a black pixel of the screen.
        white: light of a white one.
        offset: how far its middle may be from the frame's, each way.
        tilt: largest angle that it is turned by in degrees, each way.
        drift: largest motion in pixels per frame; the smallest is half of that.
        turn: largest turn in degrees per frame, each way.
        glass: uneven light, reflections and the lens; None leaves all of it out.
    """

    size: float = 0.87
    surround: float = 0.22
    black: float = 0.30
    white: float = 0.95
    offset: float = 0.02
    tilt: float = 2.0
    drift: float = 0.045
    turn: float = 0.003
    glass: Glass | None = None

    def identity(self) -> dict[str, Any]:
        """What decides the light, as plain JSON values; without glass, the same as before there was any."""
        return {name: value for name, value in asdict(self).items() if value is not None}


SCREENS: Mapping[str, Screen] = {
    "plain": Screen(),
    "glass": Screen(size=0.91, surround=0.20, black=0.25, white=0.95, glass=Glass()),
}
"""Screens by name. The levels of `glass` are those of the helicopter for the sensor `uhsr`, whose dark
current is larger: light is (rate - 0.0066) / 0.06. The rate of its surround is 0.0187 in the median. The
darkest and brightest parts of its screen have rates of 0.0214 and 0.063, through a Gaussian of 2 pixels."""


class Film(NamedTuple):
    """A recording of a screen, and what it shows.

    Attributes:
        spikes: the recording.
        truth: float32 (H, W) in [0, 1], the light that reached the sensor at the middle frame.
    """

    spikes: PackedSpikes
    truth: Floats


_HOLD = 4
"""The scene is drawn once for so many frames: it moves by less than a fifth of a pixel in them."""


def film(
    picture: Floats,
    geometry: tuple[int, int],
    frames: int,
    sensor: Sensor,
    screen: Screen,
    *,
    seed: Sequence[int],
) -> Film:
    """Show a picture on a drifting screen and film it.

    Args:
        picture: float32 (h, w), brightness in [0, 1].
        geometry: (H, W) of the recording.
        frames: T.
        sensor: what films it.
        screen: what shows it.
        seed: of place, motion, pixels and noise.
    """
    rng = np.random.default_rng([*seed, 1])
    direction, speed = rng.uniform(0, 2 * np.pi), screen.drift * rng.uniform(0.5, 1)
    motion = Motion(
        right=_HOLD * speed * np.cos(direction),
        down=_HOLD * speed * np.sin(direction),
        rotation=_HOLD * screen.turn * rng.uniform(-1, 1),
    )
    scene, passes = _shown(picture, geometry, screen, rng), np.ones(geometry, np.float32)
    if screen.glass is not None:
        uneven = np.random.default_rng([*seed, 3])
        scene = behind(scene, screen.glass, screen.surround, uneven)
        passes = shade(geometry, screen.glass, uneven)
    views = moving_picture(scene, -(-frames // _HOLD), *geometry, motion)
    light = [view * passes for view in views]
    held = (frame for frame in light for _ in range(_HOLD))
    spikes = simulate(islice(held, frames), sensor, seed=[*seed, 2])
    return Film(spikes, light[frames // 2 // _HOLD])


def _shown(picture: Floats, geometry: tuple[int, int], screen: Screen, rng: np.random.Generator) -> Floats:
    """The light of the screen with its surround: float32 (H, W) in [0, 1]."""
    from PIL import Image

    height, width = geometry
    scale = screen.size * min(height / picture.shape[0], width / picture.shape[1])
    size = tuple(max(1, round(scale * side)) for side in picture.shape[::-1])
    light = Image.fromarray(screen.black + (screen.white - screen.black) * picture)
    middle = [
        round((frame - side) / 2 + frame * screen.offset * rng.uniform(-1, 1))
        for frame, side in zip((width, height), size, strict=True)
    ]
    scene = Image.new("F", (width, height), screen.surround)
    scene.paste(light.resize(size, Image.Resampling.BICUBIC), (middle[0], middle[1]))
    angle = screen.tilt * rng.uniform(-1, 1)
    turned = scene.rotate(angle, Image.Resampling.BICUBIC, fillcolor=screen.surround)
    return np.clip(np.asarray(turned, np.float32), 0, 1)
