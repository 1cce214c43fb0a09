"""What the small CLIP sees of its training pictures: low-light screens, in every state that they come in.

A picture is scaled, placed in a dark frame as the screens of U-CALTECH and U-CIFAR are, and varied in light.
Some are then spoiled (dark, noisy or blurred) so far that the right caption is no longer what they show but
what is wrong with them. Without such captions the model's features would say nothing about quality, and the
prompts of stage 2 would have nothing to learn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

QUALITY_CAPTIONS = ("a clear image", "a dark image", "a noisy image", "a blurred image")
_CLEAR, _DARK, _NOISY, _BLURRED = range(4)
_SHARES = (0.76, 0.08, 0.08, 0.08)
_PLACED = 0.8  # the others fill the view, as pictures that no screen shows do
_RADIUS = 8


@dataclass(frozen=True)
class Views:
    """What a batch of pictures looks like."""

    images: Tensor
    """float32 (B, 1, size, size), brightness, about 0 to 1."""
    quality: Tensor
    """int64 (B,), rows of `QUALITY_CAPTIONS`; all but 0 are spoiled beyond recognition."""


Draw = Callable[[float, float], Tensor]
"""Draws uniform random numbers in a range, one a picture, shaped to be broadcast over images."""


def plain_views(pictures: Tensor, size: int) -> Tensor:
    """Pictures uint8 (B, 1, h, w) as they are, as float32 (B, 1, size, size) from 0 to 1."""
    return functional.interpolate(pictures.float() / 255, (size, size), mode="bilinear", align_corners=False)


def make_views(pictures: Tensor, size: int, generator: torch.Generator, *, test: bool = False) -> Views:
    """Draw a view of each picture.

    Args:
        pictures: uint8 (B, 1, h, w).
        size: pixels a side of the views.
        generator: where all that is random comes from; on the CPU.
        test: place every picture in a dark frame, mirror and spoil none, as accuracy is measured.
    """
    count = len(pictures)

    def draw(low: float, high: float) -> Tensor:
        return torch.rand((count, 1, 1, 1), generator=generator) * (high - low) + low

    quality = torch.multinomial(torch.tensor(_SHARES), count, replacement=True, generator=generator)
    placed, mirrored = draw(0, 1) < _PLACED, draw(0, 1) < 0.5
    if test:
        quality, placed, mirrored = quality * 0, placed | True, mirrored & False
    is_a = quality[:, None, None, None]
    images = _shown(pictures.float() / 255, size, placed, mirrored, draw)
    images = _blurred(images, torch.where(is_a == _BLURRED, draw(2.5, 5), draw(0.1, 1)))
    # Dark pictures are noisy too: a low light leaves few spikes.
    deviation = torch.where(is_a == _NOISY, draw(0.15, 0.5), draw(0, 0.05))
    deviation = torch.where(is_a == _DARK, draw(0, 0.3), deviation)
    images = images + deviation * torch.randn(images.shape, generator=generator)
    return Views(images * torch.where(is_a == _DARK, draw(0.01, 0.15), draw(0.8, 1.1)), quality)


def _shown(pictures: Tensor, size: int, placed: Tensor, mirrored: Tensor, draw: Draw) -> Tensor:
    """Pictures on screens in dark frames, or filling the view; light and contrast vary."""
    scale = torch.where(placed, draw(0.75, 1), draw(1, 1.15))
    slack = (1 - scale).abs()
    places = _places(size, scale, draw(-1, 1) * slack, draw(-1, 1) * slack, mirrored, draw)
    shown = functional.grid_sample(pictures, places, padding_mode="border", align_corners=False)
    screen = (places.abs().amax(3) <= 1)[:, None]
    black = draw(0, 0.35)
    lit = black + (draw(0.6, 1) - black) * shown ** draw(-0.4, 0.4).exp()
    return torch.where(screen, lit, black * draw(0, 1))


def _places(size: int, scale: Tensor, x: Tensor, y: Tensor, mirrored: Tensor, draw: Draw) -> Tensor:
    """Where each pixel of a view is in its picture, (B, size, size, 2) from -1 to 1."""
    angle = draw(-0.06, 0.06).flatten()
    stretch = draw(-0.1, 0.1).exp().flatten()
    across = (torch.where(mirrored, -1.0, 1.0) / scale).flatten() * stretch
    down = 1 / (scale.flatten() * stretch)
    rows = [across * angle.cos(), -across * angle.sin(), -across * x.flatten()]
    rows += [down * angle.sin(), down * angle.cos(), -down * y.flatten()]
    matrices = torch.stack(rows, 1).reshape(-1, 2, 3)
    return functional.affine_grid(matrices, [len(matrices), 1, size, size], align_corners=False)


def _blurred(images: Tensor, deviation: Tensor) -> Tensor:
    """Each image through a Gaussian of its own standard deviation in pixels, (B, 1, 1, 1)."""
    at = torch.arange(-_RADIUS, _RADIUS + 1.0)
    kernels = torch.exp(-0.5 * (at / deviation) ** 2)
    kernels = kernels / kernels.sum(3, keepdim=True)
    channels = functional.pad(images.transpose(0, 1), [_RADIUS] * 4, mode="replicate")
    channels = functional.conv2d(channels, kernels, groups=len(images))
    channels = functional.conv2d(channels, kernels.transpose(2, 3), groups=len(images))
    return channels.transpose(0, 1)
