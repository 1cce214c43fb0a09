"""LRN, the light-weight reconstruction network of the SpikeCLIP paper."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from spikeclip.networks.padding import Padding

WIDTHS = (64, 128, 64, 16)


class LRN(nn.Sequential):
    """Five 3x3 convolutions, a ReLU after all but the last: (B, bins, H, W) -> (B, 1, H, W), any H and W.

    The output is linear, nominally in [0, 1] and not clamped. The names of the tensors are those of the
    published checkpoints (`0.0.weight`, ..., `4.bias`).

    Args:
        bins: channels of the voxel.
        padding: beyond the edges; `reflect` needs two pixels a side. It has no tensors of its own.
    """

    name = "lrn"

    def __init__(self, bins: int = 50, padding: Padding = "zeros") -> None:
        layers = [
            nn.Sequential(_convolution(wide, narrow, padding), nn.ReLU(inplace=True))
            for wide, narrow in pairwise((bins, *WIDTHS))
        ]
        super().__init__(*layers, _convolution(WIDTHS[-1], 1, padding))
        self.bins, self.padding = bins, padding


def _convolution(wide: int, narrow: int, padding: Padding) -> nn.Conv2d:
    return nn.Conv2d(wide, narrow, 3, padding=1, padding_mode=padding)
