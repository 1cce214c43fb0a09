"""Simulated recordings of known motion."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from hqgen.simulation.camera import Sensor, simulate
from hqgen.simulation.motion import Motion, moving_picture
from hqgen.spikes.packed import PackedSpikes, Window

FRAMES = 41
HEIGHT, WIDTH = 80, 112
RATE = 0.6
"""Spikes per frame of white."""

Floats = NDArray[np.float32]


@cache
def texture(seed: int = 0) -> Floats:
    """A picture with structure of many sizes, (160, 224), in [0.1, 0.9]."""
    rng = np.random.default_rng(seed)
    layers = [gaussian_filter(rng.standard_normal((160, 224)), size) * size for size in (1.5, 3, 6, 12)]
    picture = np.sum(layers, axis=0)
    picture = (picture - picture.min()) / (picture.max() - picture.min())
    toned: Floats = (0.1 + 0.8 * picture).astype(np.float32)
    return toned


def scene(motion: Motion, seed: int = 0, frames: int = FRAMES) -> list[Floats]:
    """Frames (HEIGHT, WIDTH) of the texture in motion; the middle one shows it at rest."""
    return list(moving_picture(texture(seed), frames, HEIGHT, WIDTH, motion))


def filmed(frames: list[Floats], rate: float = RATE) -> PackedSpikes:
    return simulate(frames, Sensor(sensitivity=rate), seed=1)


def film(frames: list[Floats], rate: float = RATE) -> Window:
    """What an ideal camera records, around the middle frame."""
    return Window(filmed(frames, rate), len(frames) // 2)


def expected_velocity(motion: Motion) -> Floats:
    """Velocity of `scene` at its middle frame: (2, HEIGHT, WIDTH), pixels per frame."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    y, x = y - (HEIGHT - 1) / 2, x - (WIDTH - 1) / 2
    turn, growth = np.deg2rad(motion.rotation), np.log1p(motion.zoom)
    return np.stack([motion.right + growth * x - turn * y, motion.down + growth * y + turn * x])


def psnr(rate: Floats, truth: Floats, border: int = 6) -> float:
    """Of firing rates, against brightness in [0, 1], without the border."""
    error = np.clip(rate / RATE, 0, 1) - truth
    return float(-10 * np.log10(np.mean(error[border:-border, border:-border] ** 2)))
