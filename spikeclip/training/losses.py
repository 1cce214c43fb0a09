"""The losses of the three stages, as the SpikeCLIP paper writes them; its equation numbers stand in brackets.

Features are float32 of length one: the product of two is their cosine similarity. The paper writes [9] for
one image and [10] as a sum over the batch, and does not say how [9] is reduced. Here both are means by
default. If [9] is a mean and [10] a sum, the class loss of [11] weighs as many times more as the batch has
samples: that is the setting `reduction = "sum"`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from hqgen.training.hardware import Hardware
from hqgen.training.loop import Losses
from spikeclip.data.batches import Batch
from spikeclip.training.settings import (
    CoarseSettings,
    Duplicates,
    FineSettings,
    PromptSettings,
    Reduction,
)
from spikeclip.training.views import matched


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
        prompt_features: (K, D), of T_lq and of T_hq: that of high quality is the last one.
        scale: CLIP's logit scale.
    """
    probabilities = (scale * image_features @ prompt_features.T).softmax(dim=1)
    return -probabilities[:, -1].mean()


def class_loss(
    image_features: Tensor,
    text_features: Tensor,
    labels: Tensor,
    tau: float = 0.07,
    duplicates: Duplicates = "mask",
    batch_labels: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """L_class = - log (exp(I_i T_ci / τ) / Σ_j exp(I_i T_cj / τ)), InfoNCE over the batch [10].

    A batch of one class only has nothing to distinguish. Masked, the loss is 0; in the literal form, log B.
    Neither moves the network.

    The sum runs over the texts of the batch, not over its images. So a part of a batch, on a process of its
    own or in a step of accumulation, needs only the labels of the others: the mean of the losses of equal
    parts is the loss of the whole. A sum therefore counts the samples of the whole batch in every part.

    Args:
        image_features: (n, D), I.
        text_features: (C, D), T, of the text of each class.
        labels: int64 (n,), c, the class of each picture.
        tau: the temperature τ.
        duplicates: the samples j ≠ i of the class of i, which the equation counts as negatives of i although
            their text is its own: `mask` leaves them out of the sum, `literal` is the equation as it stands.
        batch_labels: int64 (B,), of the whole batch where the pictures are a part of it; None: they are all.
        reduction: `mean` over the batch, or the equation's `sum`.
    """
    batch_labels = labels if batch_labels is None else batch_labels
    logits = image_features @ text_features.T / tau
    right = logits.gather(1, labels[:, None])
    summed = logits.index_select(1, batch_labels)
    if duplicates == "mask":
        same_class = labels[:, None] == batch_labels[None, :]
        summed = torch.cat([right, summed.masked_fill(same_class, -torch.inf)], dim=1)
    loss = (summed.logsumexp(dim=1) - right[:, 0]).mean()
    return loss * len(batch_labels) if reduction == "sum" else loss


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
    settings: PromptSettings,
    hardware: Hardware,
) -> Losses:
    """Stage 2: two prompts learn to distinguish HQ images from LQ ones [7, 8].

    Args:
        prompts: clip -> (2, D), features of T_lq and T_hq; they learn, and nothing else does.
        part: n voxels and n HQ images.
        coarse: the network of stage 1, which makes the LQ images.
        clip: frozen, with the text tower that the prompts go through, in float32.
        image_features: CLIP's image tower.
        settings: of the stage.
        hardware: runs network and image tower.
    """
    assert part.hq is not None
    with torch.no_grad():
        with hardware.autocast():
            lq = coarse(part.voxel).float()
        pictures = torch.cat(matched(lq, part.hq, part, settings.brightness))
        with hardware.autocast(transformer=True):
            features = image_features(pictures).float()
    is_hq = torch.arange(len(features), device=features.device) >= len(lq)
    return {"initial": prompt_initial_loss(features, is_hq, prompts(clip), clip.logit_scale)}  # type: ignore[arg-type]


@dataclass
class Seen:
    """What the terms of stage 3 are computed from; features are made once, when a term first asks for them.

    Attributes:
        images: float32 (n, 1, h, w), the network's.
        part: the samples that they show.
        image_features: CLIP's image tower, pictures to float32 (n, D); nothing of CLIP learns.
    """

    images: Tensor
    part: Batch
    image_features: Callable[[Tensor], Tensor]

    @cached_property
    def whole(self) -> Tensor:
        """Features (n, D) of the whole pictures."""
        return self.image_features(self.images)


Term = Callable[[Seen], Tensor]
"""A part of the loss of stage 3, with a gradient."""


def class_term(seen: Seen, *, texts: Tensor, settings: FineSettings) -> Tensor:
    """L_class [10] of the whole pictures; `texts` (C, D) are features of the text of each class."""
    label, batch_label = seen.part.label, seen.part.batch_label
    return class_loss(
        seen.whole, texts, label, settings.tau, settings.duplicates, batch_label, settings.reduction
    )


def prompt_term(seen: Seen, *, prompts: Tensor, scale: float) -> Tensor:
    """L_prompt [9]; `prompts` (K, D) are features, that of high quality is the last one."""
    return prompt_loss(seen.whole, prompts, scale)


def fine_losses(
    network: nn.Module,
    part: Batch,
    *,
    image_features: Callable[[Tensor], Tensor],
    terms: Mapping[str, tuple[float, Term]],
    hardware: Hardware,
) -> Losses:
    """Stage 3: the weighted sum of its terms; by default L_total = L_class + λ L_prompt [11].

    Args:
        network: (n, bins, h, w) -> (n, 1, h, w); it learns.
        part: voxels, their labels, and those of the whole batch.
        image_features: CLIP's image tower, (n, 1, h, w) -> (n, D); nothing of CLIP learns.
        terms: the weight and the function of each term, by its name in the learning curve.
        hardware: runs network and image tower.
    """

    def features(pictures: Tensor) -> Tensor:
        with hardware.autocast(transformer=True):
            return image_features(pictures).float()

    with hardware.autocast():
        images = network(part.voxel).float()
    seen = Seen(images, part, features)
    values = {name: term(seen) for name, (_, term) in terms.items()}
    weighted = [weight * values[name] for name, (weight, _) in terms.items()]
    return {"total": torch.stack(weighted).sum(), **values}
