"""Stage 3, fine reconstruction: the network learns from class and prompt loss of its images [9, 10, 11]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spikeclip.losses import Duplicates, prompt_loss, total_loss
from spikeclip.settings import FineSettings
from spikeclip.stages.hardware import Hardware
from spikeclip.stages.loop import Losses, Part

__all__ = ["Supervision", "fine_losses", "part_class_loss"]


@dataclass(frozen=True)
class Supervision:
    """What CLIP knows, none of which learns.

    Attributes:
        image_features: (n, 1, h, w) -> (n, D).
        texts: (C, D), features of the text of each class.
        prompts: (2, D), features of T_lq and T_hq; None where the prompt loss is left out.
        scale: CLIP's logit scale.
    """

    image_features: Callable[[Tensor], Tensor]
    texts: Tensor
    prompts: Tensor | None
    scale: float


def fine_losses(
    network: nn.Module, part: Part, clip: Supervision, settings: FineSettings, hardware: Hardware
) -> Losses:
    """L_total = L_class + lambda L_prompt [11] of the network's images.

    Args:
        network: (n, bins, h, w) -> (n, 1, h, w); it learns.
        part: voxels, their labels, and those of the whole batch.
        clip: what judges the images.
        settings: of the stage.
        hardware: runs network and image tower.
    """
    with hardware.autocast():
        features = clip.image_features(network(part.voxel).float()).float()
    class_term = part_class_loss(
        features, clip.texts, part.label, part.batch_label, settings.tau, settings.duplicates
    )
    weighted = settings.class_weight * class_term
    if clip.prompts is None:
        return {"total": weighted, "class": class_term}
    prompt_term = prompt_loss(features, clip.prompts, clip.scale)
    total = total_loss(weighted, prompt_term, settings.prompt_weight)
    return {"total": total, "class": class_term, "prompt": prompt_term}


def part_class_loss(
    image_features: Tensor,
    text_features: Tensor,
    labels: Tensor,
    batch_labels: Tensor,
    tau: float,
    duplicates: Duplicates,
) -> Tensor:
    """`spikeclip.losses.class_loss` [10] for a part of a batch, against the texts of the whole batch.

    The denominator of [10] sums over the texts of the batch, not over its images. So the labels of the whole
    batch are all that an image needs of the others: the mean over all micro-batches and processes is the loss
    of the whole batch, and its gradient is, too. No features have to be gathered.

    Args:
        image_features: (n, D), I.
        text_features: (C, D), T, of the text of each class.
        labels: int64 (n,), c, the class of each image.
        batch_labels: int64 (B,), of the whole batch.
        tau: the temperature.
        duplicates: `mask` leaves samples of an image's own class, but itself, out of its sum.
    """
    logits = image_features @ text_features.T / tau
    own = logits.gather(1, labels[:, None])
    others = logits[:, batch_labels]
    if duplicates == "mask":
        same_class = labels[:, None] == batch_labels[None, :]
        others = torch.cat([own, others.masked_fill(same_class, -torch.inf)], dim=1)
    return (others.logsumexp(dim=1) - own[:, 0]).mean()
