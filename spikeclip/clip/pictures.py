"""Labelled pictures as the small CLIP learns from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from hqgen.errors import SourceError
from hqgen.pictures import labelled_pictures
from spikeclip.data.shapes import SHAPES, draw


@dataclass(frozen=True)
class LabelledPictures:
    """Gray pictures of one size with their classes."""

    classes: tuple[str, ...]
    images: Tensor
    """uint8 (N, 1, side, side)."""
    labels: Tensor
    """int64 (N,), indices of `classes`."""

    def part(self, rows: Tensor) -> LabelledPictures:
        """Some of the pictures."""
        return LabelledPictures(self.classes, self.images[rows], self.labels[rows])


def read_labelled(path: Path, side: int) -> LabelledPictures:
    """Read labelled pictures as gray squares: the middle of each, scaled.

    Args:
        path: a folder or a zip archive of `CLASS/NAME.jpg`.
        side: pixels a side.

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
    return LabelledPictures(classes, _squares((file.gray() for file in files), side), labels)


def _squares(pictures: Iterable[Image.Image], side: int) -> Tensor:
    """The middle of each picture, scaled: uint8 (N, 1, side, side)."""
    size, how = (side, side), Image.Resampling.BICUBIC
    squares = [np.asarray(ImageOps.fit(picture, size, how)) for picture in pictures]
    return torch.from_numpy(np.stack(squares))[:, None]


def drawn_shapes(count: int, side: int) -> LabelledPictures:
    """The demo's shapes, `count` of each, other ones than the demo has."""
    drawn = (
        Image.fromarray(np.round(255 * draw(shape, f"clip/{shape}/{number}")).astype(np.uint8))
        for shape in SHAPES
        for number in range(count)
    )
    labels = torch.arange(len(SHAPES)).repeat_interleave(count)
    return LabelledPictures(SHAPES, _squares(drawn, side), labels)


def joined(one: LabelledPictures, other: LabelledPictures) -> LabelledPictures:
    """Both, with the classes of both."""
    classes = tuple(dict.fromkeys([*one.classes, *other.classes]))
    parts = [renumbered(part, classes) for part in (one, other)]
    images, labels = torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts])
    return LabelledPictures(classes, images, labels)


def renumbered(pictures: LabelledPictures, classes: tuple[str, ...]) -> LabelledPictures:
    """The same with labels that are indices of `classes`, which has theirs and more."""
    numbers = torch.tensor([classes.index(name) for name in pictures.classes])
    return LabelledPictures(classes, pictures.images, numbers[pictures.labels])
