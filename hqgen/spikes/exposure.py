"""A brief exposure of the key frame, counted on packed bits: what a candidate must agree with.

It is brief, so that motion does not blur it. In dim light it holds few spikes. A longer one was worse on
simulated scenes, because a candidate blurred by motion agrees with it: docs/judging.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hqgen.spikes.kernels import count_spikes
from hqgen.spikes.packed import Window

SPAN = (3, 3)
"""Frames before and after the key frame that are counted: those of a window to give `key_exposure`."""


def key_exposure(window: Window) -> NDArray[np.float32]:
    """Spikes of every pixel over 7 frames, the key frame in the middle.

    A recording that ends inside them gives those that are there: mirrored ones would count noise twice.

    Returns:
        float32 (H, W), whole numbers 0 to 7: the `reference` of `hqgen.quality.consistency.consistency`.
    """
    return count_spikes(window.around(*SPAN).real.spikes).astype(np.float32)
