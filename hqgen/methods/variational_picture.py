"""The picture of `variational`: the light at one instant, averaged along its motion, and sharpened."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hqgen.compiled import compiled
from hqgen.methods.variational_links import Floats, velocity

WIDTH = 2.5
"""Standard deviation, steps, of the time over which light is averaged along its motion."""
TENSION = -0.75
"""Slope of the cubic one pixel away: Keys (IEEE TASSP 1981) prefers -1/2, which blurs more (0.1 dB)."""


def picture_at(light: Floats, time: float) -> Floats:
    """The light at one instant (H, W): a mean over a few steps, each moved along the motion to that instant.

    Least total variation leaves errors that differ from step to step, and the mean is without most of them.
    The instant may be between steps, or a little outside of them.

    Args:
        light: (H, T, W), spikes per step.
        time: the instant in steps; step 0 is at 0.
    """
    steps = np.arange(light.shape[1])
    weights = np.exp(-0.5 * ((steps - time) / WIDTH) ** 2)
    near = np.abs(steps - time) <= 2 * WIDTH
    picture = np.zeros((light.shape[0], light.shape[2]), np.float32)
    vx, vy = velocity(light, time)
    for step in steps[near]:
        share = weights[step] / weights[near].sum()
        _add_moved(light[:, step], vx, vy, np.float32(step - time), share, picture)
    return picture


def sharpened(image: Floats, deviation: float) -> Floats:
    """Undo a small Gaussian blur by one step of Van Cittert: twice the image less the blurred image.

    Args:
        image: (H, W).
        deviation: standard deviation of the blur, pixels; 0 for none.
    """
    if deviation == 0:
        return image
    side = np.float32(np.exp(-0.5 / deviation**2))
    blurred: NDArray[np.floating] = image
    for axis in (0, 1):
        padded = np.pad(blurred, [(int(axis == 0),) * 2, (int(axis == 1),) * 2], mode="edge")
        low, high = (np.take(padded, range(start, start + image.shape[axis]), axis) for start in (0, 2))
        blurred = (blurred + side * (low + high)) / (1 + 2 * side)
    return np.asarray(2 * image - blurred, np.float32)


@compiled
def _add_moved(
    light: Floats, vx: Floats, vy: Floats, time: np.float32, share: np.float32, picture: Floats
) -> None:
    """Add a share of the light (H, W) that is `time` steps later than the picture, moved to its instant."""
    height, width = light.shape
    across, down = np.empty(4, np.float32), np.empty(4, np.float32)
    for y in range(height):
        for x in range(width):
            column = min(max(x + vx[y, x] * time, np.float32(0)), np.float32(width - 1))
            row = min(max(y + vy[y, x] * time, np.float32(0)), np.float32(height - 1))
            left, top = int(column), int(row)
            _cubic(column - np.float32(left), across)
            _cubic(row - np.float32(top), down)
            value = np.float32(0)
            for j in range(4):
                line = light[min(max(top + j - 1, 0), height - 1)]
                inner = np.float32(0)
                for i in range(4):
                    inner += across[i] * line[min(max(left + i - 1, 0), width - 1)]
                value += down[j] * inner
            picture[y, x] += share * value


@compiled
def _cubic(place: np.float32, weights: Floats) -> None:
    """Weights (4,) of the pixels at -1, 0, 1 and 2 for a value at `place` in [0, 1) (Keys 1981)."""
    a = np.float32(TENSION)
    one = np.float32(1)
    back = one - place
    weights[0] = a * place * back * back
    weights[1] = ((a + 2) * place - (a + 3)) * place * place + one
    weights[2] = ((a + 2) * back - (a + 3)) * back * back + one
    weights[3] = a * back * place * place
