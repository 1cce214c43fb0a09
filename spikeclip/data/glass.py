"""What stands between a screen and the sensor: uneven light, reflections on the glass, the lens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Glass:
    """How uneven the light is: light in [0, 1], drawn for each sample up to these numbers.

    The blur and the slope of the stray light are those of U-CALTECH's helicopter: the edge of its screen is
    blurred by 0.8 pixels, and the surround of the screen has rates from 0.0154 to 0.0222. The shading is what
    SpikeNeRF's bright field has beyond the spread of its pixels. Reflections are a guess: the helicopter has
    bright spots beside the screen, but nobody can say which part of its picture is a reflection.

    Attributes:
        blur: standard deviation of the lens's blur in pixels, the same for all samples.
        shading: share of the light that is missing in the corners of the frame.
        slope: by how much stray light differs from its mean at the edges of the frame, as a share.
        lamp: light of the reflection of a lamp, a soft spot; every other sample has one.
        window: light of the reflection of a window, two soft panes; every other sample has one.
    """

    blur: float = 0.7
    shading: float = 0.12
    slope: float = 0.25
    lamp: float = 0.10
    window: float = 0.06


def behind(scene: Floats, glass: Glass, stray: float, rng: np.random.Generator) -> Floats:
    """A scene as the lens sees it behind the glass.

    Args:
        scene: float32 (H, W), light in [0, 1].
        glass: what is added to it.
        stray: mean light of the surroundings that the scene holds already.
        rng: where all that is random comes from.

    Returns:
        float32 (H, W) in [0, 1].
    """
    from scipy.ndimage import gaussian_filter

    x, y = _grid(scene.shape)
    angle, slope = rng.uniform(0, 2 * np.pi), glass.slope * rng.uniform(0, 1)
    light = scene + stray * slope * (np.cos(angle) * x + np.sin(angle) * y)
    light += _lamp(x, y, rng) * glass.lamp + _window(x, y, rng) * glass.window
    blurred: Floats = np.clip(gaussian_filter(light, glass.blur, mode="nearest"), 0, 1).astype(np.float32)
    return blurred


def shade(shape: tuple[int, int], glass: Glass, rng: np.random.Generator) -> Floats:
    """The share of the light that reaches each pixel through the lens, float32 (H, W): less in corners."""
    x, y = _grid(shape)
    passes: Floats = (1 - glass.shading * rng.uniform(0, 1) * (x**2 + y**2) / 2).astype(np.float32)
    return passes


def _grid(shape: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where each pixel is, x to the right and y down, both from -1 to 1."""
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    return x, y


def _lamp(x: NDArray[np.float64], y: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    there, strength, size = rng.random() < 0.5, rng.uniform(0.3, 1), rng.uniform(0.08, 0.25)
    u, v = x - rng.uniform(-1, 1), y - rng.uniform(-1, 1)
    spot: NDArray[np.float64] = there * strength * np.exp(-(u**2 + v**2) / (2 * size**2))
    return spot


def _window(x: NDArray[np.float64], y: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    there, strength, angle = rng.random() < 0.5, rng.uniform(0.3, 1), rng.uniform(-0.25, 0.25)
    x, y = x - rng.uniform(-0.8, 0.8), y - rng.uniform(-0.8, 0.8)
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    wide, high, soft = rng.uniform(0.2, 0.4), rng.uniform(0.25, 0.5), 0.02
    inside = _step((wide - abs(u)) / soft) * _step((high - abs(v)) / soft) * _step((abs(u) - 0.03) / soft)
    return there * strength * inside


def _step(place: NDArray[np.float64]) -> NDArray[np.float64]:
    """A soft edge, from 0 to 1."""
    return 0.5 + 0.5 * np.tanh(place)
