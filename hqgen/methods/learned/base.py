"""`base`: the learned method that works out of the box, trained by this project on simulated streams only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from hqgen.methods.learned.network import NetworkMethod

__all__ = ["Base", "BaseNetwork"]

FRAMES = 41


class BaseNetwork(nn.Module):
    """41 frames to the rate at the centre frame.

    One convolution at full resolution, residual blocks at half resolution (four times cheaper, and they see
    twice as far: the way a fast scene moves within the window), two convolutions at full resolution.
    """

    def __init__(self, wide: int = 32, deep: int = 48, blocks: int = 3) -> None:
        super().__init__()
        self.head = nn.Conv2d(FRAMES, wide, 3, padding=1)
        self.down = nn.Conv2d(4 * wide, deep, 3, padding=1)
        self.body = nn.Sequential(*(Residual(deep) for _ in range(blocks)))
        self.up = nn.Conv2d(deep // 4 + wide, wide, 3, padding=1)
        self.tail = nn.Conv2d(wide, 1, 3, padding=1)

    def forward(self, spikes: Tensor) -> Tensor:
        """(B, 41, H, W) spikes, H and W even, to (B, H, W) spikes a frame."""
        fine = torch.relu(self.head(spikes))
        coarse = self.body(torch.relu(self.down(functional.pixel_unshuffle(fine, 2))))
        merged = torch.cat([functional.pixel_shuffle(coarse, 2), fine], dim=1)
        rate: Tensor = self.tail(torch.relu(self.up(merged)))
        return rate[:, 0]


class Residual(nn.Module):
    """Two convolutions around which the input is added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        correction: Tensor = self.second(torch.relu(self.first(x)))
        return x + correction


@dataclass(frozen=True)
class Base(NetworkMethod):
    """A small network (0.2 M parameters) whose weights ship with hqgen.

    Trained on spikes simulated from moving pictures, never on those of a camera or a public data set; how,
    and what it reaches, is in docs/base.md.
    """

    name: ClassVar[str] = "base"
    rank: ClassVar[int] = 120
    citation: ClassVar[str] = "hqgen, docs/base.md: trained by this project on simulated streams"
    weights_licence: ClassVar[str] = "MIT"
    weights_source: ClassVar[str] = "ships with hqgen; remade by `hqgen train-method base`"

    def network(self) -> BaseNetwork:
        """Fresh parameters."""
        return BaseNetwork()

    def infer(self, network: nn.Module, spikes: Tensor) -> Tensor:
        """(B, 41, H, W) to (B, H, W), spikes a frame, not negative; odd sides are padded by one."""
        height, width = spikes.shape[-2:]
        padded = functional.pad(spikes, (0, width % 2, 0, height % 2), mode="replicate")
        rate: Tensor = network(padded)[:, :height, :width].clamp(min=0)
        return rate
