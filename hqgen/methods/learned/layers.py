"""Building blocks and paddings that several of the published networks share.

A published checkpoint gives every parameter a name. `chain` and `Residual` make a block of torch's layers
with these names. Layers without parameters may have any name.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import Permute


def chain(**layers: nn.Module) -> nn.Sequential:
    """Layers that run one after the other, each with the name that it has in the checkpoint."""
    return nn.Sequential(OrderedDict(layers))


class Residual(nn.Sequential):
    """Layers whose output is added to their input; the result has the larger number of channels.

    Args:
        layers: numbered as in `nn.Sequential`.
        relu: whether a ReLU follows the sum.
        named: more layers, named as in `chain`.
    """

    def __init__(self, *layers: nn.Module, relu: bool = False, **named: nn.Module) -> None:
        super().__init__(OrderedDict((str(index), layer) for index, layer in enumerate(layers)) | named)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...) to the same shape."""
        change = x
        for layer in self:
            change = layer(change)
        return torch.relu(x + change) if self.relu else x + change


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution with bias that keeps the size, or divides it by `stride`."""
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)


def residual3x3(channels: int) -> Residual:
    """Two 3x3 convolutions, `first` and `second`, with a ReLU between them, added to their input."""
    return Residual(first=conv3x3(channels, channels), between=nn.ReLU(), second=conv3x3(channels, channels))


def channels_last() -> nn.Module:
    """(B, C, H, W) to (B, H, W, C)."""
    return Permute([0, 2, 3, 1])


def channels_first() -> nn.Module:
    """(B, H, W, C) to (B, C, H, W)."""
    return Permute([0, 3, 1, 2])


def upsample(x: Tensor) -> Tensor:
    """Twice the size, bilinear: (B, C, H, W) to (B, C, 2H, 2W)."""
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def offsets_and_mask(x: Tensor) -> tuple[Tensor, Tensor]:
    """Split the input of a modulated deformable 3x3 convolution with G groups.

    Args:
        x: (B, 27 * G, H, W): two thirds are offsets, the last third holds the logits of the mask.

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
        multiple: of which the sides of the result are multiples.
    """
    rows, columns = -frames.shape[-2] % multiple, -frames.shape[-1] % multiple
    frames = torch.cat([frames, frames[..., frames.shape[-2] - rows :, :].flip(-2)], dim=-2)
    return torch.cat([frames, frames[..., frames.shape[-1] - columns :].flip(-1)], dim=-1)


def pad_evenly(image: Tensor, multiple: int, mode: str) -> Tensor:
    """Pad (B, C, H, W) at all edges until both sides are multiples of `multiple`.

    An odd row or column goes to the bottom or to the right. `mode` is one of `torch.nn.functional.pad`.
    """
    rows, columns = -image.shape[-2] % multiple, -image.shape[-1] % multiple
    top, left = rows // 2, columns // 2
    return functional.pad(image, (left, columns - left, top, rows - top), mode=mode)


def crop_evenly(image: Tensor, height: int, width: int) -> Tensor:
    """The middle `height` x `width` pixels of (..., H, W); undoes `pad_evenly`."""
    top, left = (image.shape[-2] - height) // 2, (image.shape[-1] - width) // 2
    return image[..., top : top + height, left : left + width]
