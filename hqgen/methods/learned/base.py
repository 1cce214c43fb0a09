"""`base`: the learned method whose weights ship with hqgen, trained on simulated streams only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from hqgen.methods.learned.layers import Residual, conv3x3
from hqgen.methods.learned.network import NetworkMethod

FRAMES = 41


class BaseNetwork(nn.Module):
    """41 frames to the firing rate at the centre frame.

    One convolution at full resolution, residual blocks at half resolution, two convolutions at full
    resolution. Half resolution is four times cheaper and sees twice as far, as far as a fast scene moves in
    the window.
    """

    def __init__(self, wide: int = 32, deep: int = 48, blocks: int = 3) -> None:
        super().__init__()
        self.head = conv3x3(FRAMES, wide)
        self.down = conv3x3(4 * wide, deep)
        self.body = nn.Sequential(
            *(
                Residual(first=conv3x3(deep, deep), between=nn.ReLU(), second=conv3x3(deep, deep))
                for _ in range(blocks)
            )
        )
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
    """A small network (0.2 M parameters) whose weights ship with hqgen.

    It was trained on spikes simulated from moving pictures, never on a real recording or a public data set;
    docs/base.md has the training and the results.
    """

    name: ClassVar[str] = "base"
    rank: ClassVar[int] = 120
    citation: ClassVar[str] = "hqgen, docs/base.md: trained by this project on simulated streams"
    weights_licence: ClassVar[str] = "MIT"
    weights_source: ClassVar[str] = "ships with hqgen; remade by `hqgen train-method base`"

    network = BaseNetwork

    def infer(self, network: nn.Module, spikes: Tensor) -> Tensor:
        """(B, 41, H, W) to (B, H, W), spikes per frame, not negative; odd sides are padded by one."""
        height, width = spikes.shape[-2:]
        padded = functional.pad(spikes, (0, width % 2, 0, height % 2), mode="replicate")
        return network(padded)[:, :height, :width].clamp(min=0)
