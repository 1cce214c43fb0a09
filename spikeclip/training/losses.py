"""The losses of the three stages, as the SpikeCLIP paper writes them; its equation numbers stand in brackets.

Features are float32 of length one: the product of two is their cosine similarity. The paper writes [9] for
one image and [10] as a sum over the batch, and does not say how [9] is reduced. Here both are means by
default. If [9] is a mean and [10] a sum, the class loss of [11] weighs as many times more as the batch has
samples: that is the setting `reduction = "sum"`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from hqgen.quality.normalise import Normalisation
from hqgen.training.hardware import Hardware
from hqgen.training.loop import Losses
from spikeclip.clip.frozen import FrozenClip
from spikeclip.data.batches import Batch
from spikeclip.training.settings import (
    AnchorGain,
    CoarseSettings,
    Duplicates,
    Judgement,
    PromptSettings,
    Reduction,
)
from spikeclip.training.views import matched, random_crops

WHITE = Normalisation()


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


def prompt_loss(
    image_features: Tensor, prompt_features: Tensor, scale: float, judgement: Judgement = "probability"
) -> Tensor:
    """L_prompt = - the probability of the HQ prompt [9].

    Args:
        image_features: (B, D), of the network's output.
        prompt_features: (K, D), of T_lq and of T_hq: that of high quality is the last one.
        scale: CLIP's logit scale.
        judgement: `probability`, as in [9], or its logarithm, `log`, whose gradient stays where [9] has none.
    """
    logits = scale * image_features @ prompt_features.T
    if judgement == "log":
        return -logits.log_softmax(dim=1)[:, -1].mean()
    return -logits.softmax(dim=1)[:, -1].mean()


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


def anchor_loss(images: Tensor, known: Tensor, scale: int, gain: AnchorGain) -> Tensor:
    """The distance of pictures from what is known of the light, as a share of what a flat picture leaves.

    Both are averaged over squares of pixels, which takes the noise away and leaves smaller details free. 0 is
    a picture that shows in every square what is known; 1 is as bad as a flat one. It does not depend on the
    gain of what is known. A sample that never fired counts 0.

    Args:
        images: (n, 1, h, w), of the network.
        known: (n, 1, h, w), proportional to light: spikes counted, or a picture of a method.
        scale: side of the squares in pixels.
        gain: `best` compares at the gain of each picture that fits best (least squares), so that the loss
            does not depend on its brightness: the rule of `hqgen.quality.consistency`. `white` brings what is
            known to the gain at which its brightest squares are 0.9, the rule of `hqgen.quality.normalise`,
            and compares the picture as it is.
    """
    seen, known = (
        nn.functional.avg_pool2d(each, scale, ceil_mode=True).flatten(1) for each in (images, known)
    )
    least = torch.finfo(torch.float32).tiny
    if gain == "white":
        known = known * (WHITE.level / known.quantile(WHITE.quantile, dim=1, keepdim=True).clamp(min=least))
    else:
        fit = (seen * known).sum(1, keepdim=True) / seen.square().sum(1, keepdim=True).clamp(min=least)
        seen = seen * fit.clamp(min=0)  # a negative picture is not the right one
    error = (seen - known).square().mean(1)
    spread = known.var(1, unbiased=False)
    return (error / spread.where(spread > 0, torch.inf)).mean()


def coarse_losses(network: nn.Module, part: Batch, settings: CoarseSettings, hardware: Hardware) -> Losses:
    """Stage 1: I = Recon-Net(S) [2], and its mean distance from I_tfi [5], or from another target.

    Args:
        network: (n, bins, h, w) -> (n, 1, h, w); it learns.
        part: voxels and their targets.
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
    clip: FrozenClip,
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
        pictures = list(matched(lq, part.hq, part, settings.brightness))
        if settings.crops:
            pictures = [random_crops(each, part, settings.crops, clip.image_size) for each in pictures]
        with hardware.autocast(transformer=True):
            features = image_features(torch.cat(pictures)).float()
    is_hq = torch.arange(len(features), device=features.device) >= len(pictures[0])
    return {"initial": prompt_initial_loss(features, is_hq, prompts(clip), clip.logit_scale)}
