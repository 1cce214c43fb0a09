"""The losses of the three stages, as the SpikeCLIP paper writes them; its equation numbers stand in brackets.

Features are float32 of length one: the product of two is their cosine similarity. Every loss is the mean over
the batch, where the paper writes [9] for one image and [10] as a sum; in [11] both weigh as they do there.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

__all__ = [
    "CoarseLoss",
    "Duplicates",
    "class_loss",
    "coarse_loss",
    "prompt_initial_loss",
    "prompt_loss",
    "total_loss",
]

CoarseLoss = Literal["l1", "mse"]
Duplicates = Literal["mask", "literal"]


def coarse_loss(image: Tensor, target: Tensor, kind: CoarseLoss = "l1") -> Tensor:
    """Distance of a picture from its TFI; the paper does not say which.

    Args:
        image: (B, 1, H, W), the network's output.
        target: (B, 1, H, W), TFI of the same streams.
        kind: `l1`, the mean absolute difference, or `mse`, the mean squared one.
    """
    return nn.functional.l1_loss(image, target) if kind == "l1" else nn.functional.mse_loss(image, target)


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


def total_loss(class_term: Tensor, prompt_term: Tensor, prompt_weight: float = 100.0) -> Tensor:
    """L_total = L_class + λ L_prompt [11].

    Args:
        class_term: L_class.
        prompt_term: L_prompt.
        prompt_weight: λ.
    """
    return class_term + prompt_weight * prompt_term
