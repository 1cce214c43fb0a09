"""What CLIP sees of a picture: how bright it is, and whether it is whole.

Everything random is a function of the numbers that come with each sample (`Batch.chance`).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spikeclip.data.batches import Batch, Chance
from spikeclip.training.settings import Brightness

DARKEST, BRIGHTEST = 0.05, 0.6
"""Limits of the mean of a picture that is drawn by itself: from dark outputs to bright photographs."""

BLACK = 1e-3
"""Smaller means are treated as this one, so that the noise of a black picture stays small."""


def matched(lq: Tensor, hq: Tensor, part: Batch, brightness: Brightness) -> tuple[Tensor, Tensor]:
    """LQ and HQ pictures in which brightness says less about quality, or nothing.

    Args:
        lq: (n, 1, h, w), outputs of the network.
        hq: (n, 1, h, w), HQ crops, those of the same samples.
        part: the samples, whose `chance` decides what is random.
        brightness: `raw` changes nothing. `paired` gives each LQ picture the mean of its HQ crop. `random`
            gives every picture a mean that is drawn for it alone, evenly on a logarithmic scale.

    Returns:
        both, float32.
    """
    if brightness == "paired":
        return with_mean(lq, hq.mean(dim=(1, 2, 3))), hq
    if brightness == "random":
        assert part.chance is not None
        low, high = (_drawn_means(part.chance[:, place], lq) for place in (-2, -1))
        return with_mean(lq, low), with_mean(hq, high)
    return lq, hq


def with_mean(images: Tensor, means: Tensor) -> Tensor:
    """Pictures (n, 1, h, w), each times the gain that gives it one of the means (n,)."""
    gains = means / images.mean(dim=(1, 2, 3)).clamp(min=BLACK)
    return images * gains[:, None, None, None]


def _drawn_means(chance: Chance, images: Tensor) -> Tensor:
    means = DARKEST * (BRIGHTEST / DARKEST) ** chance
    return torch.from_numpy(means.astype(np.float32)).to(images.device)


def random_crops(images: Tensor, part: Batch, count: int, side: int) -> Tensor:
    """Square crops at random places, at full resolution.

    Args:
        images: (n, 1, h, w), pictures of the samples.
        part: the samples, whose `chance` decides the places.
        count: crops of each picture, 1 to 4.
        side: pixels a side, at most h and w.

    Returns:
        (count * n, 1, side, side): the first crop of every picture, then the second one, and so on.
    """
    assert part.chance is not None
    room = np.array(images.shape[-2:]) - side + 1
    corners = (part.chance[:, : 2 * count].reshape(len(images), count, 2) * room).astype(int).swapaxes(0, 1)
    return torch.stack(
        [
            image[:, top : top + side, left : left + side]
            for places in corners.tolist()
            for image, (top, left) in zip(images, places, strict=True)
        ]
    )
