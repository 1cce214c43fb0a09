"""The retina-like spiking model: three layers of neurons that find motion, refine spikes and adapt to them.

Source: Zhu, Dong, Li, Huang, Tian, CVPR 2020. We had the paper's abstract and the descriptions of its
figures. They say which layers it has and what each layer does.
The equations and constants below are ours. The constants were tuned on simulated scenes. docs/methods.md has
the list.

1. *Motion local excitation.* A leaky neuron follows the spikes of a neighbourhood (5x5) quickly, another one
   slowly. Where they differ by more than a part of the slow one, the pixel is dynamic at this moment.
2. *Spike refining.* After a spike a neuron is refractory for a part of the interval that it expects. A spike
   that comes in that time is noise and is left out, except at a dynamic pixel.
3. *Visual reconstruction.* The potential of a neuron grows by one in every frame, and its threshold is the
   interval that it expects. A spike resets the potential. The threshold moves towards the potential at which
   the spike came: down if the spike came before the neuron would have fired, up if it came after, as in STDP.
   It moves by 1 / n at the n-th interval of a static pixel, so it is the mean of the intervals; a dynamic
   pixel forgets all but the last ones. The picture is the inverse of the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hqgen.compiled import compiled
from hqgen.methods.base import Method, Span
from hqgen.spikes.packed import Window

BEFORE, AFTER = 100, 40
FAST, SLOW = 12.0, 40.0
"""Time constants of the motion layer, frames."""
CONTRAST = 0.03
"""Part of the slow neuron's level by which the fast one differs at a dynamic pixel."""
REFRACTORY = 0.3
"""Part of the expected interval in which a further spike is noise."""
RECENT = 2
"""Intervals that a dynamic pixel keeps the memory of."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Retina(Method):
    """Firing rate by adaptive neurons: a long mean where nothing moves, the last intervals elsewhere.

    It looks at 100 frames before the centre frame and continues to the first spike after it, at most 40
    frames. At the ends of a recording it uses only frames that exist, because an interval across the end was
    never measured. A pixel with fewer than two spikes is 0, one that fires in every frame is 1.

    Source: Zhu et al., CVPR 2020, as far as it is defined; see the head of this module.
    """

    name: ClassVar[str] = "retina"
    rank: ClassVar[int] = 35
    mirrors: ClassVar[bool] = False
    in_default: ClassVar[bool] = False
    citation: ClassVar[str] = (
        "Zhu et al., Retina-like Visual Image Reconstruction via Spiking Neural Model, CVPR 2020"
    )

    @property
    def span(self) -> Span:
        """100 frames before the centre, 40 after it."""
        return BEFORE, AFTER

    def reconstruct(self, window: Window) -> Floats:
        """float32 (H, W), spikes per frame in [0, 1]."""
        near = window.around(*self.span).real
        return _run(near.spikes.frames(), near.centre)


@compiled
def _run(frames: NDArray[np.uint8], centre: int) -> Floats:
    """The firing rate at frame `centre` of frames (T, H, W)."""
    _, height, width = frames.shape
    fast, slow = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    local = np.empty((height, width), np.float32)
    threshold, potential = np.zeros_like(local), np.zeros_like(local)
    spikes = np.zeros((height, width), np.int16)
    waiting = np.ones((height, width), np.bool_)
    for t in range(len(frames)):
        if t <= centre:
            _neighbourhood(frames[t], local)
            _follow(local, fast, 1 / min(t + 1, FAST))
            _follow(local, slow, 1 / min(t + 1, SLOW))
        for y in range(height):
            for x in range(width):
                if not waiting[y, x]:
                    continue
                potential[y, x] += 1
                if frames[t, y, x] == 0:
                    continue
                dynamic = abs(fast[y, x] - slow[y, x]) > CONTRAST * slow[y, x]
                known = spikes[y, x] > 1
                if known and not dynamic and potential[y, x] < REFRACTORY * threshold[y, x]:
                    continue
                if spikes[y, x] > 0:
                    count = spikes[y, x] if not dynamic else min(spikes[y, x], RECENT)
                    threshold[y, x] += (potential[y, x] - threshold[y, x]) / count
                    spikes[y, x] = count
                spikes[y, x] += 1
                potential[y, x] = 0
                waiting[y, x] = t <= centre
    return _inverse(threshold, potential, spikes)


@compiled
def _follow(local: Floats, level: Floats, gain: float) -> None:
    """Let leaky neurons follow their input."""
    for y in range(level.shape[0]):
        for x in range(level.shape[1]):
            level[y, x] += np.float32(gain) * (local[y, x] - level[y, x])


@compiled
def _neighbourhood(frame: NDArray[np.uint8], local: Floats) -> None:
    """Spikes per pixel in the 5x5 pixels around each pixel, as far as the frame reaches."""
    height, width = frame.shape
    column = np.empty(width, np.int32)
    for y in range(height):
        top, bottom = max(0, y - 2), min(height, y + 3)
        for x in range(width):
            total = 0
            for row in range(top, bottom):
                total += frame[row, x]
            column[x] = total
        for x in range(width):
            left, right = max(0, x - 2), min(width, x + 3)
            total = 0
            for other in range(left, right):
                total += column[other]
            local[y, x] = total / ((bottom - top) * (right - left))


@compiled
def _inverse(threshold: Floats, potential: Floats, spikes: NDArray[np.int16]) -> Floats:
    """1 / expected interval; an interval that is still open counts if it is already longer."""
    image = np.zeros(threshold.shape, np.float32)
    for y in range(threshold.shape[0]):
        for x in range(threshold.shape[1]):
            if spikes[y, x] > 1:
                image[y, x] = 1 / max(threshold[y, x], potential[y, x])
    return image
