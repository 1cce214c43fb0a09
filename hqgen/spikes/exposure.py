"""A brief exposure of the key frame, counted on packed bits: what a candidate must agree with.

It must be brief, so that motion does not blur it. In dim light a few frames hold too few spikes to compare
anything with, so the exposure becomes longer there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hqgen.spikes.kernels import count_spikes
from hqgen.spikes.packed import Window

SPAN = (20, 20)
"""Frames before and after the key frame that `key_exposure` may look at: those of a window to give it."""

SHORTEST = 7
"""Frames that are always counted."""

WANTED = 0.5
"""Mean spikes per pixel up to which the exposure is made longer."""


def key_exposure(window: Window) -> NDArray[np.float32]:
    """Spikes of every pixel over a few frames around the key frame.

    The exposure is the shortest of 7, 9, 11, ... 41 frames, centred on the key frame, in which the mean pixel
    fires half a spike; 41 frames where none has so many. A recording that ends inside it gives the frames
    that are there.

    Returns:
        float32 (H, W), whole numbers from 0: the `reference` of `hqgen.quality.consistency.consistency`.
    """
    longest = 1 + 2 * max(SPAN)
    counts = _counts(window, longest)
    rate = float(counts.mean()) / longest
    frames = SHORTEST if rate == 0 else min(max(SHORTEST, int(np.ceil(WANTED / rate)) | 1), longest)
    return counts if frames == longest else _counts(window, frames)


def _counts(window: Window, frames: int) -> NDArray[np.float32]:
    return count_spikes(window.around(frames // 2, frames // 2).spikes).astype(np.float32)
