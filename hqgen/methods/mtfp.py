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

An interval is as long as its light needs, and what moves past the pixel meanwhile is blurred into one rate.
So the picture is corrected once: it says what each pixel saw in each frame, and so what rate every interval
should have had. What the rates have beyond that is averaged along the motion like the rates themselves, and
added, as far as the blocks agree on it: the rest is noise. This is the back-projection of Irani and Peleg
(CVGIP 1991), with intervals for their cameras.
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
from hqgen.spikes.packed import PackedSpikes, Window

Floats = NDArray[np.float32]

BLOCK = 5
"""Frames that are trusted or left out together."""
NEAR = 2.0
"""Standard deviation, pixels, of the neighbourhood in which blocks are compared."""
EXCESS = 1.5
"""Squared difference, in units of its noise, from which on a block counts less."""
LOW, HIGH = 0.3, 1.5
"""Limits of the noise of a pixel, in units of the usual noise of the picture."""
CLOSE = 1.0
"""Standard deviation, pixels, of the neighbourhood in which a correction is compared with its noise."""


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
    version: ClassVar[int] = 2
    mirrors: ClassVar[bool] = False
    in_default: ClassVar[bool] = False
    citation: ClassVar[str] = (
        "TFP (Zhu et al., A Retina-inspired Sampling Method for Visual Texture, ICME 2019) along the motion"
    )

    def reconstruct(self, window: Window) -> Floats:
        """float32 (H, W), spikes per frame in [0, 1]."""
        near = window.around(*self.span).real
        return along_motion(near.spikes, near.centre, estimate_flow(near))


def along_motion(spikes: PackedSpikes, centre: int, flow: Flow) -> Floats:
    """Average the rates along the motion, where the blocks agree, and correct the mean once.

    Args:
        spikes: T frames, none of them mirrored.
        centre: index of the key frame.
        flow: of the key frame.

    Returns:
        float32 (H, W), spikes per frame in [0, 1].
    """
    rates = interval_rates(spikes)
    edges = block_edges(len(spikes), centre)
    means, weights = aligned_means(rates, flow, centre, edges)
    key = int(np.searchsorted(edges, centre, side="right")) - 1
    weights *= trust(means, key)
    weights /= weights.sum(axis=0)
    image: Floats = (weights * means).sum(axis=0)
    residuals = interval_residuals(spikes, rates, image, flow, centre)
    means, _ = aligned_means(residuals, flow, centre, edges)
    corrected: Floats = np.clip(image + correction(means, weights), 0, 1)
    return corrected


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


def interval_residuals(spikes: PackedSpikes, rates: Floats, image: Floats, flow: Flow, centre: int) -> Floats:
    """What the rates have beyond those that the picture explains.

    The picture, moved along the flow, says what a pixel sees in each frame. Its mean over an interval is the
    rate that the interval should have.

    Args:
        spikes: T frames.
        rates: (T, H, W) of `interval_rates`.
        image: (H, W), spikes per frame, of the key frame.
        flow: of the key frame.
        centre: the key frame.

    Returns:
        float32 (T, H, W), spikes per frame; 0 before the first and after the last spike of a pixel, where no
        interval is closed.
    """
    residuals = np.zeros_like(rates)
    frames = np.ascontiguousarray(spikes.frames())
    _compare(frames, rates, image, flow.velocity, flow.acceleration, centre, residuals)
    return residuals


@compiled
def _compare(
    frames: NDArray[np.uint8],
    rates: Floats,
    image: Floats,
    speed: Floats,
    bend: Floats,
    centre: int,
    residuals: Floats,
) -> None:
    count, height, width = rates.shape
    for y in range(height):
        for x in range(width):
            start, seen = -1, np.float32(0)
            for frame in range(count):
                if start >= 0:
                    t = np.float32(frame - centre)
                    column = x - (speed[0, y, x] + bend[0, y, x] * t / 2) * t
                    row = y - (speed[1, y, x] + bend[1, y, x] * t / 2) * t
                    column, row = min(max(column, 0), width - 1), min(max(row, 0), height - 1)
                    seen += sampled(image, row, column)
                if frames[frame, y, x]:
                    if start >= 0:
                        length = frame + 1 - start
                        residuals[start : frame + 1, y, x] = rates[frame, y, x] - seen / length
                    start, seen = frame + 1, np.float32(0)


def correction(means: Floats, weights: Floats) -> Floats:
    """The weighted mean of the blocks, less where it is about as small as its noise.

    The noise is that of a mean of blocks that differ as these do. The mean keeps the part of its square that
    is not noise, as in Wiener's filter.

    Args:
        means: (K, H, W), of residuals.
        weights: (K, H, W), with the sum 1 at each pixel.

    Returns:
        float32 (H, W).
    """
    mean: Floats = (weights * means).sum(axis=0)
    noise = gaussian_filter(((weights * (means - mean)) ** 2).sum(axis=0), CLOSE)
    square = gaussian_filter(mean**2, CLOSE)
    kept: Floats = mean * np.clip(1 - noise / np.maximum(square, np.float32(1e-12)), 0, 1)
    return kept


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
