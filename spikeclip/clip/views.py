"""What the small CLIP sees of its training pictures: screens in dark frames, whole pictures, and crops.

The frames are those of the screens of U-CALTECH and U-CIFAR. The crops are as large as parts of a network's
output at full resolution. Each view has flaws of known grades (see `flaws.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from spikeclip.clip.flaws import FLAWS, GRADES, spoil
from spikeclip.clip.pictures import LabelledPictures

Kind = Literal["mixed", "placed", "crops"]

_PLACED, _WHOLE = 0.45, 0.3  # shares of the views; the others are crops
_CLEAR, _FLAWED = 0.45, 0.33  # shares of the views without flaws, and of each flaw in the others
_SCALES: dict[str, tuple[float, float]] = {"placed": (0.75, 1.0), "whole": (1.0, 1.1), "crops": (1.15, 1.6)}
"""Longer side of a picture, as a share of the view's."""


@dataclass(frozen=True)
class Views:
    """What a batch of pictures looks like."""

    images: Tensor
    """float32 (B, 1, size, size), brightness, about 0 to 1."""
    grades: Tensor
    """float32 (B, 5), from 0 to 3, the columns as `FLAWS`."""
    known: Tensor
    """bool (B, 5), whether a grade is known: how blurred a picture of few pixels looks is not."""


Draw = Callable[[float, float], Tensor]
"""Draws uniform random numbers in a range, one a picture, shaped to be broadcast over images."""


def plain_views(pictures: Tensor, size: int) -> Tensor:
    """Pictures uint8 (B, 1, h, w) as they are, as float32 (B, 1, size, size) from 0 to 1."""
    small = functional.interpolate(
        pictures.float() / 255, (size, size), mode="bilinear", align_corners=False, antialias=True
    )
    return small.clamp(0, 1)


def make_views(
    pictures: LabelledPictures, size: int, generator: torch.Generator, *, kind: Kind = "mixed"
) -> Views:
    """Draw a view of each picture.

    Args:
        pictures: the pictures.
        size: pixels a side of the views.
        generator: where all that is random comes from; on the CPU.
        kind: `mixed` for training; for tests `placed` or `crops`, which have no flaws and are not mirrored.
    """
    count = len(pictures.labels)

    def draw(low: float, high: float) -> Tensor:
        return torch.rand((count, 1, 1, 1), generator=generator) * (high - low) + low

    images = _shown(pictures, size, kind, draw)
    grades = _grades(count, generator)
    if kind != "mixed":
        grades = grades.clamp(max=0)
    images = spoil(images, grades, generator, depth=draw(0.3, 1))
    known = torch.ones(grades.shape, dtype=torch.bool)
    known[:, list(FLAWS).index("blur")] = pictures.sharp
    return Views(images, grades.clamp(0, GRADES), known)


def _grades(count: int, generator: torch.Generator) -> Tensor:
    """Grades from below 0, which nobody sees, to a bit more than the last; each flaw apart."""
    chance, grade, better = torch.rand((3, count, len(FLAWS)), generator=generator).unbind(0)
    clear = torch.rand((count, 1), generator=generator) < _CLEAR
    flawed = (chance < _FLAWED) & ~clear
    lowest = torch.tensor([flaw.lowest for flaw in FLAWS.values()])
    return torch.where(flawed, grade * (GRADES + 0.2), better * lowest)


def _shown(pictures: LabelledPictures, size: int, kind: Kind, draw: Draw) -> Tensor:
    """Pictures on screens in dark frames, or filling the view; their gamma varies."""
    chance, mixed = draw(0, 1), kind == "mixed"
    placed = (chance < _PLACED) if mixed else torch.full_like(chance, kind == "placed") > 0
    whole = (chance >= _PLACED) & (chance < _PLACED + _WHOLE) & mixed
    scales = {name: draw(*bounds) for name, bounds in _SCALES.items()}
    scale = torch.where(placed, scales["placed"], torch.where(whole, scales["whole"], scales["crops"]))
    aspect = torch.where(whole, torch.ones(()), pictures.aspects[:, None, None, None])
    mirrored = (draw(0, 1) < 0.5) & mixed
    # Pictures with more pixels than the view are averaged over 2x2 points, or they would get false grain.
    source = pictures.images.float() / 255
    if source.shape[-1] > 2 * size:
        source = functional.avg_pool2d(source, 2)
    over = 2 if source.shape[-1] > size else 1
    places = _places(over * size, scale, aspect, mirrored, draw)
    shown = functional.grid_sample(source, places, padding_mode="border", align_corners=False)
    screen = (places.abs() <= 1).all(3)[:, None].float()
    shown, screen = functional.avg_pool2d(shown, over), functional.avg_pool2d(screen, over)
    surround = draw(-0.35, 0.2)
    return surround + screen * (shown ** draw(-0.4, 0.4).exp() - surround)


def _places(size: int, scale: Tensor, aspect: Tensor, mirrored: Tensor, draw: Draw) -> Tensor:
    """Where each pixel of a view is in its picture, (B, size, size, 2) from -1 to 1."""
    width, height = scale * aspect.clamp(max=1), scale / aspect.clamp(min=1)
    stretch = draw(-0.12, 0.12).exp()
    width, height = width * stretch, height / stretch
    across, down = torch.where(mirrored, -1.0, 1.0) / width, 1 / height
    middle_x, middle_y = draw(-1, 1) * (1 - width).abs(), draw(-1, 1) * (1 - height).abs()
    angle = draw(-0.1, 0.1)
    at = (torch.arange(size) * 2 + 1) / size - 1
    x, y = at[:, None] - middle_x, at[:, None, None] - middle_y  # (B, 1, size, 1) and (B, size, 1, 1)
    u, v = x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos()
    return torch.cat([across * u, down * v], 3)
