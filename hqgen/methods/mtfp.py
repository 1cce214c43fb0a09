"""Motion-aligned TFP: the firing rate along the way that things move.

TFP counts the spikes of a pixel, whatever moves past it. Here each frame is first moved back along the motion
that `hqgen.methods.flow` estimates from the same spikes, so that the mean over the window is that of one
place of the scene. What is averaged is the rate of the interval that each frame belongs to, not the spike
itself: where the scene moves, a pixel sees one place for a few frames only, and counts of so few frames are
mostly rounding.

The motion is not right everywhere: things are covered and uncovered, turn, or have no texture. So the frames
are averaged in short blocks first, and each block counts by how well it agrees with the blocks around the key
frame. How much blocks differ by noise alone is measured at each pixel as the median over its blocks, limited
by the median of the picture. Where no block agrees, the block of the key frame is left: a TFP over five
frames of intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from hqgen.compiled import compiled
from hqgen.methods.flow import Flow, estimate_flow
from hqgen.methods.flow_kernels import sampled
from hqgen.methods.intervals import interval_rates
from hqgen.methods.tfp import Exposure
from hqgen.spikes.packed import Window

Floats = NDArray[np.float32]

BLOCK = 5
"""Frames that are trusted or left out together."""
NEAR = 2.0
"""Standard deviation, pixels, of the neighbourhood in which blocks are compared."""
EXCESS = 1.5
"""Squared difference, in units of its noise, from which on a block counts less."""
LOW, HIGH = 0.3, 1.5
"""Limits of the noise of a pixel, in units of the usual noise of the picture."""


@dataclass(frozen=True)
class MTFP(Exposure):
    """Spikes per frame, averaged along the motion.

    Frames centre - window // 2 .. centre + (window - 1) // 2 are used, as by TFP. Frames that a window
    mirrors at an end of the recording are not: they show nothing new. Without a spike in the window the
    picture is 0, with a spike in every frame 1.

    Args:
        window: frames, at least 1. Longer windows have less noise, as far as the motion is steady.
    """

    name: ClassVar[str] = "mtfp"
    rank: ClassVar[int] = 15
    mirrors: ClassVar[bool] = False
    in_default: ClassVar[bool] = False
    citation: ClassVar[str] = (
        "TFP (Zhu et al., A Retina-inspired Sampling Method for Visual Texture, ICME 2019) along the motion"
    )

    def reconstruct(self, window: Window) -> Floats:
        """float32 (H, W), spikes per frame in [0, 1]."""
        near = window.around(*self.span).real
        flow = estimate_flow(near)
        rates = interval_rates(near.spikes)
        edges = block_edges(len(near.spikes), near.centre)
        means, counts = aligned_means(rates, flow, near.centre, edges)
        key = int(np.searchsorted(edges, near.centre, side="right")) - 1
        weights = trust(means, key) * counts
        image: Floats = (weights * means).sum(axis=0) / weights.sum(axis=0)
        return image


def block_edges(count: int, centre: int) -> NDArray[np.int64]:
    """Where blocks of `BLOCK` frames begin and end; one has the centre frame in its middle.

    What is left at either end makes a block if it is more than half of one, and otherwise joins its
    neighbour.

    Returns:
        int64 (K + 1,), from 0 to `count`.
    """
    half = BLOCK // 2
    inner = np.arange((centre - half) % BLOCK - BLOCK, count + BLOCK, BLOCK)
    inner = inner[(inner > half) & (inner < count - half)]
    return np.array([0, *inner, count], np.int64)


def aligned_means(rates: Floats, flow: Flow, centre: int, edges: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Mean rates of blocks of frames along the motion.

    Args:
        rates: (T, H, W).
        flow: of the key frame.
        centre: the key frame.
        edges: (K + 1,).

    Returns:
        float32 (K, H, W), the means, and as many numbers of frames that they are of: trajectories leave the
        picture.
    """
    shape = (len(edges) - 1, *rates.shape[1:])
    means, counts = np.empty(shape, np.float32), np.empty(shape, np.float32)
    _align(rates, flow.velocity, flow.acceleration, centre, edges, means, counts)
    return means, counts


@compiled
def _align(
    rates: Floats,
    speed: Floats,
    bend: Floats,
    centre: int,
    edges: NDArray[np.int64],
    means: Floats,
    counts: Floats,
) -> None:
    _, height, width = rates.shape
    for k in range(len(means)):
        for y in range(height):
            for x in range(width):
                total, count = np.float32(0), np.float32(0)
                for frame in range(edges[k], edges[k + 1]):
                    t = np.float32(frame - centre)
                    column = x + (speed[0, y, x] + bend[0, y, x] * t / 2) * t
                    row = y + (speed[1, y, x] + bend[1, y, x] * t / 2) * t
                    if 0 <= column <= width - 1 and 0 <= row <= height - 1:
                        total += sampled(rates[frame], row, column)
                        count += 1
                means[k, y, x] = total / max(count, np.float32(1))
                counts[k, y, x] = count


def trust(means: Floats, key: int) -> Floats:
    """How much each block counts at each pixel, by its agreement with the blocks around the key frame.

    Args:
        means: (K, H, W).
        key: the block of the key frame.

    Returns:
        float32 (K, H, W) in (0, 1]; that of the block `key` is 1.
    """
    middle = means[max(0, key - 1) : key + 2].mean(axis=0)
    difference = gaussian_filter((means - middle) ** 2, (0, NEAR, NEAR))
    noise = np.median(difference, axis=0)
    usual = float(np.median(noise))
    noise = np.clip(noise, LOW * usual, HIGH * usual) * EXCESS + np.float32(1e-12)
    weights = 1 / (1 + np.maximum(difference / noise - 1, 0) ** 2)
    weights[key] = 1
    return np.asarray(weights, np.float32)
