"""`base`: the learned method that works out of the box, trained by this project on simulated streams only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from hqgen.methods.network import NetworkMethod

__all__ = ["Base", "BaseNetwork", "interval_rates"]

FRAMES = 41
WINDOWS = (41, 21, 11)


def interval_rates(spikes: Tensor) -> Tensor:
    """Firing rates read off the intervals between spikes.

    A count in a window of T frames is off by up to 1 / T; where the scene stands still, the time that n
    intervals took is known to a frame. Such a ratio is hard to learn from binary frames by convolutions and
    easy to compute.

    Args:
        spikes: (B, 41, H, W), values 0 and 1.

    Returns:
        (B, 4, H, W): the rate from all intervals within the central 41, 21 and 11 frames (spikes / frames
        where there is no whole interval), and from the interval that the centre lies in (as if there had been
        a spike just before the first and just behind the last frame).
    """
    time = torch.arange(FRAMES, device=spikes.device, dtype=spikes.dtype).view(1, FRAMES, 1, 1)
    fired = spikes > 0
    early = torch.where(fired, time, FRAMES)
    late = torch.where(fired, time, -1)
    rates = []
    for window in WINDOWS:
        span = slice((FRAMES - window) // 2, (FRAMES + window) // 2)
        count = spikes[:, span].sum(1)
        length = late[:, span].amax(1) - early[:, span].amin(1)
        rates.append(torch.where(count > 1, (count - 1) / length.clamp(min=1), count / window))
    middle = FRAMES // 2 + 1
    rates.append(1 / (early[:, middle:].amin(1) - late[:, :middle].amax(1)))
    return torch.stack(rates, dim=1)


class BaseNetwork(nn.Module):
    """41 frames and four interval rates to the rate at the centre frame.

    One convolution at full resolution, residual blocks at half resolution (four times cheaper, and they see
    twice as far: the way a fast scene moves within the window), two convolutions at full resolution. The
    output is a correction of the rate in the central 21 frames.
    """

    def __init__(self, wide: int = 32, deep: int = 48, blocks: int = 3) -> None:
        super().__init__()
        self.head = nn.Conv2d(FRAMES + len(WINDOWS) + 1, wide, 3, padding=1)
        self.down = nn.Conv2d(4 * wide, deep, 3, padding=1)
        self.body = nn.ModuleList(Residual(deep) for _ in range(blocks))
        self.up = nn.Conv2d(deep // 4 + wide, wide, 3, padding=1)
        self.tail = nn.Conv2d(wide, 1, 3, padding=1)

    def forward(self, spikes: Tensor) -> Tensor:
        """(B, 41, H, W) spikes, H and W even, to (B, H, W) spikes a frame."""
        rates = interval_rates(spikes)
        fine = torch.relu(self.head(torch.cat([spikes, rates], dim=1)))
        coarse = torch.relu(self.down(functional.pixel_unshuffle(fine, 2)))
        for block in self.body:
            coarse = block(coarse)
        merged = torch.cat([functional.pixel_shuffle(coarse, 2), fine], dim=1)
        correction: Tensor = self.tail(torch.relu(self.up(merged)))
        return rates[:, 1] + correction[:, 0].float()


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

    Trained on spikes simulated from moving pictures, never on those of a camera or a public data set; how, and
    what it reaches, is in docs/base.md.
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
