"""The losses of the three stages, as the SpikeCLIP paper writes them; its equation numbers stand in brackets.

Features are float32 of length one: the product of two is their cosine similarity. Every loss is the mean over
the batch, where the paper writes [9] for one image and [10] as a sum; in [11] both weigh as they do there.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from hqgen.training.hardware import Hardware
from hqgen.training.loop import Losses
from spikeclip.data.batches import Batch
from spikeclip.training.settings import CoarseSettings, Duplicates, FineSettings


def prompt_initial_loss(
    image_features: Tensor, is_hq: Tensor, prompt_features: Tensor, scale: float
) -> Tensor:
    """L_initial = CrossEntropy(y, ŷ), where ŷ is the probability of the HQ prompt and y = 1 for HQ [7, 8].

    Args:
        image_features: (B, D), of HQ and of LQ pictures.
        is_hq: (B,), which of them are HQ.
        prompt_features: (2, D), of T_lq and of T_hq.
        scale: CLIP's logit scale.
    """
    return nn.functional.cross_entropy(scale * image_features @ prompt_features.T, is_hq.long())


def prompt_loss(image_features: Tensor, prompt_features: Tensor, scale: float) -> Tensor:
    """L_prompt = - the probability of the HQ prompt [9].

    Args:
        image_features: (B, D), of the network's output.
        prompt_features: (2, D), of T_lq and of T_hq.
        scale: CLIP's logit scale.
    """
    probabilities = (scale * image_features @ prompt_features.T).softmax(dim=1)
    return -probabilities[:, 1].mean()


def class_loss(
    image_features: Tensor,
    text_features: Tensor,
    labels: Tensor,
    tau: float = 0.07,
    duplicates: Duplicates = "mask",
    batch_labels: Tensor | None = None,
) -> Tensor:
    """L_class = - log (exp(I_i T_ci / τ) / Σ_j exp(I_i T_cj / τ)), InfoNCE over the batch [10].

    A batch of one class only has nothing to distinguish. Masked, the loss is 0; in the literal form, log B.
    Neither moves the network.

    The sum runs over the texts of the batch, not over its images. So a part of a batch, on a process of its
    own or in a step of accumulation, needs only the labels of the others: the mean of the losses of equal
    parts is the loss of the whole.

    Args:
        image_features: (n, D), I.
        text_features: (C, D), T, of the text of each class.
        labels: int64 (n,), c, the class of each picture.
        tau: the temperature τ.
        duplicates: the samples j ≠ i of the class of i, which the equation counts as negatives of i although
            their text is its own: `mask` leaves them out of the sum, `literal` is the equation as it stands.
        batch_labels: int64 (B,), of the whole batch where the pictures are a part of it; None: they are all.
    """
    batch_labels = labels if batch_labels is None else batch_labels
    logits = image_features @ text_features.T / tau
    right = logits.gather(1, labels[:, None])
    summed = logits.index_select(1, batch_labels)
    if duplicates == "mask":
        same_class = labels[:, None] == batch_labels[None, :]
        summed = torch.cat([right, summed.masked_fill(same_class, -torch.inf)], dim=1)
    return (summed.logsumexp(dim=1) - right[:, 0]).mean()


def coarse_losses(network: nn.Module, part: Batch, settings: CoarseSettings, hardware: Hardware) -> Losses:
    """Stage 1: I = Recon-Net(S) [2], and its mean distance from I_tfi [5]: the network learns TFI.

    Args:
        network: (n, bins, h, w) -> (n, 1, h, w); it learns.
        part: voxels and their TFI.
        settings: of the stage.
        hardware: runs the network.
    """
    with hardware.autocast():
        image = network(part.voxel)
    assert part.target is not None
    distance = {"l1": nn.functional.l1_loss, "mse": nn.functional.mse_loss}[settings.loss]
    return {"coarse": distance(image.float(), part.target)}


def prompt_losses(
    prompts: nn.Module,
    part: Batch,
    *,
    coarse: Callable[[Tensor], Tensor],
    clip: nn.Module,
    image_features: Callable[[Tensor], Tensor],
    hardware: Hardware,
) -> Losses:
    """Stage 2: two prompts learn to distinguish HQ images from LQ ones [7, 8].

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
        with hardware.autocast(transformer=True):
            features = image_features(torch.cat([lq, part.hq])).float()
    is_hq = torch.arange(len(features), device=features.device) >= len(lq)
    return {"initial": prompt_initial_loss(features, is_hq, prompts(clip), clip.logit_scale)}  # type: ignore[arg-type]


def fine_losses(
    network: nn.Module,
    part: Batch,
    *,
    image_features: Callable[[Tensor], Tensor],
    texts: Tensor,
    prompts: Tensor | None,
    scale: float,
    settings: FineSettings,
    hardware: Hardware,
) -> Losses:
    """Stage 3: L_total = L_class + λ L_prompt [11] of the network's images.

    Args:
        network: (n, bins, h, w) -> (n, 1, h, w); it learns.
        part: voxels, their labels, and those of the whole batch.
        image_features: CLIP's image tower, (n, 1, h, w) -> (n, D); nothing of CLIP learns.
        texts: (C, D), features of the text of each class.
        prompts: (2, D), features of T_lq and T_hq; None where the prompt loss is left out.
        scale: CLIP's logit scale.
        settings: of the stage.
        hardware: runs network and image tower.
    """
    with hardware.autocast():
        images = network(part.voxel).float()
    with hardware.autocast(transformer=True):
        features = image_features(images).float()
    class_term = class_loss(features, texts, part.label, settings.tau, settings.duplicates, part.batch_label)
    total = settings.class_weight * class_term
    if prompts is None:
        return {"total": total, "class": class_term}
    prompt_term = prompt_loss(features, prompts, scale)
    total = total + settings.prompt_weight * prompt_term
    return {"total": total, "class": class_term, "prompt": prompt_term}
