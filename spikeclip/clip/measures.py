"""What a CLIP knows: classes of test pictures without training on them, and the flaws of pictures."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from spikeclip.clip.flaws import CAPTIONS, FLAWS, GRADES
from spikeclip.clip.frozen import FrozenClip, class_texts
from spikeclip.clip.pictures import LabelledPictures
from spikeclip.clip.views import make_views, plain_views

_BATCH = 64


@torch.no_grad()
def accuracy(
    clip: FrozenClip,
    tests: LabelledPictures,
    kind: Literal["plain", "placed", "crops"],
    size: int | None = None,
) -> float:
    """The share of pictures that are next to the caption "image of a [cls]" of their class (zero-shot).

    Args:
        clip: the model.
        tests: the pictures, with all the classes that are compared.
        kind: `plain`: whole pictures; `placed`: on a screen in a dark frame; `crops`: parts of them. The
            latter two vary in light and other ways, but have no flaws.
        size: pixels a side of the views. Default: those of the model.
    """
    size, captions, right = size or clip.image_size, clip.text_features(class_texts(tests.classes)), 0
    for first, part in batches(tests):
        if kind == "plain":
            images = plain_views(part.images, size)
        else:
            images = make_views(part, size, _generator(first), kind=kind).images
        right += int(((clip.image_features(images) @ captions.T).argmax(1) == part.labels).sum())
    return right / len(tests.labels)


@torch.no_grad()
def grade_error(clip: FrozenClip, tests: LabelledPictures) -> float:
    """How far the grades that the model sees are from the true ones on average, from 0 to 3."""
    captions = clip.text_features(CAPTIONS)
    errors = []
    for first, part in batches(tests):
        views = make_views(part, clip.image_size, _generator(first))
        seen = seen_grades(clip.logit_scale * clip.image_features(views.images) @ captions.T)
        errors.append((seen - views.grades).abs()[views.known])
    return float(torch.cat(errors).mean())


def seen_grades(logits: Tensor) -> Tensor:
    """The expected grade of each flaw, float32 (B, 5), of logits (B, 21) of `CAPTIONS`."""
    shares = logits[:, 1:].reshape(len(logits), len(FLAWS), GRADES + 1).softmax(2)
    return shares @ torch.arange(GRADES + 1.0)


def batches(pictures: LabelledPictures) -> list[tuple[int, LabelledPictures]]:
    """The pictures in parts of 64, each with the number of its first."""
    count = len(pictures.labels)
    return [
        (first, pictures.part(torch.arange(first, min(first + _BATCH, count))))
        for first in range(0, count, _BATCH)
    ]


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
