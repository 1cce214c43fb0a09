"""TFI: texture from interval, the inverse of the time between two spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hqgen.compiled import compiled
from hqgen.errors import UsageError
from hqgen.methods.base import Method, Span
from hqgen.spikes.kernels import Numbers, steps_to_next, steps_to_previous
from hqgen.spikes.packed import Window

__all__ = ["TFI", "Variant"]

Variant = Literal["toolbox", "spikeclip", "paper"]

HALF_WINDOWS: dict[Variant, int] = {"toolbox": 20, "spikeclip": 49, "paper": 100}
"""As published: Spike-Zoo and SpikeCV (41 frames); SpikeCLIP (T // 4 - 1 at T = 200); Eq. 5 at T = 200."""


@dataclass(frozen=True)
class TFI(Method):
    """1 / (t+ - t-): t- the last spike at or before the centre frame, t+ the first one after it.

    With h the half window, t- is looked for in frames centre - h + 1 .. centre and t+ in centre + 1 ..
    centre + h, as far as the recording reaches. The variants differ in what a side without a spike becomes:

    - `toolbox`: the interval is taken as 2 h, even where the other side is near (Spike-Zoo, SpikeCV).
    - `spikeclip`: that side alone is taken as centre - h or centre + h (SpikeCLIP's code, SSML's too).
    - `paper`: the interval is infinite and the pixel 0 (SpikeCLIP's Eq. 5; no published code does it).

    So a pixel that never fires is 1 / (2 h), or 0 with `paper`; one that fires in every frame is 1. A spike
    in frame 0 of a recording counts; the published codes use index 0 as their mark for "none" and lose it.

    Args:
        variant: one of the above.
        half_window: h in frames, at least 1; None takes the published one: 20, 49 and 100 in that order.

    Source: Zhu et al., ICME 2019; variants as named.
    """

    name: ClassVar[str] = "tfi"
    rank: ClassVar[int] = 20
    citation: ClassVar[str] = "Zhu et al., A Retina-inspired Sampling Method for Visual Texture, ICME 2019"

    variant: Variant = "toolbox"
    half_window: int | None = None

    def __post_init__(self) -> None:
        if self.half_window is not None and self.half_window < 1:
            raise UsageError(
                f"tfi: a half window of {self.half_window} frames holds nothing",
                hint="give `half_window` >= 1, or leave it out for the published one",
            )

    @property
    def reach(self) -> int:
        """h, in frames."""
        return HALF_WINDOWS[self.variant] if self.half_window is None else self.half_window

    @property
    def span(self) -> Span:
        """One frame less before the centre, whose own spike belongs to that side."""
        return self.reach - 1, self.reach

    def parameters(self) -> dict[str, Any]:
        """As given, with the half window that is meant when none was given."""
        return {"variant": self.variant, "half_window": self.reach}

    def reconstruct(self, window: Window) -> NDArray[np.float32]:
        """float32 (H, W), spikes per frame in [1 / (2 h), 1], or 0 where `paper` finds no interval."""
        near = window.around(*self.span)
        back = steps_to_previous(near.spikes, near.centre)
        on = steps_to_next(near.spikes, near.centre)
        dark = {"toolbox": 0.5 / self.reach, "paper": 0.0, "spikeclip": np.nan}[self.variant]
        image = np.empty(back.shape, np.float32)
        # In one piece, as vector instructions need them: a recording stored bottom-up gives reversed rows.
        _inverse_interval(back.ravel(), on.ravel(), np.int32(self.reach), np.float32(dark), image.reshape(-1))
        return image


@compiled
def _inverse_interval(
    back: Numbers, on: Numbers, reach: np.int32, dark: np.float32, image: NDArray[np.float32]
) -> None:
    """1 / interval from steps; without a spike on a side `dark`, or, if that is NaN, as if it were the last.

    Steps back count from 1 for the centre itself, so that an interval is one less than their sum.
    """
    ends_count = np.isnan(dark)
    for pixel in range(image.size):
        before, after = np.int32(back[pixel]), np.int32(on[pixel])
        whole = (before > 0) & (after > 0)
        before = before if before > 0 else reach + np.int32(1)
        after = after if after > 0 else reach
        # Dividing in any case keeps the loop free of branches, so that it is vectorised.
        inverse = np.float32(1) / np.float32(before + after - np.int32(1))
        image[pixel] = inverse if whole | ends_count else dark
