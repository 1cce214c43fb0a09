"""Stage 3, fine reconstruction: the network learns from class and prompt loss of its images [9, 10, 11]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from hqgen.training.hardware import Hardware
from hqgen.training.loop import Losses
from spikeclip.data.batches import Batch
from spikeclip.training.losses import class_loss, prompt_loss, total_loss
from spikeclip.training.settings import FineSettings

__all__ = ["Supervision", "fine_losses"]


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
    network: nn.Module, part: Batch, clip: Supervision, settings: FineSettings, hardware: Hardware
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
        images = network(part.voxel).float()
    with hardware.clip_autocast():
        features = clip.image_features(images).float()
    class_term = class_loss(
        features, clip.texts, part.label, settings.tau, settings.duplicates, part.batch_label
    )
    weighted = settings.class_weight * class_term
    if clip.prompts is None:
        return {"total": weighted, "class": class_term}
    prompt_term = prompt_loss(features, clip.prompts, clip.scale)
    total = total_loss(weighted, prompt_term, settings.prompt_weight)
    return {"total": total, "class": class_term, "prompt": prompt_term}
