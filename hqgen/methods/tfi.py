"""TFI: texture from interval, the inverse of the time between two spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hqgen.compiled import compiled
from hqgen.errors import MethodError
from hqgen.methods.base import Method, Span
from hqgen.spikes.kernels import Numbers, steps_to_next, steps_to_previous
from hqgen.spikes.packed import PackedSpikes, Window
from hqgen.spikes.sliding import SLIDE, sliding_steps

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
        return self._image(back, on)

    def reconstruct_frames(
        self, stream: PackedSpikes, frames: range
    ) -> list[NDArray[np.float32] | MethodError]:
        """See `Method`; the spikes around a frame are found from those around the frame before."""
        if 2 * frames.step > self.reach:  # a search for each frame alone looks at fewer frames
            return super().reconstruct_frames(stream, frames)
        return [self._image(back, on) for back, on in sliding_steps(stream, frames, self.reach)]

    @property
    def frames_at_once(self) -> int:
        """So many that the first window, which does not slide, costs little beside the others."""
        return SLIDE

    def _image(self, back: Numbers, on: Numbers) -> NDArray[np.float32]:
        dark = 0.5 / self.reach if self.variant == "toolbox" else 0.0
        image = np.empty(back.shape, np.float32)
        # `ravel` copies reversed rows (of a recording stored bottom-up): vector instructions need one piece.
        ends = self.variant == "spikeclip"
        _inverse_interval(
            back.ravel(), on.ravel(), np.float32(self.reach), np.float32(dark), ends, image.reshape(-1)
        )
        return image


@compiled
def _inverse_interval(
    back: Numbers,
    on: Numbers,
    reach: np.float32,
    dark: np.float32,
    ends_count: bool,
    image: NDArray[np.float32],
) -> None:
    """1 / interval from the steps to the spikes on both sides.

    Without a spike on one side the pixel is `dark`, unless the end of the window counts as a spike. Steps
    back start at 1 for the centre frame itself, so an interval is one less than the sum of the steps. Steps
    are floats from the start: a loop that mixes types of numbers takes three times as long.
    """
    one = np.float32(1)
    for pixel in range(image.size):
        before, after = np.float32(back[pixel]), np.float32(on[pixel])
        whole = (before > 0) & (after > 0)
        before = before if before > 0 else reach + one
        after = after if after > 0 else reach
        # Always divide: a loop without branches is vectorised.
        inverse = one / (before + after - one)
        image[pixel] = inverse if whole | ends_count else dark
