from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hqgen.training.hardware import Hardware
from spikeclip.data.batches import CHANCES, Batch
from spikeclip.training.losses import anchor_loss, prompt_loss
from spikeclip.training.settings import FineSettings
from spikeclip.training.terms import (
    Seen,
    anchor_term,
    class_term,
    fine_losses,
    fine_terms,
    prompt_term,
)
from spikeclip.training.views import random_crops
from tests.spikeclip.tiny_clip import tiny_clip


@pytest.fixture
def part() -> Batch:
    voxel = torch.rand(3, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    chance = np.random.default_rng(0).random((3, CHANCES))
    return Batch(voxel, torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2]), chance=chance)


def supervision(**weights: float) -> tuple[nn.Module, dict[str, Any]]:
    clip = tiny_clip()
    texts = clip.text_features(["image of a cat", "image of a dog", "image of a car"])
    learned = clip.text_features(["dark", "bright"])
    terms = {
        "class": partial(class_term, texts=texts, settings=FineSettings()),
        "prompt": partial(prompt_term, prompts=learned, scale=clip.logit_scale),
    }
    return clip, {
        "image_features": clip.image_features,
        "terms": {name: (weight, terms[name]) for name, weight in weights.items()},
        "hardware": Hardware(torch.device("cpu")),
    }


PAPER = {"class": 1.0, "prompt": 100.0}


def test_gradients_reach_the_network_through_clip_and_nothing_else(part: Batch) -> None:
    network = nn.Conv2d(4, 1, 3, padding=1)
    clip, knows = supervision(**PAPER)
    fine_losses(network, part, **knows)["total"].backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    assert all(p.grad is None for p in clip.parameters())


def test_total_is_equation_11_and_weighs_its_terms(part: Batch) -> None:
    network = nn.Conv2d(4, 1, 3, padding=1)
    _, knows = supervision(prompt=7, **{"class": 3})
    losses = fine_losses(network, part, **knows)
    torch.testing.assert_close(losses["total"], 3 * losses["class"] + 7 * losses["prompt"])
    assert -1 <= losses["prompt"] <= 0
    _, knows = supervision(**{"class": 3})
    assert list(fine_losses(network, part, **knows)) == ["total", "class"]


def test_features_of_the_whole_pictures_are_computed_once(part: Batch) -> None:
    _, knows = supervision(**PAPER)
    calls, features = [], knows["image_features"]

    def counted(images: Tensor) -> Tensor:
        calls.append(len(images))
        found: Tensor = features(images)
        return found

    knows["image_features"] = counted
    fine_losses(nn.Conv2d(4, 1, 3, padding=1), part, **knows)
    assert calls == [3]


def test_losses_are_float32_whatever_the_networks_run_in(part: Batch) -> None:
    network = nn.Conv2d(4, 1, 3, padding=1)
    _, knows = supervision(**PAPER)
    half = fine_losses(network, part, **{**knows, "hardware": Hardware(torch.device("cpu"), bfloat16=True)})
    full = fine_losses(network, part, **knows)
    assert all(loss.dtype == torch.float32 for loss in half.values())
    assert half["class"] != full["class"]  # it did run in bfloat16
    torch.testing.assert_close(half["class"], full["class"], rtol=0.05, atol=0.05)


def test_only_terms_with_a_weight_are_made_and_learned_prompts_only_where_they_are_needed() -> None:
    clip = tiny_clip()

    def never() -> Tensor:
        raise AssertionError("no prompts were learned")

    settings = FineSettings(prompt_weight=0, quality_weight=5, anchor_weight=7)
    terms = fine_terms(settings, clip, ["cat", "dog"], never)
    assert {name: weight for name, (weight, _) in terms.items()} == {"class": 1, "quality": 5, "anchor": 7}
    assert list(fine_terms(FineSettings(), clip, ["cat"], lambda: torch.rand(2, 32))) == ["class", "prompt"]


def test_quality_is_the_probability_of_the_first_text_among_all(part: Batch) -> None:
    clip = tiny_clip()
    texts = ("a clear image", "a noisy image", "a blurred image")
    settings = FineSettings(prompt_weight=0, class_weight=0, quality_weight=1, quality_texts=texts)
    ((_, term),) = fine_terms(settings, clip, ["cat"], lambda: torch.empty(0)).values()
    seen = Seen(part.voxel[:, :1], part, clip.image_features)
    shares = (clip.logit_scale * seen.whole @ clip.text_features(texts).T).softmax(1)
    torch.testing.assert_close(term(seen), -shares[:, 0].mean())
    logarithm = settings.model_copy(update={"judgement": "log"})
    ((_, term),) = fine_terms(logarithm, clip, ["cat"], lambda: torch.empty(0)).values()
    torch.testing.assert_close(term(seen), -shares[:, 0].log().mean())


def test_judges_of_quality_see_crops_and_the_class_loss_the_whole(part: Batch) -> None:
    clip = tiny_clip()
    part = Batch(torch.rand(3, 4, 48, 40), part.label, part.batch_label, chance=part.chance)
    seen = Seen(part.voxel[:, :1], part, clip.image_features, crops=2, side=clip.image_size)
    learned = clip.text_features(["dark", "bright"])
    crops = clip.image_features(random_crops(seen.images, part, 2, 32))
    expected = prompt_loss(crops, learned, clip.logit_scale)
    torch.testing.assert_close(prompt_term(seen, prompts=learned, scale=clip.logit_scale), expected)
    torch.testing.assert_close(seen.whole, clip.image_features(seen.images))


def test_anchor_is_to_the_spikes_in_the_middle_or_to_the_target(part: Batch) -> None:
    settings = FineSettings(anchor_weight=1, anchor_bins=2, anchor_scale=2)
    images = torch.rand(3, 1, 32, 32)
    seen = Seen(images, part, nn.Identity())
    expected = anchor_loss(images, part.voxel[:, 1:3].sum(1, keepdim=True), 2, "best")
    torch.testing.assert_close(anchor_term(seen, settings=settings), expected)
    target = torch.rand(3, 1, 32, 32)
    known = Seen(images, Batch(part.voxel, part.label, part.batch_label, target=target), nn.Identity())
    torch.testing.assert_close(anchor_term(known, settings=settings), anchor_loss(images, target, 2, "best"))
