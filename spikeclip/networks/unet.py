"""UNet, the heavy network that the SpikeCLIP paper compares LRN with (Table 3)."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from spikeclip.networks.padding import Padding

WIDTHS = (50, 100, 200, 400, 800)


class UNet(nn.Module):
    """U-Net of four levels: (B, bins, H, W) -> (B, 1, H, W), any H and W of 16 or more.

    Ronneberger, Fischer and Brox 2015 with padded convolutions, bilinear upsampling and no normalisation, as
    LRN has none. The paper gives only its parameters, 19.2 M, and 46.46 GMAC at 250x400: widths of 50 to 800
    give 19.17 M and 53.67 GMAC.

    Args:
        bins: channels of the voxel.
        padding: beyond the edges; `reflect` needs 32 pixels a side. It has no tensors of its own.
    """

    name = "unet"

    def __init__(self, bins: int = 50, padding: Padding = "zeros") -> None:
        super().__init__()
        self.bins, self.padding = bins, padding
        twice = partial(_twice, padding)
        self.encoder = nn.ModuleList(twice(below, width) for below, width in pairwise((bins, *WIDTHS)))
        self.decoder = nn.ModuleList(twice(deep + width, width) for width, deep in pairwise(WIDTHS))
        self.head = nn.Conv2d(WIDTHS[0], 1, 1)
        self.apply(_initialise)

    def forward(self, voxel: Tensor) -> Tensor:
        """Reconstruct a batch of voxels."""
        features = self.encoder[0](voxel)
        skips = []
        for level in self.encoder[1:]:
            skips.append(features)
            features = level(nn.functional.max_pool2d(features, 2))
        for level in reversed(self.decoder):
            skip = skips.pop()
            # To the size of the skip and not by two: the sides of the picture need not be multiples of 16.
            features = nn.functional.interpolate(
                features, size=skip.shape[-2:], mode="bilinear", align_corners=False
            )
            features = level(torch.cat([skip, features], 1))
        output: Tensor = self.head(features)
        return output


def _twice(padding: Padding, channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1, padding_mode=padding),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width, 3, padding=1, padding_mode=padding),
        nn.ReLU(inplace=True),
    )


def _initialise(module: nn.Module) -> None:
    """He's initialisation: PyTorch's own lets the signal die out over 18 layers without normalisation."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
