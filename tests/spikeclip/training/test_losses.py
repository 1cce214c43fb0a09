from __future__ import annotations

import math
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
from spikeclip.data.batches import CHANCES, Batch
from spikeclip.training.losses import (
    anchor_loss,
    class_loss,
    coarse_losses,
    prompt_initial_loss,
    prompt_loss,
    prompt_losses,
)
from spikeclip.training.settings import (
    AnchorGain,
    CoarseSettings,
    Duplicates,
    Judgement,
    PromptSettings,
    Reduction,
)
from tests.spikeclip.tiny_clip import tiny_clip

Array = NDArray[np.float64]
FORMS: tuple[Duplicates, Duplicates] = ("mask", "literal")
JUDGEMENTS: tuple[Judgement, Judgement] = ("probability", "log")
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


def test_log_of_the_probability_still_moves_a_picture_that_is_sure_to_be_bad() -> None:
    slopes = {}
    for judgement in JUDGEMENTS:
        image = torch.tensor([[1.0, 0.0]], requires_grad=True)
        loss = prompt_loss(image, torch.eye(2), 100.0, judgement)
        (slopes[judgement],) = torch.autograd.grad(loss, image)
    torch.testing.assert_close(loss, torch.tensor(100.0))
    assert slopes["probability"].abs().max() < 1e-30
    torch.testing.assert_close(slopes["log"], torch.tensor([[100.0, -100.0]]))


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


def squares(seed: int) -> Tensor:
    """Two pictures (2, 1, 24, 24) with a pattern of squares of four pixels."""
    known = torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(seed))
    return known.repeat_interleave(4, 2).repeat_interleave(4, 3)


@given(seed=seeds, gain=st.floats(0.01, 100), other=st.floats(0.01, 100))
def test_anchor_at_best_gain_depends_on_neither_brightness(seed: int, gain: float, other: float) -> None:
    images, known = squares(seed) + 0.1, squares(seed + 1)
    expected = anchor_loss(images, known, 4, "best")
    torch.testing.assert_close(
        anchor_loss(gain * images, other * known, 4, "best"), expected, rtol=1e-4, atol=1e-6
    )


def test_anchor_is_0_for_what_is_known_and_1_for_a_flat_picture() -> None:
    known = squares(0)
    noise = torch.randn(known.shape, generator=torch.Generator().manual_seed(1))
    noise -= nn.functional.avg_pool2d(noise, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert anchor_loss(3 * known + noise, known, 4, "best") < 1e-5  # what is smaller than a square is free
    flat = anchor_loss(torch.full_like(known, 0.3), known, 4, "best")
    torch.testing.assert_close(flat, torch.ones(()), rtol=1e-4, atol=0)
    assert anchor_loss(known.flip(-1), known, 4, "best") > 0.5
    assert anchor_loss(-known, known, 4, "best") > 1  # no negative gain


def test_white_anchor_wants_the_brightest_squares_at_the_level_of_hq_pictures() -> None:
    known = squares(0)
    right = 0.9 * known / known.flatten(1).quantile(0.995, dim=1)[:, None, None, None]
    for dim in (0.03, 1.0):
        assert anchor_loss(right, dim * known, 4, "white") < 1e-4
    assert anchor_loss(0.5 * right, known, 4, "white") > 0.1


@pytest.mark.parametrize("gain", ["best", "white"])
def test_anchor_moves_a_picture_towards_what_is_known_and_survives_the_dark(gain: AnchorGain) -> None:
    known, images = squares(0), (0.2 + 0.05 * squares(1)).requires_grad_()
    before = anchor_loss(images, known, 4, gain)
    (slope,) = torch.autograd.grad(before, images)
    assert slope.abs().sum() > 0
    assert anchor_loss(images - 0.02 * slope / slope.abs().max(), known, 4, gain) < before
    black = torch.zeros_like(known).requires_grad_()
    for seen, truth in ((black, known), (images, torch.zeros_like(known)), (black, torch.zeros_like(known))):
        loss = anchor_loss(seen, truth, 4, gain)
        (slope,) = torch.autograd.grad(loss, seen)
        assert loss.isfinite()
        assert slope.isfinite().all()


def test_sides_that_are_no_multiple_of_the_scale_are_taken_whole() -> None:
    known = squares(0)[..., :23, :22]
    other = known.clone()
    other[..., -1, -1] += 5
    assert anchor_loss(other, known, 4, "best") > 0.01


def test_prompts_learn_from_crops_at_full_resolution_where_asked_for() -> None:
    clip, seen = tiny_clip(), []
    part = Batch(
        torch.rand(3, 1, 40, 40), torch.zeros(3), torch.zeros(3), hq=torch.rand(3, 1, 40, 40),
        chance=np.random.default_rng(0).random((3, CHANCES)),
    )  # fmt: skip

    def features(images: Tensor) -> Tensor:
        seen.append(tuple(images.shape))
        return clip.image_features(images)

    prompt_losses(
        LearnedPrompts(clip, 4),
        part,
        coarse=nn.Identity(),
        clip=clip,
        image_features=features,
        settings=PromptSettings(crops=2),
        hardware=Hardware(torch.device("cpu")),
    )
    assert seen == [(2 * 2 * 3, 1, 32, 32)]
