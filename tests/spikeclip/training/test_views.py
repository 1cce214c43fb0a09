from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from spikeclip.data.batches import CHANCES, Batch
from spikeclip.training.views import BRIGHTEST, DARKEST, matched, random_crops, with_mean


@pytest.fixture
def part() -> Batch:
    chance = np.random.default_rng(0).random((40, CHANCES))
    return Batch(torch.zeros(40), torch.zeros(40), torch.zeros(40), chance=chance)


def pictures(seed: int, light: float) -> Tensor:
    return light * torch.rand(40, 1, 12, 12, generator=torch.Generator().manual_seed(seed))


def means(images: Tensor) -> Tensor:
    return images.mean(dim=(1, 2, 3))


def test_raw_pictures_are_left_as_they_are(part: Batch) -> None:
    lq, hq = pictures(0, 0.08), pictures(1, 1)
    assert matched(lq, hq, part, "raw") == (lq, hq)


def test_each_lq_picture_gets_the_mean_of_its_hq_crop_and_keeps_its_contrast(part: Batch) -> None:
    lq, hq = pictures(0, 0.08), pictures(1, 1)
    found, same = matched(lq, hq, part, "paired")
    assert same is hq
    torch.testing.assert_close(means(found), means(hq))
    torch.testing.assert_close(found / means(found)[:, None, None, None], lq / means(lq)[:, None, None, None])


def test_drawn_means_do_not_depend_on_what_the_pictures_are(part: Batch) -> None:
    one, other = (
        matched(pictures(0, light), pictures(1, 1 / light), part, "random") for light in (0.08, 1.0)
    )
    for left, right in zip(one, other, strict=True):
        torch.testing.assert_close(left, right)
        assert DARKEST <= means(left).min() < means(left).max() <= BRIGHTEST
    low, high = map(means, one)
    assert abs(float(torch.corrcoef(torch.stack([low, high]))[0, 1])) < 0.4
    assert ((low > high).sum() - 20).abs() < 10  # brightness says nothing about quality


def test_black_picture_stays_finite() -> None:
    dark = with_mean(torch.zeros(2, 1, 4, 4), torch.full((2,), 0.5))
    assert torch.equal(dark, torch.zeros(2, 1, 4, 4))
    noise = with_mean(torch.full((1, 1, 4, 4), -1e-9), torch.full((1,), 0.5))
    assert noise.abs().max() < 1e-5


def test_crops_are_parts_of_their_pictures_at_places_that_differ(part: Batch) -> None:
    y, x = torch.meshgrid(torch.arange(20.0), torch.arange(30.0), indexing="ij")
    images = (1000 * torch.arange(40.0))[:, None, None, None] + 30 * y + x
    crops = random_crops(images, part, 3, 8)
    assert crops.shape == (120, 1, 8, 8)
    corners = crops[:, 0, 0, 0]
    assert torch.equal(corners // 1000, torch.arange(40.0).repeat(3))
    places = corners % 1000
    assert len(set(places.tolist())) > 90
    assert (places // 30).max() == 12
    assert (places % 30).max() == 22
    assert torch.equal(crops[:, 0] - corners[:, None, None], (30 * y + x)[:8, :8].expand(120, 8, 8))
    assert torch.equal(random_crops(images, part, 1, 8), crops[:40])


def test_crops_of_the_whole_size_are_the_pictures(part: Batch) -> None:
    images = pictures(0, 1)
    assert torch.equal(random_crops(images, part, 2, 12), images.repeat(2, 1, 1, 1))
