"""Stage 3: the network learns from a weighted sum of terms, each computed from its pictures.

By default these are the two of the paper: L_total = L_class + λ L_prompt [11].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from torch import Tensor, nn, stack

from hqgen.training.hardware import Hardware
from hqgen.training.loop import Losses
from spikeclip.clip.frozen import FrozenClip, class_texts
from spikeclip.data.batches import Batch
from spikeclip.training.losses import anchor_loss, class_loss, prompt_loss
from spikeclip.training.settings import FineSettings, Judgement
from spikeclip.training.views import random_crops


@dataclass
class Seen:
    """What the terms of stage 3 are computed from; features are made once, when a term first asks for them.

    Attributes:
        images: float32 (n, 1, h, w), the network's.
        part: the samples that they show.
        image_features: CLIP's image tower, pictures to float32 (n, D); nothing of CLIP learns.
        crops: how many crops of each picture the judges of quality see; 0: they see it whole.
        side: of the crops in pixels.
    """

    images: Tensor
    part: Batch
    image_features: Callable[[Tensor], Tensor]
    crops: int = 0
    side: int = 0

    @cached_property
    def whole(self) -> Tensor:
        """Features (n, D) of the whole pictures."""
        return self.image_features(self.images)

    @cached_property
    def views(self) -> Tensor:
        """Features (max(crops, 1) * n, D) of what the judges of quality see."""
        if not self.crops:
            return self.whole
        return self.image_features(random_crops(self.images, self.part, self.crops, self.side))


Term = Callable[[Seen], Tensor]
"""A part of the loss of stage 3, with a gradient."""


def class_term(seen: Seen, *, texts: Tensor, settings: FineSettings) -> Tensor:
    """L_class [10] of the whole pictures; `texts` (C, D) are features of the text of each class."""
    label, batch_label = seen.part.label, seen.part.batch_label
    return class_loss(
        seen.whole, texts, label, settings.tau, settings.duplicates, batch_label, settings.reduction
    )


def prompt_term(seen: Seen, *, prompts: Tensor, scale: float, judgement: Judgement = "probability") -> Tensor:
    """L_prompt [9]; `prompts` (K, D) are features, that of high quality is the last one."""
    return prompt_loss(seen.views, prompts, scale, judgement)


def anchor_term(seen: Seen, *, settings: FineSettings) -> Tensor:
    """The distance from the spikes that were counted around the middle, or from the target of the batch."""
    if seen.part.target is not None:
        return anchor_loss(seen.images, seen.part.target, settings.anchor_scale, settings.anchor_gain)
    start = (seen.part.voxel.shape[1] - settings.anchor_bins) // 2
    counted = seen.part.voxel[:, start : start + settings.anchor_bins].mean(1, keepdim=True)
    return anchor_loss(seen.images, counted, settings.anchor_scale, settings.anchor_gain)


def fine_terms(
    settings: FineSettings, clip: FrozenClip, labels: Sequence[str], learned: Callable[[], Tensor]
) -> dict[str, tuple[float, Term]]:
    """The terms that have a weight, each with its weight, by its name in the learning curve.

    Args:
        settings: of the stage.
        clip: frozen.
        labels: names of the classes.
        learned: gives the features (2, D) of T_lq and T_hq; asked only where they are needed.
    """
    judge = partial(prompt_term, scale=clip.logit_scale, judgement=settings.judgement)

    def of_classes() -> Term:
        texts = clip.text_features(class_texts(labels))
        return partial(class_term, texts=texts, settings=settings)

    def of_prompts() -> Term:
        return partial(judge, prompts=learned())

    def of_quality() -> Term:
        wanted, *flawed = settings.quality_texts
        return partial(judge, prompts=clip.text_features([*flawed, wanted]))

    def of_anchor() -> Term:
        return partial(anchor_term, settings=settings)

    make = {"class": of_classes, "prompt": of_prompts, "quality": of_quality, "anchor": of_anchor}
    return {name: (weight, make[name]()) for name, weight in settings.weights.items()}


def fine_losses(
    network: nn.Module,
    part: Batch,
    *,
    image_features: Callable[[Tensor], Tensor],
    terms: Mapping[str, tuple[float, Term]],
    hardware: Hardware,
    crops: int = 0,
    side: int = 0,
) -> Losses:
    """Stage 3: the weighted sum of its terms; by default L_total = L_class + λ L_prompt [11].

    Args:
        network: (n, bins, h, w) -> (n, 1, h, w); it learns.
        part: voxels, their labels, and those of the whole batch.
        image_features: CLIP's image tower, (n, 1, h, w) -> (n, D); nothing of CLIP learns.
        terms: the weight and the function of each term, by its name in the learning curve.
        hardware: runs network and image tower.
        crops: see `Seen`.
        side: see `Seen`.
    """

    def features(pictures: Tensor) -> Tensor:
        with hardware.autocast(transformer=True):
            return image_features(pictures).float()

    with hardware.autocast():
        images = network(part.voxel).float()
    seen = Seen(images, part, features, crops, side)
    values = {name: term(seen) for name, (_, term) in terms.items()}
    weighted = [weight * values[name] for name, (weight, _) in terms.items()]
    return {"total": stack(weighted).sum(), **values}
