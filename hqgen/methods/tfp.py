"""TFP: texture from playback, the firing rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import MethodError
from hqgen.methods.base import Method, Span
from hqgen.spikes.kernels import Numbers, count_spikes
from hqgen.spikes.packed import PackedSpikes, Window
from hqgen.spikes.sliding import SLIDE, sliding_counts

EXCHANGE = 8
"""Frames that are counted in the time in which one frame of a window is exchanged for another."""


@dataclass(frozen=True)
class Exposure(Method):
    """A method that looks at `window` frames, centre - window // 2 .. centre + (window - 1) // 2.

    Args:
        window: frames, at least 1.
    """

    window: int = 41

    def __post_init__(self) -> None:
        self.require("window", 1)

    @property
    def span(self) -> Span:
        """`window` frames, the centre frame among them."""
        return self.window // 2, (self.window - 1) // 2


@dataclass(frozen=True)
class TFP(Exposure):
    """Spikes per frame over a centred window: the picture that an ordinary exposure would give.

    Frames centre - window // 2 .. centre + (window - 1) // 2 are counted, exactly `window` of them; an even
    window takes its extra frame before the centre, so a window of 200 around frame 100 of 200 holds all of
    them (what SpikeCLIP calls TFP). A pixel that never fires is 0, one that always fires is 1.

    At the ends of a recording mirrored frames count like the others. In normal light that is better than the
    mean over the frames that exist (by 1.2 dB where 5 frames follow the centre), because the blur stays
    centred. In dim light it is worse, because spikes that count twice are noise (docs/methods.md).

    Args:
        window: frames, at least 1. Long windows have less noise and more motion blur.

    Source: Zhu et al., ICME 2019; window 41 as in Spike-Zoo.
    """

    name: ClassVar[str] = "tfp"
    rank: ClassVar[int] = 10
    version: ClassVar[int] = 2
    citation: ClassVar[str] = "Zhu et al., A Retina-inspired Sampling Method for Visual Texture, ICME 2019"

    def reconstruct(self, window: Window) -> NDArray[np.float32]:
        """float32 (H, W), spikes per frame in [0, 1]."""
        spikes = window.around(*self.span).spikes
        return self._rate(count_spikes(spikes))

    def reconstruct_frames(
        self, stream: PackedSpikes, frames: range
    ) -> list[NDArray[np.float32] | MethodError]:
        """See `Method`; windows slide where that is less work than to count each from nothing."""
        if frames.step * EXCHANGE > self.window:
            return super().reconstruct_frames(stream, frames)
        return [self._rate(counts) for counts in sliding_counts(stream, frames, *self.span)]

    @property
    def frames_at_once(self) -> int:
        """So many that the first window, which does not slide, costs little beside the others."""
        return SLIDE

    def _rate(self, counts: Numbers) -> NDArray[np.float32]:
        return np.divide(counts, np.float32(self.window), dtype=np.float32)
