"""`base`: the learned method whose weights ship with hqgen, trained on simulated streams only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from hqgen.errors import MethodError
from hqgen.methods.learned.layers import Residual, conv3x3, pad_symmetric, residual3x3
from hqgen.methods.learned.network import NetworkMethod
from hqgen.methods.mtfp import MTFP
from hqgen.spikes.packed import Window

FRAMES = 41

Size = Literal["large", "small"]


def _block(channels: int) -> Residual:
    """A residual block that at first changes nothing, so that a deep network learns from its first step."""
    # drawn before the first one, unlike in `residual3x3`: the training of the shipped weights began so
    last = conv3x3(channels, channels)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)  # type: ignore[arg-type]
    return Residual(first=conv3x3(channels, channels), between=nn.ReLU(), second=last)


class LargeNetwork(nn.Module):
    """41 frames to the firing rate at the centre frame, at three resolutions.

    Full resolution keeps the detail. Half and quarter resolution are cheaper and see farther: a pixel of the
    result depends on more than a hundred pixels around it, farther than a fast scene moves in the window.
    """

    def __init__(self, fine: int = 32, half: int = 64, quarter: int = 96) -> None:
        super().__init__()
        self.head = conv3x3(FRAMES, fine)
        self.to_half = nn.Conv2d(fine, half, 4, stride=2, padding=1)
        self.encode = nn.Sequential(*(_block(half) for _ in range(2)))
        self.to_quarter = nn.Conv2d(half, quarter, 4, stride=2, padding=1)
        self.body = nn.Sequential(*(_block(quarter) for _ in range(3)))
        self.from_quarter = nn.Conv2d(quarter, 4 * half, 1)
        self.decode = nn.Sequential(*(_block(half) for _ in range(2)))
        self.from_half = nn.Conv2d(half, 4 * fine, 1)
        self.merge = conv3x3(fine, fine)
        self.tail = conv3x3(fine, 1)

    def forward(self, spikes: Tensor) -> Tensor:
        """(B, 41, H, W) spikes, H and W multiples of 4, to (B, H, W) spikes per frame."""
        fine = torch.relu(self.head(spikes))
        half = self.encode(torch.relu(self.to_half(fine)))
        quarter = self.body(torch.relu(self.to_quarter(half)))
        half = self.decode(half + functional.pixel_shuffle(self.from_quarter(quarter), 2))
        fine = torch.relu(fine + functional.pixel_shuffle(self.from_half(torch.relu(half)), 2))
        rate: Tensor = self.tail(torch.relu(self.merge(fine)))[:, 0]
        return rate


class SmallNetwork(nn.Module):
    """41 frames to the firing rate at the centre frame, mostly at half resolution: for slow machines."""

    def __init__(self, wide: int = 32, deep: int = 48, blocks: int = 3) -> None:
        super().__init__()
        self.head = conv3x3(FRAMES, wide)
        self.down = conv3x3(4 * wide, deep)
        self.body = nn.Sequential(*(residual3x3(deep) for _ in range(blocks)))
        self.up = conv3x3(deep // 4 + wide, wide)
        self.tail = conv3x3(wide, 1)

    def forward(self, spikes: Tensor) -> Tensor:
        """(B, 41, H, W) spikes, H and W even, to (B, H, W) spikes per frame."""
        fine = torch.relu(self.head(spikes))
        coarse = self.body(torch.relu(self.down(functional.pixel_unshuffle(fine, 2))))
        merged = torch.cat([functional.pixel_shuffle(coarse, 2), fine], dim=1)
        return self.tail(torch.relu(self.up(merged)))[:, 0]


@dataclass(frozen=True)
class Base(NetworkMethod):
    """A network whose weights ship with hqgen.

    It was trained on spikes simulated from moving pictures, never on a real recording or a public data set;
    docs/base.md has the training and the results.

    Args:
        size: `large` (1 M parameters) or `small` (0.2 M), which is faster and less exact.
        motion: whether to mix in the picture of `mtfp`. On clean streams that is nearer to the truth; on real
            ones it brings back some of the grain of bright areas, and it takes the time of `mtfp`.
    """

    name: ClassVar[str] = "base"
    rank: ClassVar[int] = 120
    version: ClassVar[int] = 3
    citation: ClassVar[str] = "hqgen, docs/base.md: trained by this project on simulated streams"
    weights_licence: ClassVar[str] = "MIT"
    weights_source: ClassVar[str] = "ships with hqgen; remade by `hqgen train-method base`"
    variants: ClassVar[str] = "size"

    size: Size = "large"
    motion: bool = False

    @property
    def weights_name(self) -> str:
        """`base`, or `base-small`."""
        return self.name if self.size == "large" else f"{self.name}-{self.size}"

    def network(self) -> nn.Module:
        """`LargeNetwork` or `SmallNetwork`."""
        return LargeNetwork() if self.size == "large" else SmallNetwork()

    def infer(self, network: nn.Module, spikes: Tensor) -> Tensor:
        """(B, 41, H, W) to (B, H, W), spikes per frame, not negative; borders are mirrored as needed."""
        height, width = spikes.shape[-2:]
        padded = pad_symmetric(spikes, 4 if self.size == "large" else 2)
        rate: Tensor = network(padded)[:, :height, :width].clamp(min=0)
        return rate

    def reconstruct_batch(self, windows: Sequence[Window]) -> list[NDArray[np.float32] | MethodError]:
        """Reconstruct each window, and mix in its mean along the motion; see `NetworkMethod`."""
        outcomes = super().reconstruct_batch(windows)
        if not self.motion:
            return outcomes
        return [
            outcome if isinstance(outcome, MethodError) else mixed(outcome, window.around(*self.span))
            for outcome, window in zip(outcomes, windows, strict=True)
        ]


MIXED = 0.35
"""Share of the mean along the motion where it has many spikes."""
FEW = 2.0
"""Spikes of a pixel at which it has half of that share."""


def mixed(rate: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    """Mix a network's picture with the mean along the motion, which is `mtfp`'s.

    The network smooths what it does not know; the mean has noise, but no opinion. So their errors are nearly
    independent, and the mixture is better than both. A pixel of which the window has only a few spikes says
    little, and counts little.

    Args:
        rate: (H, W), spikes per frame.
        window: what it was made from.

    Returns:
        float32 (H, W), spikes per frame.
    """
    spikes = rate * np.float32(len(window.real.spikes))
    share = np.float32(MIXED) * spikes**2 / (spikes**2 + np.float32(FEW**2))
    picture: NDArray[np.float32] = rate + share * (MTFP().reconstruct(window) - rate)
    return picture
