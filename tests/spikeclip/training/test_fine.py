from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from hqgen.training.hardware import Hardware
from spikeclip.data.batches import Batch
from spikeclip.training.fine import Supervision, fine_losses
from spikeclip.training.losses import Duplicates, class_loss
from spikeclip.training.settings import FineSettings
from tests.spikeclip.tiny_clip import tiny_clip

LABELS = torch.tensor([0, 2, 2, 1, 0, 2])


def features(count: int, seed: int) -> Tensor:
    return normalize(torch.randn(count, 8, generator=torch.Generator().manual_seed(seed)), dim=1)


@pytest.mark.parametrize("duplicates", ["mask", "literal"])
@pytest.mark.parametrize("sizes", [[6], [3, 3], [1, 2, 3], [1] * 6])
def test_parts_of_a_batch_have_the_loss_and_the_gradient_of_the_whole(
    sizes: list[int], duplicates: Duplicates
) -> None:
    images, texts = features(6, 0).requires_grad_(), features(3, 1)
    whole = class_loss(images, texts, LABELS, 0.07, duplicates)
    (expected,) = torch.autograd.grad(whole, images)
    parts = [
        len(labels) / 6 * class_loss(part, texts, labels, 0.07, duplicates, LABELS)
        for part, labels in zip(torch.split(images, sizes), torch.split(LABELS, sizes), strict=True)
    ]
    total = torch.stack(parts).sum()
    torch.testing.assert_close(total, whole)
    torch.testing.assert_close(torch.autograd.grad(total, images)[0], expected)


@pytest.fixture
def part() -> Batch:
    voxel = torch.rand(3, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    return Batch(voxel, torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2]))


def supervision(prompts: bool) -> tuple[nn.Module, Supervision]:
    clip = tiny_clip()
    texts = clip.text_features(["image of a cat", "image of a dog", "image of a car"])
    learned = clip.text_features(["dark", "bright"]) if prompts else None
    return clip, Supervision(clip.image_features, texts, learned, clip.logit_scale)


def test_gradients_reach_the_network_through_clip_and_nothing_else(part: Batch) -> None:
    network = nn.Conv2d(4, 1, 3, padding=1)
    clip, knows = supervision(prompts=True)
    losses = fine_losses(network, part, knows, FineSettings(), Hardware(torch.device("cpu")))
    losses["total"].backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    assert all(p.grad is None for p in clip.parameters())


def test_total_weighs_its_terms(part: Batch) -> None:
    network = nn.Conv2d(4, 1, 3, padding=1)
    _, knows = supervision(prompts=True)
    settings = FineSettings(prompt_weight=7, class_weight=3)
    losses = fine_losses(network, part, knows, settings, Hardware(torch.device("cpu")))
    torch.testing.assert_close(losses["total"], 3 * losses["class"] + 7 * losses["prompt"])
    assert -1 <= losses["prompt"] <= 0
    _, knows = supervision(prompts=False)
    assert list(fine_losses(network, part, knows, settings, Hardware(torch.device("cpu")))) == [
        "total",
        "class",
    ]


def test_losses_are_float32_whatever_the_networks_run_in(part: Batch) -> None:
    network = nn.Conv2d(4, 1, 3, padding=1)
    _, knows = supervision(prompts=True)
    half = fine_losses(network, part, knows, FineSettings(), Hardware(torch.device("cpu"), bfloat16=True))
    full = fine_losses(network, part, knows, FineSettings(), Hardware(torch.device("cpu")))
    assert all(loss.dtype == torch.float32 for loss in half.values())
    assert half["class"] != full["class"]  # it did run in bfloat16
    torch.testing.assert_close(half["class"], full["class"], rtol=0.05, atol=0.05)
