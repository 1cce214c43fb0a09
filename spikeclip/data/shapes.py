"""Drawn shapes: the pictures of the demo, of which there are as many as one likes and nobody owns them."""

from __future__ import annotations

from collections.abc import Callable
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_SIDE = 128

# Where each shape is, x to the right and y down, both from -1 to 1.
_INSIDE: dict[str, Callable[[Floats, Floats], NDArray[np.bool_]]] = {
    "disc": lambda x, y: np.hypot(x, y) < 0.8,
    "ring": lambda x, y: abs(np.hypot(x, y) - 0.65) < 0.2,
    "square": lambda x, y: np.maximum(abs(x), abs(y)) < 0.7,
    "triangle": lambda x, y: (y < 0.6) & (y > 2 * abs(x) - 0.8),
    "cross": lambda x, y: (np.minimum(abs(x), abs(y)) < 0.22) & (np.maximum(abs(x), abs(y)) < 0.9),
    "star": lambda x, y: np.hypot(x, y) < 0.55 + 0.35 * np.cos(5 * np.arctan2(y, x)),
    "stripes": lambda x, y: (np.sin(10 * x) > 0) & (np.maximum(abs(x), abs(y)) < 0.9),
    "checkerboard": lambda x, y: (np.sin(8 * x) * np.sin(8 * y) > 0) & (np.maximum(abs(x), abs(y)) < 0.9),
}

SHAPES = tuple(_INSIDE)
"""Their names."""


def draw(shape: str, key: str) -> Floats:
    """Draw a shape of random size, place, turn and brightness before a gradient.

    Args:
        shape: one of `SHAPES`.
        key: what is random depends on it alone.

    Returns:
        float32 (128, 128), brightness in [0, 1].
    """
    rng = np.random.default_rng([crc32(key.encode())])
    y, x = np.mgrid[-1 : 1 : _SIDE * 1j, -1 : 1 : _SIDE * 1j]
    angle, size = rng.uniform(-0.4, 0.4), rng.uniform(0.6, 0.85)
    u, v = x - rng.uniform(-0.1, 0.1), y - rng.uniform(-0.1, 0.1)
    inside = _INSIDE[shape](
        (np.cos(angle) * u + np.sin(angle) * v) / size, (np.cos(angle) * v - np.sin(angle) * u) / size
    )
    slope = rng.uniform(-0.15, 0.15, 2)
    dark, bright = rng.uniform(0.15, 0.3), rng.uniform(0.7, 0.85)
    shapes = np.where(inside ^ (rng.random() < 0.5), bright, dark)
    picture: Floats = np.clip(shapes + slope[0] * x + slope[1] * y, 0, 1).astype(np.float32)
    return picture
