"""TFI: texture from interval, the inverse of the time between two spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hqgen.compiled import compiled
from hqgen.methods.base import Method, Span
from hqgen.spikes.kernels import Numbers, steps_to_next, steps_to_previous
from hqgen.spikes.packed import Window

Variant = Literal["toolbox", "spikeclip", "paper"]

HALF_WINDOWS: dict[Variant, int] = {"toolbox": 20, "spikeclip": 49, "paper": 100}
"""As published: Spike-Zoo and SpikeCV (41 frames); SpikeCLIP (T // 4 - 1 at T = 200); Eq. 5 at T = 200."""


@dataclass(frozen=True)
class TFI(Method):
    """1 / (t+ - t-): t- is the last spike at or before the centre frame, t+ the first one after it.

    With the half window h, t- is searched in frames centre - h + 1 .. centre and t+ in centre + 1 ..
    centre + h, as far as the recording reaches: an interval that ends in a mirrored frame was never measured,
    and the published codes look at frames of the recording only. The variants treat a side without a spike
    differently:

    - `toolbox`: the interval becomes 2 h, even if the other side has a spike (Spike-Zoo, SpikeCV).
    - `spikeclip`: only that side becomes centre - h or centre + h (the code of SpikeCLIP and SSML).
    - `paper`: the interval is infinite and the pixel 0 (SpikeCLIP's Eq. 5; no published code does it).

    So a pixel that never fires is 1 / (2 h), or 0 with `paper`; one that fires in every frame is 1. A spike
    in frame 0 of a recording counts; published codes lose it, because their index 0 means "no spike".

    Args:
        variant: one of the above.
        half_window: h in frames, at least 1; None is the published one: 20, 49 or 100, in that order.

    Source: Zhu et al., ICME 2019; variants as named.
    """

    name: ClassVar[str] = "tfi"
    rank: ClassVar[int] = 20
    mirrors: ClassVar[bool] = False
    citation: ClassVar[str] = "Zhu et al., A Retina-inspired Sampling Method for Visual Texture, ICME 2019"

    variant: Variant = "toolbox"
    half_window: int | None = None

    def __post_init__(self) -> None:
        if self.half_window is not None:
            self.require("half_window", 1)

    @property
    def reach(self) -> int:
        """h, in frames."""
        return HALF_WINDOWS[self.variant] if self.half_window is None else self.half_window

    @property
    def span(self) -> Span:
        """One frame less before the centre, because the centre frame itself belongs to that side."""
        return self.reach - 1, self.reach

    def parameters(self) -> dict[str, Any]:
        """The parameters; a half window of None becomes the published one."""
        return {"variant": self.variant, "half_window": self.reach}

    def reconstruct(self, window: Window) -> NDArray[np.float32]:
        """float32 (H, W), spikes per frame in [1 / (2 h), 1], or 0 where `paper` finds no interval."""
        near = window.around(*self.span).real
        back = steps_to_previous(near.spikes, near.centre)
        on = steps_to_next(near.spikes, near.centre)
        dark = {"toolbox": 0.5 / self.reach, "paper": 0.0, "spikeclip": np.nan}[self.variant]
        image = np.empty(back.shape, np.float32)
        # `ravel` copies reversed rows (of a recording stored bottom-up): vector instructions need one piece.
        _inverse_interval(back.ravel(), on.ravel(), np.int32(self.reach), np.float32(dark), image.reshape(-1))
        return image


@compiled
def _inverse_interval(
    back: Numbers, on: Numbers, reach: np.int32, dark: np.float32, image: NDArray[np.float32]
) -> None:
    """1 / interval from the steps to the spikes on both sides.

    Without a spike on one side the pixel is `dark`; if `dark` is NaN, the end of the window counts as a
    spike. Steps back start at 1 for the centre frame itself, so an interval is one less than the sum of the
    steps.
    """
    ends_count = np.isnan(dark)
    for pixel in range(image.size):
        before, after = np.int32(back[pixel]), np.int32(on[pixel])
        whole = (before > 0) & (after > 0)
        before = before if before > 0 else reach + np.int32(1)
        after = after if after > 0 else reach
        # Always divide: a loop without branches is vectorised.
        inverse = np.float32(1) / np.float32(before + after - np.int32(1))
        image[pixel] = inverse if whole | ends_count else dark
