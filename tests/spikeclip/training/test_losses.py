from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from hqgen.training.hardware import Hardware
from spikeclip.clip.prompts import LearnedPrompts
from spikeclip.data.batches import Batch
from spikeclip.training.losses import (
    class_loss,
    class_term,
    coarse_losses,
    fine_losses,
    prompt_initial_loss,
    prompt_loss,
    prompt_losses,
    prompt_term,
)
from spikeclip.training.settings import CoarseSettings, Duplicates, FineSettings, PromptSettings, Reduction
from tests.spikeclip.tiny_clip import tiny_clip

Array = NDArray[np.float64]
FORMS: tuple[Duplicates, Duplicates] = ("mask", "literal")
REDUCTIONS: tuple[Reduction, Reduction] = ("mean", "sum")
seeds = st.integers(0, 2**32 - 1)


def features(rng: np.random.Generator, count: int, width: int = 8) -> Array:
    rows = rng.normal(size=(count, width))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def tensor(array: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(array)


def probabilities(image: Array, prompts: Array, scale: float) -> Array:
    """Equation [8] for the LQ and the HQ prompt, with CLIP's logit scale before the cosines."""
    weights = np.exp(scale * (prompts @ image))
    return np.asarray(weights / weights.sum())


@given(seed=seeds, count=st.integers(1, 7), scale=st.sampled_from([1.0, 14.3, 100.0]))
def test_prompt_initial_loss_is_equations_7_and_8(seed: int, count: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    images, prompts, is_hq = features(rng, count), features(rng, 2), rng.random(count) < 0.5
    expected = -np.mean(
        [np.log(probabilities(images[i], prompts, scale)[int(is_hq[i])]) for i in range(count)]
    )
    found = prompt_initial_loss(tensor(images), tensor(is_hq), tensor(prompts), scale).item()
    assert found == pytest.approx(expected, rel=1e-6)


@given(seed=seeds, count=st.integers(1, 7), scale=st.sampled_from([1.0, 14.3, 100.0]))
def test_prompt_loss_is_equation_9(seed: int, count: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    images, prompts = features(rng, count), features(rng, 2)
    expected = -np.mean([probabilities(image, prompts, scale)[1] for image in images])
    assert prompt_loss(tensor(images), tensor(prompts), scale).item() == pytest.approx(expected)


def equation_10(images: Array, texts: Array, labels: NDArray[np.int64], tau: float, masked: bool) -> float:
    batch = range(len(images))
    terms = []
    for i in batch:
        others = [j for j in batch if not (masked and j != i and labels[j] == labels[i])]
        weight = {j: math.exp(float(images[i] @ texts[labels[j]]) / tau) for j in others}
        terms.append(-math.log(weight[i] / sum(weight.values())))
    return float(np.mean(terms))


@given(
    seed=seeds,
    count=st.integers(1, 8),
    classes=st.integers(1, 5),
    tau=st.sampled_from([0.07, 1.0]),
    duplicates=st.sampled_from(["mask", "literal"]),
)
def test_class_loss_is_equation_10(
    seed: int, count: int, classes: int, tau: float, duplicates: Duplicates
) -> None:
    rng = np.random.default_rng(seed)
    images, texts, labels = features(rng, count), features(rng, classes), rng.integers(classes, size=count)
    expected = equation_10(images, texts, labels, tau, duplicates == "mask")
    found = class_loss(tensor(images), tensor(texts), tensor(labels), tau, duplicates).item()
    assert found == pytest.approx(expected, abs=1e-9)


@given(
    seed=seeds,
    parts=st.integers(1, 4),
    duplicates=st.sampled_from(["mask", "literal"]),
    reduction=st.sampled_from(["mean", "sum"]),
)
def test_the_parts_of_a_batch_make_the_class_loss_of_the_whole(
    seed: int, parts: int, duplicates: Duplicates, reduction: Reduction
) -> None:
    rng = np.random.default_rng(seed)
    images, texts = tensor(features(rng, 3 * parts)), tensor(features(rng, 4))
    labels = tensor(rng.integers(4, size=3 * parts))
    whole = class_loss(images, texts, labels, duplicates=duplicates, reduction=reduction)
    losses = [
        class_loss(part, texts, own, duplicates=duplicates, batch_labels=labels, reduction=reduction)
        for part, own in zip(images.chunk(parts), labels.chunk(parts), strict=True)
    ]
    assert torch.stack(losses).mean().item() == pytest.approx(whole.item(), abs=1e-12)


def test_a_sum_counts_every_sample_of_the_batch() -> None:
    rng = np.random.default_rng(5)
    images, texts, labels = tensor(features(rng, 6)), tensor(features(rng, 4)), torch.arange(6) % 4
    mean, total = (class_loss(images, texts, labels, reduction=how) for how in REDUCTIONS)
    torch.testing.assert_close(total, 6 * mean)


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("duplicates", ["mask", "literal"])
def test_one_class_only_in_a_batch_gives_no_nan_and_moves_nothing(count: int, duplicates: Duplicates) -> None:
    rng = np.random.default_rng(1)
    images = tensor(features(rng, count)).requires_grad_()
    labels = torch.full((count,), 2)
    loss = class_loss(images, tensor(features(rng, 4)), labels, duplicates=duplicates)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(0.0 if duplicates == "mask" else math.log(count), abs=1e-12)
    assert images.grad is not None
    assert images.grad.abs().max() < 1e-12


def test_the_two_forms_differ_only_where_a_class_comes_twice() -> None:
    rng = np.random.default_rng(2)
    images, texts = tensor(features(rng, 4)), tensor(features(rng, 6))
    apart, twice = torch.tensor([0, 5, 3, 1]), torch.tensor([0, 5, 0, 1])
    masked, literal = (class_loss(images, texts, apart, duplicates=form) for form in FORMS)
    assert masked.item() == pytest.approx(literal.item())
    assert class_loss(images, texts, twice) < class_loss(images, texts, twice, duplicates="literal")


def test_the_masked_loss_has_finite_gradients() -> None:
    rng = np.random.default_rng(3)
    images = tensor(features(rng, 4)).requires_grad_()
    class_loss(images, tensor(features(rng, 3)), torch.tensor([0, 0, 1, 1])).backward()  # type: ignore[no-untyped-call]
    assert images.grad is not None
    assert images.grad.isfinite().all()
    assert images.grad.abs().sum(1).min() > 0


@pytest.mark.parametrize("is_hq", [[True, True], [False, False]])
def test_a_batch_of_one_kind_still_teaches_the_prompts(is_hq: list[bool]) -> None:
    rng = np.random.default_rng(4)
    prompts = tensor(features(rng, 2)).requires_grad_()
    prompt_initial_loss(tensor(features(rng, 2)), torch.tensor(is_hq), prompts, 100.0).backward()  # type: ignore[no-untyped-call]
    assert prompts.grad is not None
    assert prompts.grad.isfinite().all()


def test_loss_is_the_distance_from_the_target_in_float32() -> None:
    voxel, target = torch.rand(2, 2, 1, 8, 8)
    part = Batch(voxel, torch.zeros(2), torch.zeros(2), target=target)
    for kind, expected in (("l1", (voxel - target).abs().mean()), ("mse", (voxel - target).square().mean())):
        settings = CoarseSettings(loss=kind)  # type: ignore[arg-type]
        loss = coarse_losses(nn.Identity(), part, settings, Hardware(torch.device("cpu")))["coarse"]
        torch.testing.assert_close(loss, expected)
    network = nn.Conv2d(1, 1, 1)
    loss = coarse_losses(network, part, CoarseSettings(), Hardware(torch.device("cpu"), bfloat16=True))[
        "coarse"
    ]
    assert loss.dtype == torch.float32


def test_only_prompts_get_gradients_and_the_loss_is_the_equations() -> None:
    clip, coarse = tiny_clip(), nn.Conv2d(4, 1, 3, padding=1)
    prompts = LearnedPrompts(clip, 4)
    with torch.no_grad():
        prompts.context[1] += 0.05
    part = Batch(torch.rand(3, 4, 32, 32), torch.zeros(3), torch.zeros(3), hq=torch.rand(2, 1, 32, 32))
    loss = prompt_losses(
        prompts,
        part,
        coarse=coarse,
        clip=clip,
        image_features=clip.image_features,
        settings=PromptSettings(),
        hardware=Hardware(torch.device("cpu")),
    )["initial"]
    loss.backward()  # type: ignore[no-untyped-call]
    assert prompts.context.grad is not None
    assert all(row.abs().sum() > 0 for row in prompts.context.grad)
    assert all(p.grad is None for p in (*coarse.parameters(), *clip.parameters()))

    with torch.no_grad():
        images = torch.cat([coarse(part.voxel), part.hq])  # type: ignore[list-item]
        scores = (clip.image_features(images) @ prompts(clip).T).double().numpy() * clip.logit_scale
    hq = np.exp(scores[:, 1]) / np.exp(scores).sum(axis=1)
    y = np.array([0, 0, 0, 1, 1])
    expected = -np.mean(y * np.log(hq) + (1 - y) * np.log(1 - hq))
    assert abs(loss.item() - expected) < 1e-4


LABELS = torch.tensor([0, 2, 2, 1, 0, 2])


def unit_rows(count: int, seed: int) -> Tensor:
    return normalize(torch.randn(count, 8, generator=torch.Generator().manual_seed(seed)), dim=1)


@pytest.mark.parametrize("duplicates", ["mask", "literal"])
@pytest.mark.parametrize("sizes", [[6], [3, 3], [1, 2, 3], [1] * 6])
def test_parts_of_a_batch_have_the_loss_and_the_gradient_of_the_whole(
    sizes: list[int], duplicates: Duplicates
) -> None:
    images, texts = unit_rows(6, 0).requires_grad_(), unit_rows(3, 1)
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
