"""A network of which only the brightness of its pictures is learned: the simplest thing to beat."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class Scaled(nn.Module):
    """A network times one learned gain: (B, bins, H, W) -> (B, 1, H, W).

    The logarithm of the gain is learned, so that the gain stays above 0 and a step of Adam changes it by a
    share that is about the learning rate.

    Args:
        network: an LRN or UNet, whose parameters are frozen; its last layer is a convolution.
        gain: where the gain begins, above 0.
    """

    def __init__(self, network: nn.Module, gain: float = 1.0) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)
        self.log_gain = nn.Parameter(torch.tensor(gain).log())

    @property
    def gain(self) -> float:
        """The gain."""
        return float(self.log_gain.detach().exp())

    def forward(self, voxel: Tensor) -> Tensor:
        """Reconstruct a batch of voxels."""
        picture: Tensor = self.network(voxel) * self.log_gain.exp()
        return picture

    def folded(self) -> nn.Module:
        """A network of the same form as before, with the gain in its last convolution."""
        network = copy.deepcopy(self.network)
        *_, last = (layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
        with torch.no_grad():
            for parameter in last.parameters():
                parameter.mul_(self.log_gain.exp())
        return network.requires_grad_(True)
