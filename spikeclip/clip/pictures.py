"""Labelled pictures as the small CLIP learns from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hqgen.errors import SourceError
from hqgen.pictures import labelled_pictures
from spikeclip.data.shapes import SHAPES, draw


@dataclass(frozen=True)
class LabelledPictures:
    """Gray pictures with their classes, all stretched to squares of one size."""

    classes: tuple[str, ...]
    images: Tensor
    """uint8 (N, 1, side, side)."""
    labels: Tensor
    """int64 (N,), indices of `classes`."""
    aspects: Tensor
    """float32 (N,), width by height of each picture before it was stretched."""
    sharp: bool
    """Whether the pictures fill a view with detail; if not, they look blurred by nature."""

    def part(self, rows: Tensor) -> LabelledPictures:
        """Some of the pictures."""
        images, labels, aspects = self.images[rows], self.labels[rows], self.aspects[rows]
        return LabelledPictures(self.classes, images, labels, aspects, self.sharp)


def read_labelled(path: Path, size: int) -> LabelledPictures:
    """Read labelled pictures as gray squares, for views of `size` pixels a side.

    The squares have the side of the longest picture, but half to twice that of the views: fewer pixels than
    half are enlarged once, better than a view would do it each time.

    Args:
        path: a folder or a zip archive of `CLASS/NAME.jpg`.
        size: pixels a side of the views.

    Raises:
        SourceError: neither a folder nor an archive, no picture in it, or a damaged one.
    """
    files = labelled_pictures(path)
    if not files:
        raise SourceError(
            f"no labelled pictures in `{path}`", hint="put them in one folder per class, as CLASS/NAME.jpg"
        )
    classes = tuple(sorted({file.label for file in files}))
    labels = torch.tensor([classes.index(file.label) for file in files])
    pictures = [file.gray() for file in files]
    longest = max(max(picture.size) for picture in pictures)
    side = min(max(longest, size // 2), size * 2)
    aspects = torch.tensor([picture.width / picture.height for picture in pictures])
    return LabelledPictures(classes, _squares(pictures, side), labels, aspects, longest >= size)


def _squares(pictures: Iterable[Image.Image], side: int) -> Tensor:
    """Each picture stretched to a square: uint8 (N, 1, side, side)."""
    squares = [np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC)) for picture in pictures]
    return torch.from_numpy(np.stack(squares))[:, None]


def drawn_shapes(count: int, size: int) -> LabelledPictures:
    """The demo's shapes, `count` of each, other ones than the demo has; `size` as in `read_labelled`."""
    drawn = [
        Image.fromarray(np.round(255 * draw(shape, f"clip/{shape}/{number}")).astype(np.uint8))
        for shape in SHAPES
        for number in range(count)
    ]
    labels = torch.arange(len(SHAPES)).repeat_interleave(count)
    squares = _squares(drawn, min(drawn[0].width, 2 * size))
    return LabelledPictures(SHAPES, squares, labels, torch.ones(len(labels)), drawn[0].width >= size)


def renumbered(pictures: LabelledPictures, classes: tuple[str, ...]) -> LabelledPictures:
    """The same with labels that are indices of `classes`, which has theirs and more."""
    numbers = torch.tensor([classes.index(name) for name in pictures.classes])
    return replace(pictures, classes=classes, labels=numbers[pictures.labels])
