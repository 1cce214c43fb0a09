"""Stage 2, prompt learning: two prompts learn to tell HQ images from LQ ones [7, 8]."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from hqgen.training.hardware import Hardware
from hqgen.training.loop import Losses
from spikeclip.data.batches import Batch
from spikeclip.training.losses import prompt_initial_loss

__all__ = ["prompt_losses"]


def prompt_losses(
    prompts: nn.Module,
    part: Batch,
    *,
    coarse: Callable[[Tensor], Tensor],
    clip: nn.Module,
    image_features: Callable[[Tensor], Tensor],
    hardware: Hardware,
) -> Losses:
    """Cross-entropy of the softmax over the similarities of an image with T_lq and T_hq.

    Args:
        prompts: clip -> (2, D), features of T_lq and T_hq; they learn, and nothing else does.
        part: n voxels and n HQ images.
        coarse: the network of stage 1, which makes the LQ images.
        clip: frozen, with the text tower that the prompts go through, in float32.
        image_features: CLIP's image tower.
        hardware: runs network and image tower.
    """
    assert part.hq is not None
    with torch.no_grad():
        with hardware.autocast():
            lq = coarse(part.voxel).float()
        with hardware.clip_autocast():
            features = image_features(torch.cat([lq, part.hq])).float()
    is_hq = torch.arange(len(features), device=features.device) >= len(lq)
    return {"initial": prompt_initial_loss(features, is_hq, prompts(clip), clip.logit_scale)}  # type: ignore[arg-type]
