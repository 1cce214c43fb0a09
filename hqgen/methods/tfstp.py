"""TFSTP: texture from short-term plasticity, the firing rate by a model of a synapse.

Every pixel drives a synapse with resources R (at rest 1) and a release probability u (at rest u0). A spike
that comes Δ frames after the one before it changes them to

    R' = 1 - (1 - R (1 - u)) exp(-Δ / D)        u' = u0 + (u + f (1 - u) - u0) exp(-Δ / F)

In a steady state (R' = R, u' = u) each equation can be solved for Δ. Applied to the state after each spike,
the solutions are two estimates of the firing rate 1 / Δ. They remember earlier intervals: ρ_R for about D
frames, ρ_u for about F. Source: Zheng et al., CVPR 2021; constants of the SpikeCV code.

In dim light 1 - R is about exp(-Δ), which is lost in the rounding of R. So the state is kept as the distance
from rest, q = 1 - R and v = u - u0, together with the factors a and b of the exponentials:

    q' = a exp(-Δ / D),  a = u + q (1 - u)      v' = b exp(-Δ / F),  b = f - u0 + u (1 - f)

The two solutions become ρ_R = 1 / (Δ + D ln(a' / a)) and ρ_u = 1 / (Δ + F ln(b' / b)), with a' and b' from
the new state. They are the last interval, corrected for the distance of the synapse from its steady state.
They contain no small differences, so rounding does little harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hqgen.compiled import compiled
from hqgen.methods.base import Method, Span
from hqgen.spikes.packed import PackedSpikes, Window

Formula = Literal["mended", "published"]

U0 = 0.15
F_INCREMENT = 0.15
D = 1.0
F = 10.0
BLOCK = 64
"""Bytes (8 pixels each) that are worked on together: their states stay in the fastest cache."""


class Plasticity(NamedTuple):
    """State of every pixel's synapse after its last spike; each field is float64 (H, W).

    Attributes:
        interval: Δ, frames between the last two spikes; 0 if there are fewer than two.
        q: 1 - R, resources in use.
        v: u - u0, release probability above rest.
        a: factor of the last update of q.
        b: factor of the last update of v.
    """

    interval: NDArray[np.float64]
    q: NDArray[np.float64]
    v: NDArray[np.float64]
    a: NDArray[np.float64]
    b: NDArray[np.float64]

    @property
    def resources(self) -> NDArray[np.float64]:
        """R, in (0, 1]."""
        return 1 - self.q

    @property
    def release(self) -> NDArray[np.float64]:
        """u, in [u0, 1)."""
        return U0 + self.v

    def rate_of_resources(self) -> NDArray[np.float64]:
        """ρ_R, spikes per frame; 0 if there are fewer than two spikes."""
        u = self.release
        return self._rate(D, u + self.q * (1 - u), self.a)

    def rate_of_release(self, increment: float = F_INCREMENT) -> NDArray[np.float64]:
        """ρ_u, spikes per frame; 0 if there are fewer than two spikes.

        Args:
            increment: f in the inversion. The published code has the time constant F there.
        """
        return self._rate(F, increment - U0 + self.release * (1 - F_INCREMENT), self.b)

    def _rate(
        self, constant: float, now: NDArray[np.float64], before: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """1 / (Δ + constant ln(now / before)), 0 where Δ is 0."""
        fired = self.interval > 0
        rate = np.zeros_like(self.interval)
        rate[fired] = 1 / (self.interval[fired] + constant * np.log(now[fired] / before[fired]))
        return rate


def plasticity(spikes: PackedSpikes, centre: int) -> Plasticity:
    """Run the synapse model from rest, up to and with the first spike after frame `centre`.

    The first spike of a pixel only starts its clock, because the interval before it is not known.
    """
    decay = np.exp(-np.arange(len(spikes)) / np.array([[D], [F]]))
    state = _run(np.ascontiguousarray(spikes.data), centre, decay)
    pixels = state[:, : spikes.height * spikes.width]
    return Plasticity(*(spikes.image(field) for field in pixels))


@compiled
def _run(data: NDArray[np.uint8], centre: int, decay: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fields of `Plasticity` (5, bytes * 8) from packed frames (T, bytes); decay (2, T) by interval."""
    count, size = data.shape
    state = np.zeros((5, size * 8))
    last = np.full(size * 8, -1, np.int32)
    waiting = np.full(size, 0xFF, np.uint8)  # pixels that have not yet fired after the centre frame
    for start in range(0, size, BLOCK):
        for frame in range(count):
            for byte in range(start, min(start + BLOCK, size)):
                bits = data[frame, byte] & waiting[byte]
                if bits == 0:
                    continue
                if frame > centre:
                    waiting[byte] ^= bits
                for bit in range(8):
                    if bits >> bit & 1:
                        pixel = byte * 8 + bit
                        if last[pixel] >= 0:
                            _spike(state, pixel, frame - last[pixel], decay)
                        last[pixel] = frame
    return state


@compiled
def _spike(state: NDArray[np.float64], pixel: int, interval: int, decay: NDArray[np.float64]) -> None:
    """Update the state of one pixel with a spike that comes `interval` frames after the last one."""
    q, u = state[1, pixel], U0 + state[2, pixel]
    a = u + q * (1 - u)
    b = F_INCREMENT - U0 + u * (1 - F_INCREMENT)
    state[0, pixel] = interval
    state[1, pixel] = a * decay[0, interval]
    state[2, pixel] = b * decay[1, interval]
    state[3, pixel] = a
    state[4, pixel] = b


@dataclass(frozen=True)
class TFSTP(Method):
    """Firing rate by the synapse model, from rest at the start of the window.

    - `mended`: (ρ_R + ρ_u) / 2, spikes per frame, of the state after the interval around the centre frame.
    - `published`: what SpikeCV's code computes before its contrast stretch; it is not a rate. It differs in
      three ways: the two parts are added, not averaged; ρ_u has the time constant F where the increment f
      belongs, so it is in 0.007..0.033; and only spikes up to the centre frame count, so the picture is
      late by one interval. In that code float32 rounding sets ρ_R to 0 above intervals of 16 frames; here
      not.

    A pixel with fewer than two spikes in the window is 0. The state needs a few intervals to settle, so it is
    less exact if the recording ends inside the window; mirrored frames are not used, because the interval
    across the end was never measured (docs/methods.md). A pixel that fires in every frame settles at 1
    (mended). Every window starts from rest.

    Args:
        formula: one of the above.
        half_window: frames taken into account before and after the centre, at least 1.

    Source: Zheng et al., CVPR 2021; the 200 frames as in Table 1 of SpikeCLIP.
    """

    name: ClassVar[str] = "tfstp"
    rank: ClassVar[int] = 30
    mirrors: ClassVar[bool] = False
    citation: ClassVar[str] = (
        "Zheng et al., High-Speed Image Reconstruction through Short-Term Plasticity for Spiking Cameras, "
        "CVPR 2021"
    )

    formula: Formula = "mended"
    half_window: int = 100

    def __post_init__(self) -> None:
        self.require("half_window", 1)

    @property
    def span(self) -> Span:
        """`half_window` frames on both sides; for `published` only before the centre."""
        return self.half_window, self.half_window if self.formula == "mended" else 0

    def reconstruct(self, window: Window) -> NDArray[np.float32]:
        """float32 (H, W): spikes per frame in [0, 1] (mended); in [0, 1.04], not a rate (published)."""
        near = window.around(*self.span).real
        state = plasticity(near.spikes, near.centre)
        if self.formula == "published":
            image = state.rate_of_release(increment=F) + state.rate_of_resources()
        else:
            image = (state.rate_of_release() + state.rate_of_resources()) / 2
        return image.astype(np.float32)
