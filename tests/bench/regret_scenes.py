"""Simulated scenes with truth, for the study of rules: what is drawn, and how a scene is made.

Nothing of the recordings that the study reports on is used. A third of the scenes show pieces of sharp
photographs (scikit-image), a third mosaics of small pictures at their own size (Caltech-101), and a third
small pictures enlarged, as soft as a scene out of focus.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hqgen.pictures import picture_files
from hqgen.simulation.camera import preset, simulate
from hqgen.simulation.motion import Motion, moving_picture
from hqgen.spikes.packed import PackedSpikes, Window

Floats = NDArray[np.float32]

HEIGHT, WIDTH = 192, 384
"""Eight blocks of NIQE, as many as a frame of 250x400 has."""

PHOTOGRAPHS = (
    *("astronaut", "brick", "camera", "chelsea", "coffee", "coins"),
    *("grass", "gravel", "moon", "motorcycle_left", "motorcycle_right", "rocket"),
)

MOTIONS = ("static", "slow", "fast", "rotating", "zooming", "layered")


class Light(NamedTuple):
    """How many of the scenes have it, and the spikes per frame that white fires in it: from, to."""

    share: float
    white: tuple[float, float]


LIGHTS = {
    "normal": Light(0.45, (0.4, 0.8)),
    "dusk": Light(0.15, (0.1, 0.4)),
    "low": Light(0.4, (0.02, 0.1)),
}
"""The helicopter of U-CALTECH fires 0.03 spikes per frame on average."""


@dataclass(frozen=True)
class Scene:
    """A simulated recording.

    Attributes:
        spikes: the recording.
        centre: its key frame.
        truth: float32 (H, W), light at the key frame in [0, 1].
        motion: one of `MOTIONS`.
        light: one of `LIGHTS`.
    """

    spikes: PackedSpikes
    centre: int
    truth: Floats
    motion: str
    light: str

    def window(self, before: int, after: int) -> Window:
        """The frames around the key frame, mirrored in time where the recording ends."""
        last = len(self.spikes) - 1
        times = np.arange(self.centre - before, self.centre + after + 1) % (2 * last or 1)
        data = self.spikes.data[np.minimum(times, 2 * last - times)]
        return Window(PackedSpikes(data, *self.spikes.shape[1:], self.spikes.bottom_up), before)


class Pictures(NamedTuple):
    """What scenes are made of, 8-bit gray."""

    photographs: list[Image.Image]
    small: list[Image.Image]


@cache
def load(data_root: Path) -> Pictures:
    """Load all pictures."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    found = [next(folder.glob(f"{name}.*")) for name in PHOTOGRAPHS]
    small = picture_files(data_root / "caltech101" / "train.zip")[::3]
    return Pictures([Image.open(file).convert("L") for file in found], [picture.gray() for picture in small])


def make(index: int, data_root: Path) -> Scene:
    """Simulate scene `index`; its motion is `MOTIONS[index % 6]`, the rest is drawn."""
    rng = np.random.default_rng([2024, index])
    motion = MOTIONS[index % len(MOTIONS)]
    light = str(rng.choice(list(LIGHTS), p=[light.share for light in LIGHTS.values()]))
    short = rng.random() < 0.3
    frames = 41 if short else 101 if motion == "fast" else 201
    # The middle frame shows the picture at rest; the key frame of a short recording is near one of its ends.
    centre = int(rng.choice([6, 13, 20, 27, 34])) if short else frames // 2
    pictures = load(data_root)
    views = [_view(rng, pictures, frames, motion) for _ in range(1 + (motion == "layered"))]
    scene = _layers(rng, *views, frames=frames) if motion == "layered" else views[0][0]
    sensor = replace(preset("normal"), sensitivity=_sensitivity(rng, light))
    blur = float(rng.uniform(0.2, 0.6))
    kept: list[Floats] = []
    spikes = simulate(_watched(scene, centre, blur, kept), sensor, seed=[7, index])
    return Scene(spikes, centre, kept[0], motion, light)


def _sensitivity(rng: np.random.Generator, light: str) -> float:
    """Spikes per frame that white fires."""
    low, high = LIGHTS[light].white
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _watched(scene: Iterable[Floats], centre: int, blur: float, kept: list[Floats]) -> Iterator[Floats]:
    """What reaches the sensor: the scene through a lens; the key frame is kept as it was before the lens."""
    side = np.exp(-0.5 / blur**2)
    side = np.float32(side / (1 + 2 * side))
    for index, frame in enumerate(scene):
        if index == centre:
            kept.append(frame)
        padded = np.pad(frame, 1, mode="reflect")
        rows = (1 - 2 * side) * padded[1:-1] + side * (padded[:-2] + padded[2:])
        softened = (1 - 2 * side) * rows[:, 1:-1] + side * (rows[:, :-2] + rows[:, 2:])
        yield np.clip(softened, 0, 1).astype(np.float32)


View = tuple[Iterable[Floats], Motion]


def _view(rng: np.random.Generator, pictures: Pictures, frames: int, motion: str) -> View:
    way = _motion(rng, motion)
    return moving_picture(_picture(rng, pictures), frames, HEIGHT, WIDTH, way), way


def _motion(rng: np.random.Generator, kind: str) -> Motion:
    angle = rng.uniform(0, 2 * np.pi)
    right, down = float(np.cos(angle)), float(np.sin(angle))
    sign = float(rng.choice([-1, 1]))
    if kind == "static":
        return Motion()
    if kind == "rotating":
        return Motion(rotation=sign * float(rng.uniform(0.03, 0.2)))
    if kind == "zooming":
        return Motion(zoom=sign * float(rng.uniform(0.0005, 0.003)))
    low, high = {"slow": (0.02, 0.15), "fast": (0.2, 0.9), "layered": (0.0, 0.4)}[kind]
    speed = float(rng.uniform(low, high))
    return Motion(right=speed * right, down=speed * down, rotation=float(rng.normal(0, 0.01)))


def _picture(rng: np.random.Generator, pictures: Pictures) -> Floats:
    kind = rng.integers(3)
    if kind == 0:
        image = pictures.photographs[rng.integers(len(pictures.photographs))]
    elif kind == 1:
        image = _mosaic(rng, pictures.small)
    else:
        image = pictures.small[rng.integers(len(pictures.small))]
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    brightness = np.asarray(image, np.float32) / np.float32(255)
    dark, bright = rng.uniform(0, 0.1), rng.uniform(0.7, 1.0)
    toned = dark + (bright - dark) * brightness ** np.exp(rng.uniform(-0.4, 0.4))
    return np.asarray(toned, np.float32)


def _mosaic(rng: np.random.Generator, small: list[Image.Image]) -> Image.Image:
    """Four rows of five small pictures, 560x900 pixels."""
    whole = Image.new("L", (900, 560))
    for row in range(4):
        for column in range(5):
            tile = small[rng.integers(len(small))].resize((180, 140), Image.Resampling.LANCZOS)
            whole.paste(tile, (column * 180, row * 140))
    return whole


def _layers(rng: np.random.Generator, back: View, fore: View, *, frames: int) -> Iterator[Floats]:
    """One view in front of another, seen through holes that move with it: discs and bars."""
    y, x = np.mgrid[-1:1:400j, -1:1:800j]
    mask = np.zeros((400, 800), bool)
    for _ in range(rng.integers(2, 6)):
        u, v = rng.uniform(-0.7, 0.7, 2)
        radius = rng.uniform(0.05, 0.3)
        if rng.random() < 0.5:
            mask |= (2 * (x - u)) ** 2 + (y - v) ** 2 < radius**2
        else:
            nx, ny = np.cos(radius * 40), np.sin(radius * 40)
            mask |= np.abs(2 * (x - u) * nx + (y - v) * ny) < radius / 5
    cover = moving_picture(mask.astype(np.float32), frames, HEIGHT, WIDTH, fore[1])
    for behind, front, share in zip(back[0], fore[0], cover, strict=True):
        yield behind + share * (front - behind)
