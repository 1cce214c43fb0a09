"""Optical flow from packed bits: one motion per pixel that explains the whole window.

Two pictures made of few spikes each are noisy, and so is a flow between them. Here the window is cut into
short blocks, and one motion is fitted to all of them together: a velocity per pixel, and an acceleration that
changes slowly over the picture. The blocks are moved back along the present motion to the key frame; where
the motion is right, they then agree. At every pixel let M be their mean and S their slope over time. A
correction d of the velocity removes the slope where

    S + grad(M) . d = 0

That is the equation of Lucas and Kanade (IJCAI 1981), with a slope fitted to all blocks instead of the
difference of two. The correction is found for all pixels together: the equation is weighted by its noise,
gathered over a neighbourhood, and joined by a smoothness that gives way at edges of the flow (Bruhn, Weickert
and Schnörr, IJCV 2005, with a robust penalty). The acceleration has the same equation, with the blocks'
curvature instead of their slope.

Both terms are in units of their noise, which is measured on the blocks. So one set of constants serves all
light. Large motions are found first, on pictures of half, a quarter, an eighth of the size and so on.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, median_filter

from hqgen.methods.flow_kernels import enlarge, equations, fit_blocks, relax
from hqgen.spikes.kernels import count_spikes
from hqgen.spikes.packed import PackedSpikes, Window

Floats = NDArray[np.float32]

BLOCK = 5
"""Frames of a block: a spike or two in bright pixels, and little motion."""
SMALLEST = 14
"""Pixels that the short side of the smallest picture has at least."""
STEPS = 3
"""Corrections on each size of the picture."""
SWEEPS = 20
"""Rounds of over-relaxation for each correction."""
LENS = 0.7
"""Standard deviation, pixels, of the blur of the blur that the blocks get on each size."""
GATHER = 1.5
"""Standard deviation, pixels, of the neighbourhood whose equations are solved as one."""


class _Penalty(NamedTuple):
    """How a field changes from one pixel to the next."""

    usual: float
    """Usual change, in the field's own unit."""
    edge: float
    """Change from which on an edge is assumed, which costs less than its size."""


VELOCITY = _Penalty(usual=0.01, edge=0.004)
ACCELERATION = _Penalty(usual=0.0004, edge=0.001)


class Flow(NamedTuple):
    """The motion of what each pixel of the key frame shows.

    What is at pixel (y, x) of the key frame is t frames later at
    x + velocity[0] t + acceleration[0] t² / 2 and y + velocity[1] t + acceleration[1] t² / 2.
    """

    velocity: Floats
    """(2, H, W), pixels per frame: to the right, and down."""
    acceleration: Floats
    """(2, H, W), pixels per frame and frame."""
    confidence: Floats
    """(H, W), in (0, 1]: usual variance of the blocks over theirs along the motion; 1 where they agree."""


def estimate_flow(window: Window) -> Flow:
    """Estimate the motion around the centre frame of `window`.

    Frames that are mirrored at an end of the recording move backwards, so only the others are used. With
    fewer than two blocks of five frames, and where nothing is seen, the motion is 0.
    """
    real = window.real
    blocks, times = _blocks(real.spikes, real.centre)
    levels = [blocks]
    while min(levels[-1].shape[1:]) // 2 >= SMALLEST:
        levels.append(_halved(levels[-1]))
    speed = np.zeros((2, *levels[-1].shape[1:]), np.float32)
    bend = np.zeros_like(speed)
    slope, curvature = _bases(times)
    for level in reversed(levels):
        speed, bend = _enlarged(speed, level.shape[1:]), _enlarged(bend, level.shape[1:])
        pictures = gaussian_filter(level, (0, LENS, LENS))
        for _ in range(STEPS if len(times) > 1 else 0):
            speed = _corrected(speed, VELOCITY, pictures, times, slope, speed, bend)
            if len(times) > 3:
                bend = _corrected(bend, ACCELERATION, pictures, times, curvature, speed, bend)
    return Flow(speed, bend, _confidence(pictures, times, slope, speed, bend))


def _blocks(spikes: PackedSpikes, centre: int) -> tuple[Floats, Floats]:
    """Firing rates (K, H, W) of blocks of about `BLOCK` frames, and their middles from the centre."""
    count = max(1, round(len(spikes) / BLOCK))
    edges = [len(spikes) * index // count for index in range(count + 1)]
    rates = [count_spikes(spikes[start:stop]) / np.float32(stop - start) for start, stop in pairwise(edges)]
    middles = [(start + stop - 1) / 2 - centre for start, stop in pairwise(edges)]
    return np.array(rates, np.float32), np.array(middles, np.float32)


def _bases(times: Floats) -> tuple[Floats, Floats]:
    """What a unit of velocity and of acceleration do over the blocks, each free of the ones before it."""
    slope: Floats = times - times.mean()
    curvature: Floats = times * times / np.float32(2)
    curvature -= curvature.mean() + slope * (curvature @ slope) / max(slope @ slope, np.float32(1e-6))
    return slope, curvature


def _halved(pictures: Floats) -> Floats:
    """Pictures (K, h, w) at half the size, (K, h // 2, w // 2)."""
    soft = gaussian_filter(pictures, (0, 1, 1))
    rows, columns = soft.shape[1] // 2 * 2, soft.shape[2] // 2 * 2
    pairs = soft[:, 0:rows:2] + soft[:, 1:rows:2]
    halved: Floats = (pairs[:, :, 0:columns:2] + pairs[:, :, 1:columns:2]) / np.float32(4)
    return halved


def _enlarged(field: Floats, shape: tuple[int, ...]) -> Floats:
    """The field (2, h, w) of a picture of half the size, in pixels of the picture of this shape (H, W)."""
    if field.shape[1:] == shape:
        return field
    larger = np.empty((2, *shape), np.float32)
    enlarge(field, larger)
    return larger


def _corrected(
    field: Floats,
    penalty: _Penalty,
    pictures: Floats,
    times: Floats,
    basis: Floats,
    speed: Floats,
    bend: Floats,
) -> Floats:
    """The field, which is `speed` or `bend`, corrected by the trend of the blocks along `basis`."""
    fit = np.empty((4, *field.shape[1:]), np.float32)
    fit_blocks(pictures, times, basis, speed, bend, fit)
    tensor = np.empty((5, *field.shape[1:]), np.float32)
    equations(fit, np.float32(_noise(fit[2])), tensor)
    tensor = gaussian_filter(tensor, (0, GATHER, GATHER))
    step = np.zeros_like(field)
    relax(tensor, field, step, np.float32(penalty.usual**-2), np.float32(penalty.edge**-2), SWEEPS)
    limit = np.float32(2 / np.abs(basis).max())  # two pixels: farther than that the gradient says nothing
    corrected: Floats = median_filter(field + np.clip(step, -limit, limit), (1, 3, 3))
    return corrected


def _noise(rest: Floats) -> float:
    """The usual variance of a block; small, but not 0, where nothing is seen."""
    return max(float(np.median(rest)), 1e-8)


def _confidence(pictures: Floats, times: Floats, basis: Floats, speed: Floats, bend: Floats) -> Floats:
    fit = np.empty((4, *speed.shape[1:]), np.float32)
    fit_blocks(pictures, times, basis, speed, bend, fit)
    noise = np.float32(_noise(fit[2]))
    confidence: Floats = noise / np.maximum(gaussian_filter(fit[2], 1), noise)
    return confidence
