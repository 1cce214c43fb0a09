"""How a CLIP answers to one flaw at a time: curves of "a clear image" and of the accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spikeclip.clip.flaws import CLEAR, FLAWED, blur, darken_borders
from spikeclip.clip.frozen import FrozenClip, class_texts
from spikeclip.clip.measures import batches
from spikeclip.clip.pictures import LabelledPictures
from spikeclip.clip.views import plain_views

Change = Callable[[Tensor, float], Tensor]


def _each(value: float, images: Tensor) -> Tensor:
    return torch.full((len(images), 1, 1, 1), value)


def _noisy(images: Tensor, deviation: float) -> Tensor:
    return images + deviation * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))


def _counted(images: Tensor, spikes: float) -> Tensor:
    phase = torch.rand(images.shape, generator=torch.Generator().manual_seed(2))
    return torch.floor(images * spikes + phase) / spikes


def _faded(images: Tensor, width: float) -> Tensor:
    return darken_borders(images, _each(width, images), torch.ones(())) if width else images


CHANGES: Mapping[str, tuple[Change, tuple[float, ...]]] = {
    "gain": (lambda images, gain: gain * images, (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.4, 2)),
    "noise": (_noisy, (0, 0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3)),
    "spikes": (_counted, (2, 4, 8, 16, 32, 64)),
    "blur": (
        lambda images, pixels: blur(images, _each(pixels, images)) if pixels else images,
        (0, 0.5, 1, 1.5, 2, 2.5, 3),
    ),
    "contrast": (
        lambda images, contrast: 0.5 + contrast * (images - 0.5),
        (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 1),
    ),
    "borders": (_faded, (0, 1, 2, 4, 8, 12, 16)),
}
"""What is done to pictures from 0 to 1, and how strongly: a factor of light; the deviation of Gaussian noise;
spikes of a white pixel; the deviation of blur in pixels; a factor of the distance from middle gray; the width
in pixels over which black borders fade."""


@dataclass(frozen=True)
class Response:
    """What a model makes of pictures with one change of one strength.

    Attributes:
        change: a name of `CHANGES`.
        strength: of the change.
        clear: mean probability of "a clear image" against the captions of flaws.
        accuracy: share of the pictures that are next to the caption of their class.
    """

    change: str
    strength: float
    clear: float
    accuracy: float


@torch.no_grad()
def responses(
    clip: FrozenClip, pictures: LabelledPictures, *, size: int = 192, flawed: Sequence[str] = FLAWED
) -> list[Response]:
    """Measure the answers of a CLIP to each change of `CHANGES`.

    Args:
        clip: any CLIP.
        pictures: clear pictures, with all the classes that are compared.
        size: pixels a side to which pictures are stretched before they are changed.
        flawed: the captions that "a clear image" is compared with.
    """
    quality = clip.text_features([CLEAR, *flawed])
    classes = clip.text_features(class_texts(pictures.classes))
    found = []
    for name, (change, strengths) in CHANGES.items():
        for strength in strengths:
            clear, right = 0.0, 0
            for _, part in batches(pictures):
                seen = clip.image_features(change(plain_views(part.images, size), strength))
                clear += float((clip.logit_scale * seen @ quality.T).softmax(1)[:, 0].sum())
                right += int(((seen @ classes.T).argmax(1) == part.labels).sum())
            count = len(pictures.labels)
            found.append(Response(name, strength, clear / count, right / count))
    return found


def panels(found: Sequence[Response]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """The curves of all changes, for `hqgen.plot.curves`."""
    return {
        f"{name}: clear": {
            measure: [(row.strength, getattr(row, measure)) for row in found if row.change == name]
            for measure in ("clear", "accuracy")
        }
        for name in CHANGES
    }
