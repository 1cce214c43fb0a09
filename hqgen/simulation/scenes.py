"""Moving scenes made of still pictures, and the spikes that a camera looking at them would fire.

A scene is one picture that moves behind the patch. Some scenes have a second one in front of it, which moves
differently and is seen through a mask: parallax and occlusion. Every frame is rendered at its own time and
integrated to spikes (V += rate; fire at V >= 1; V -= 1), on some scenes with the deviations of a real sensor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from pydantic import AfterValidator, Field

from hqgen.compiled import compiled
from hqgen.config import Section
from hqgen.simulation.pixels import fire_scene
from hqgen.spikes.packed import mirrored

FRAMES = 41
CENTRE = 20
OVERSAMPLING = 2
"""Texture pixels per patch pixel: the blur of bilinear sampling stays below the scale of the patch."""
MARGIN = 16
"""Patch pixels of picture around the patch, for the motion; beyond them the border is repeated."""

Floats = NDArray[np.float32]


class SceneBatch(NamedTuple):
    """Simulated training data."""

    spikes: NDArray[np.uint8]
    """(B, 41, P, P), values 0 and 1."""
    rate: Floats
    """(B, P, P): noise-free firing rate, spikes per frame, `Scenes.offset` frames after the centre frame."""
    white: Floats
    """(B,): firing rate of white in each scene, spikes per frame."""


@dataclass(frozen=True)
class SceneMaker:
    """Draws batches of scenes; batch `index` of `seed` is always the same.

    Args:
        pictures: 8-bit gray.
        scenes: what is drawn.
        seed: of the whole series.
    """

    pictures: list[Image.Image]
    scenes: Scenes
    seed: int

    def batch(self, index: int, size: int, patch: int) -> SceneBatch:
        """Simulate `size` scenes of `patch` x `patch` pixels."""
        rng = np.random.default_rng([self.seed, index])
        spikes = np.empty((size, FRAMES, patch, patch), np.uint8)
        rate = np.empty((size, patch, patch), np.float32)
        white = np.array([_white(rng, self.scenes) for _ in range(size)], np.float32)
        for item in range(size):
            scene = self._brightness(rng, patch)
            scene *= white[item]
            frames, rate[item] = scene[:FRAMES], scene[FRAMES]
            soften(frames, _side_weight(rng.uniform(*self.scenes.optics)))
            fire_scene(*_sensor(rng, frames, self.scenes.sensor), spikes[item])
            if self.scenes.ends and rng.random() < self.scenes.ends:
                spikes[item] = spikes[item][_near_an_end(rng)]
        return SceneBatch(spikes, rate, white)

    def _brightness(self, rng: np.random.Generator, patch: int) -> Floats:
        """Render one scene, float32 (42, P, P) in [0, 1]: its frames, then the target."""
        scenes = self.scenes
        back = self._texture(rng, patch)
        layered = rng.random() < scenes.layered
        fore = self._texture(rng, patch) if layered else back
        times = np.append(np.arange(FRAMES) - CENTRE, scenes.offset) / (FRAMES - 1)
        poses = np.stack([_path(rng, scenes.motion, layer, times) for layer in (back, fore)])
        frames = np.empty((len(times), patch, patch), np.float32)
        render(back, fore, poses, _mask(rng, patch) if layered else NO_MASK, frames)
        return frames

    def _texture(self, rng: np.random.Generator, patch: int) -> Floats:
        """Cut a piece of a random picture at a random scale, blur and tone; brightness in [0, 1]."""
        picture = self.pictures[rng.integers(len(self.pictures))]
        scale = np.exp(rng.uniform(*np.log(self.scenes.scale)))
        wanted = (patch + 2 * MARGIN) * scale
        width, height = (min(wanted, side) for side in picture.size)
        left, top = (
            rng.uniform(0, side - size) for side, size in zip(picture.size, (width, height), strict=True)
        )
        size = (round(width / scale * OVERSAMPLING), round(height / scale * OVERSAMPLING))
        piece = picture.resize(size, Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))
        blur = rng.uniform(-self.scenes.blur, self.scenes.blur) * OVERSAMPLING
        if blur > 0:
            piece = piece.filter(ImageFilter.GaussianBlur(blur))
        if rng.random() < 0.5:
            piece = piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if rng.random() < self.scenes.drawn:
            piece = draw_shapes(rng, piece)
        return _tone(rng, np.asarray(piece, np.float32) / np.float32(255))


def draw_shapes(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    """Draw what photographs of this size have little of: thin lines, gratings and sharp-edged shapes.

    Args:
        rng: decides what is drawn.
        picture: 8-bit gray; it is changed.
    """
    pen = ImageDraw.Draw(picture)
    size = np.array(picture.size)
    for _ in range(rng.integers(1, 12)):
        grey, width = int(rng.integers(256)), int(rng.integers(1, 7))
        points = [tuple(point) for point in (rng.random((3, 2)) * size).tolist()]
        kind = rng.integers(4)
        if kind == 0:
            pen.line(points, grey, width)
        elif kind == 1:
            pen.polygon(points, grey)
        elif kind == 2:
            radius = rng.uniform(2, size.min() / 4)
            (x, y) = points[0]
            outline = grey if rng.random() < 0.5 else None
            box = (x - radius, y - radius, x + radius, y + radius)
            pen.ellipse(box, None if outline is not None else grey, outline, width)
        else:
            _draw_grating(rng, pen, size, grey, width)
    return picture.filter(ImageFilter.GaussianBlur(0.35 * OVERSAMPLING))  # hard edges would alias


def _draw_grating(
    rng: np.random.Generator, pen: ImageDraw.ImageDraw, size: NDArray[np.int_], grey: int, width: int
) -> None:
    """Parallel lines, like a fence or blinds, in one place of the picture."""
    along = _direction(rng)
    across = np.array([-along[1], along[0]]) * width * rng.uniform(1.5, 5)
    start, length = rng.random(2) * size, along * rng.uniform(0.1, 0.8) * size.min()
    for number in range(rng.integers(3, 16)):
        left = start + number * across
        pen.line([tuple(left.tolist()), tuple((left + length).tolist())], grey, width)


def _tone(rng: np.random.Generator, brightness: Floats) -> Floats:
    """Random gamma and contrast, so that every level meets every structure."""
    dark, bright = rng.uniform(0, 0.15), rng.uniform(0.6, 1.0)
    toned = dark + (bright - dark) * brightness ** np.float32(np.exp(rng.uniform(-0.5, 0.5)))
    return toned.astype(np.float32)


def _near_an_end(rng: np.random.Generator) -> NDArray[np.int64]:
    """Frames of a window that reaches over an end of its recording, where a build mirrors them in time."""
    there = CENTRE + 1 + int(rng.integers(CENTRE))
    frames = mirrored(0, FRAMES, there)
    return frames if rng.random() < 0.5 else FRAMES - 1 - frames[::-1]


def _white(rng: np.random.Generator, scenes: Scenes) -> float:
    """Firing rate of white; each factor of light is as frequent as any other."""
    low, high = scenes.dim_rates if rng.random() < scenes.dim else scenes.rates
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _side_weight(deviation: float) -> float:
    """What a pixel gets from each neighbour in a Gaussian blur of this deviation, below one pixel."""
    side = math.exp(-0.5 / deviation**2) if deviation > 0 else 0.0
    return side / (1 + 2 * side)


def _path(
    rng: np.random.Generator, motion: MotionLimits, texture: Floats, time: NDArray[np.float64]
) -> Floats:
    """The affine map from patch to texture pixels at each time, float32 (T, 6); a window is 1 long.

    Row t is (a, b, c, d, e, f): texture column a x + b y + c, texture row d x + e y + f, where x and y count
    from the middle of the patch.
    """
    # Squared: slow scenes are the common case, and the fast ones must not take all the capacity.
    way = motion.shift * rng.random() ** 2 * _direction(rng)
    bend = motion.bend * rng.random() * way[::-1] * rng.choice([-1, 1])
    shift = np.outer(time, way) + np.outer(time**2, bend)
    angle = np.deg2rad(motion.rotation) * rng.uniform(-1, 1) * time
    zoom = OVERSAMPLING * np.exp(motion.zoom * rng.uniform(-1, 1) * time)
    cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
    height, width = texture.shape
    column = cos * shift[:, 0] - sin * shift[:, 1] + width / 2
    row = sin * shift[:, 0] + cos * shift[:, 1] + height / 2
    return np.stack([cos, -sin, column, sin, cos, row], axis=1).astype(np.float32)


def _direction(rng: np.random.Generator) -> NDArray[np.float64]:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])


NO_MASK = np.array([0, 0, 0, 0, 0, -1], np.float32)


def _mask(rng: np.random.Generator, patch: int) -> Floats:
    """A disc, a bar or a half-plane in front of the picture, as (x, y, nx, ny, isotropic, radius).

    A pixel of the front layer belongs to it where its distance from (x, y), in the direction (nx, ny) or, if
    isotropic, in the plane, is below the radius. A half-plane is a bar that reaches far.
    """
    x, y = rng.uniform(-patch / 2, patch / 2, 2)
    nx, ny = _direction(rng)
    kind = rng.integers(3)
    if kind == 0:
        return np.array([x, y, nx, ny, 1, rng.uniform(4, patch / 2)], np.float32)
    if kind == 1:
        return np.array([x, y, nx, ny, 0, rng.uniform(0.5, 6)], np.float32)
    far = 4 * patch
    return np.array([x + far * nx, y + far * ny, nx, ny, 0, far], np.float32)


def _sensor(rng: np.random.Generator, frames: Floats, sensor: SensorLimits) -> tuple[Floats, Floats, Floats]:
    """Charge of every frame and pixel, threshold jitter, and the charge at the start."""
    count, patch, _ = frames.shape
    start = rng.random((patch, patch), np.float32)
    if rng.random() >= sensor.noisy:
        return frames, np.zeros((1, 1, 1), np.float32), start
    gain = 1 + rng.uniform(0, sensor.gain) * rng.standard_normal((patch, patch), np.float32)
    dark = rng.uniform(0, sensor.dark) * rng.lognormal(0, 0.5, (patch, patch))
    flicker = 1 + rng.uniform(0, sensor.flicker) * (-1.0) ** (np.arange(count) + rng.integers(2))
    hot = rng.random((patch, patch)) < sensor.hot
    charge = frames * np.maximum(gain, 0) * flicker[:, None, None] + dark
    charge[:, hot] = rng.uniform(0.3, 1, np.count_nonzero(hot))
    jitter = rng.uniform(0, sensor.jitter) * rng.standard_normal((count, patch, patch), np.float32)
    return charge.astype(np.float32), jitter.astype(np.float32), start


@compiled
def soften(frames: Floats, side: float) -> None:
    """What the lens and the area of the pixels leave of the scene: a blur along rows and columns, in place.

    Args:
        frames: (T, H, W), H and W at least 2; mirrored at the borders.
        side: what a pixel gets from each of its two neighbours along an axis, in [0, 1/3].
    """
    count, height, width = frames.shape
    bottom, right = height - 1, width - 1
    middle, outer = np.float32(1 - 2 * side), np.float32(side)
    row = np.empty((height, width), np.float32)
    for t in range(count):
        for y in range(height):
            for x in range(width):
                neighbours = frames[t, y, abs(x - 1)] + frames[t, y, right - abs(right - x - 1)]
                row[y, x] = middle * frames[t, y, x] + outer * neighbours
        for y in range(height):
            for x in range(width):
                neighbours = row[abs(y - 1), x] + row[bottom - abs(bottom - y - 1), x]
                frames[t, y, x] = middle * row[y, x] + outer * neighbours


@compiled
def sample(texture: Floats, column: np.float32, row: np.float32) -> float:
    """Brightness of the texture between its pixels; beyond its border it shows the border."""
    height, width = texture.shape
    x = np.float32(min(max(column, np.float32(0)), np.float32(width - 1)))
    y = np.float32(min(max(row, np.float32(0)), np.float32(height - 1)))
    left, top = min(int(x), width - 2), min(int(y), height - 2)
    fx, fy = x - np.float32(left), y - np.float32(top)
    upper = texture[top, left] + fx * (texture[top, left + 1] - texture[top, left])
    lower = texture[top + 1, left] + fx * (texture[top + 1, left + 1] - texture[top + 1, left])
    brightness: float = upper + fy * (lower - upper)
    return brightness


@compiled
def coverage(x: float, y: float, mask: Floats) -> float:
    """How much of the pixel at (x, y) the front layer covers, in [0, 1]."""
    dx, dy = x - mask[0], y - mask[1]
    distance = np.sqrt(dx * dx + dy * dy) if mask[4] > 0 else abs(dx * mask[2] + dy * mask[3])
    covered: float = min(max(mask[5] - distance + np.float32(0.5), np.float32(0)), np.float32(1))
    return covered


@compiled
def render(back: Floats, fore: Floats, poses: Floats, mask: Floats, frames: Floats) -> None:
    """Draw the two layers into every frame.

    Args:
        back: (h, w) texture behind.
        fore: (h', w') texture in front.
        poses: (2, T, 6): the affine map of each layer in each frame, as `_path` makes it.
        mask: (6,): where the front layer is, in patch pixels of its own moving frame.
        frames: (T, P, P), written.
    """
    count, height, width = frames.shape
    half = np.float32(1 / OVERSAMPLING)
    middle_x, middle_y = np.float32(fore.shape[1] / 2), np.float32(fore.shape[0] / 2)
    for t in range(count):
        b, f = poses[0, t], poses[1, t]
        for row in range(height):
            y = np.float32(row) - np.float32((height - 1) / 2)
            line = frames[t, row]
            for column in range(width):
                x = np.float32(column) - np.float32((width - 1) / 2)
                line[column] = sample(back, b[0] * x + b[1] * y + b[2], b[3] * x + b[4] * y + b[5])
            if mask[5] <= 0:
                continue
            for column in range(width):
                x = np.float32(column) - np.float32((width - 1) / 2)
                u, v = f[0] * x + f[1] * y + f[2], f[3] * x + f[4] * y + f[5]
                alpha = coverage((u - middle_x) * half, (v - middle_y) * half, mask)
                if alpha > 0:
                    line[column] += np.float32(alpha) * (sample(fore, u, v) - line[column])


def _ascending(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] > span[1]:
        raise ValueError(f"the smaller number comes first, not {span[0]:g} before {span[1]:g}")
    return span


Share = Annotated[float, Field(ge=0, le=1)]
Size = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(gt=0, le=1)]
Scale = Annotated[float, Field(gt=0)]
Sizes = Annotated[tuple[Size, Size], AfterValidator(_ascending)]
Rates = Annotated[tuple[Rate, Rate], AfterValidator(_ascending)]
Scales = Annotated[tuple[Scale, Scale], AfterValidator(_ascending)]


class MotionLimits(Section):
    """How far a layer moves over the 41 frames; each value is the largest that is drawn."""

    shift: Size = 24.0
    """Pixels; squares of uniform numbers are drawn, so half of the scenes move less than a quarter of it."""
    bend: Size = 0.5
    """Sideways acceleration, as a part of the shift."""
    rotation: Size = 6.0
    """Degrees."""
    zoom: Size = 0.08
    """Logarithm of the scale."""


class SensorLimits(Section):
    """Deviations from ideal integrate-and-fire on the noisy scenes; each is the largest that is drawn."""

    noisy: Share = 0.3
    """Share of scenes that have them at all."""
    gain: Size = 0.05
    """Standard deviation of the pixels' response around 1 (field: 0.03 to 0.06)."""
    dark: Size = 0.01
    """Dark current, spikes per frame (field: 0.017 in a dark bezel)."""
    jitter: Size = 0.04
    """Standard deviation of the noise per frame, in thresholds (field: intervals vary by a frame at 0.03)."""
    flicker: Size = 0.1
    """Part by which even and odd frames differ."""
    hot: Share = 0.0008
    """Share of pixels that fire whatever they see."""


class Scenes(Section):
    """What is drawn of the pictures."""

    layered: Share = 0.5
    """Share of scenes with a second layer in front."""
    scale: Scales = (0.7, 2.0)
    """Picture pixels per patch pixel: below 1 a picture is enlarged, which makes it soft."""
    drawn: Share = 0.3
    """Share of the textures on which lines, gratings and shapes are drawn."""
    blur: Size = 0.8
    """Largest Gaussian blur, pixels; half of the textures have none."""
    rates: Rates = (0.4, 0.95)
    """Firing rate of white."""
    dim: Share = 0.25
    """Share of scenes that take `dim_rates` instead."""
    dim_rates: Rates = (0.01, 0.4)
    """Firing rate of white in dim scenes."""
    offset: Size = 0.33
    """Frames from the centre frame to the target; in Spike-REDS it was measured to be 0.27 to 0.4."""
    ends: Share = 0.0
    """Share of scenes whose window reaches over an end of the recording: frames beyond it are mirrored."""
    optics: Sizes = (0.4, 0.6)
    """Standard deviation, pixels, of the blur between the scene, which is the target, and the sensor."""
    motion: MotionLimits = MotionLimits()
    sensor: SensorLimits = SensorLimits()
