"""Layers and paddings that several of the published networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["conv3x3", "offsets_and_mask", "pad_symmetric", "upsample"]


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution with bias that keeps the size, or divides it by `stride`."""
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)


def upsample(x: Tensor) -> Tensor:
    """Twice the size, bilinear: (B, C, H, W) to (B, C, 2H, 2W)."""
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def offsets_and_mask(x: Tensor) -> tuple[Tensor, Tensor]:
    """Split what a convolution predicts for a modulated deformable 3x3 convolution with G groups.

    Args:
        x: (B, 27 * G, H, W): two thirds offsets, the last third the logits of the mask.

    Returns:
        The offsets (B, 18 * G, H, W) and the mask (B, 9 * G, H, W) in the layout of
        `torchvision.ops.deform_conv2d`.
    """
    first, second, logits = x.chunk(3, dim=1)
    return torch.cat([first, second], dim=1), logits.sigmoid()


def pad_symmetric(frames: Tensor, multiple: int) -> Tensor:
    """Mirror the last rows and columns, edge included, until both sides are multiples of `multiple`.

    Args:
        frames: (..., H, W), H and W at least `multiple`.
        multiple: what the sides of the result are multiples of.
    """
    rows, columns = -frames.shape[-2] % multiple, -frames.shape[-1] % multiple
    frames = torch.cat([frames, frames[..., frames.shape[-2] - rows :, :].flip(-2)], dim=-2)
    return torch.cat([frames, frames[..., frames.shape[-1] - columns :].flip(-1)], dim=-1)
