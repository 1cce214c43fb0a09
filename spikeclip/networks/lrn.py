"""LRN, the light-weight reconstruction network of the SpikeCLIP paper."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

WIDTHS = (64, 128, 64, 16)


class LRN(nn.Sequential):
    """Five 3x3 convolutions, a ReLU after all but the last: (B, bins, H, W) -> (B, 1, H, W), any H and W.

    The output is linear, nominally in [0, 1] and not clamped. The names of the tensors are those of the
    published checkpoints (`0.0.weight`, ..., `4.bias`).

    Args:
        bins: channels of the voxel.
    """

    name = "lrn"

    def __init__(self, bins: int = 50) -> None:
        layers = [
            nn.Sequential(nn.Conv2d(wide, narrow, 3, padding=1), nn.ReLU(inplace=True))
            for wide, narrow in pairwise((bins, *WIDTHS))
        ]
        super().__init__(*layers, nn.Conv2d(WIDTHS[-1], 1, 3, padding=1))
        self.bins = bins
