"""Integrate and fire: a pixel gathers charge, and where the charge meets the threshold it fires.

The two kernels serve two models and cannot be one. A camera draws a new threshold after every spike, so it
runs frame by frame; its charge is float64 and what a spike leaves is kept modulo 1. A training scene is one
float32 array whose threshold is 1; what a saturated pixel leaves is cut to 1. On scenes of 48x48 pixels the
kernel of the camera takes 30 times as long (0.68 ms against 0.023 ms): its branches keep it from being
vectorised.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hqgen.compiled import compiled

Floats = NDArray[np.float32]


@compiled
def fire_frame(
    exposure: Floats,
    comparator: Floats,
    charge: NDArray[np.float64],
    threshold: Floats,
    fired: NDArray[np.int64],
    packed: NDArray[np.uint8],
) -> int:
    """Expose the pixels of a camera for one frame and read them out.

    Args:
        exposure: (N,), charge that the frame adds.
        comparator: (N,), noise of this readout, which is not kept.
        charge: (N,), changed.
        threshold: (N,).
        fired: (N,), gets the indices of the pixels that fired at its front.
        packed: uint8 (ceil(N / 8),) of zeros, gets the spikes.

    Returns:
        the number of spikes.
    """
    spikes = 0
    for pixel in range(len(exposure)):
        charge[pixel] += exposure[pixel]
        if charge[pixel] + comparator[pixel] >= threshold[pixel]:
            left = charge[pixel] - threshold[pixel]
            charge[pixel] = left % 1.0 if left >= 1.0 else left
            packed[pixel >> 3] |= np.uint8(1 << (pixel & 7))
            fired[spikes] = pixel
            spikes += 1
    return spikes


@compiled
def fire_scene(charge: Floats, jitter: Floats, start: Floats, spikes: NDArray[np.uint8]) -> None:
    """Fire where the charge reaches 1, and keep the excess.

    Args:
        charge: (T, H, W), what each frame adds, in thresholds.
        jitter: (T, H, W) noise of the charge, or (1, 1, 1) zeros for none.
        start: (H, W) charge before the first frame, in [0, 1).
        spikes: uint8 (T, H, W), gets the spikes.
    """
    count, height, width = charge.shape
    noisy = jitter.shape[0] == count
    volts = start.copy()
    for t in range(count):
        for y in range(height):
            for x in range(width):
                v = volts[y, x] + charge[t, y, x]
                if noisy:
                    v += jitter[t, y, x]
                fired = v >= 1
                spikes[t, y, x] = fired
                # A pixel fires at most once per frame: a saturated one loses what it gathers beyond that.
                volts[y, x] = min(v - 1, np.float32(1)) if fired else v
