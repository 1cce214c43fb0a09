from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spikeclip.clip.views import QUALITY_CAPTIONS, make_views, plain_views


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    """Bright squares with a black upper left corner."""
    images = torch.full((200, 1, 24, 24), 230, dtype=torch.uint8)
    images[:, :, :12, :12] = 0
    return images


def test_views_are_a_function_of_pictures_and_seed(pictures: Tensor) -> None:
    first, again = make_views(pictures, 32, generator()), make_views(pictures, 32, generator())
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.quality, again.quality)
    assert not torch.equal(first.images, make_views(pictures, 32, generator(1)).images)


def test_views_are_gray_squares_of_the_size_that_was_asked_for(pictures: Tensor) -> None:
    for size in (32, 64):
        views = make_views(pictures[:3], size, generator())
        assert views.images.shape == (3, 1, size, size)
        assert torch.isfinite(views.images).all()


def test_most_views_are_clear_and_every_flaw_occurs(pictures: Tensor) -> None:
    counts = torch.bincount(make_views(pictures, 32, generator()).quality, minlength=len(QUALITY_CAPTIONS))
    assert counts[0] > 0.6 * len(pictures)
    assert (counts > 0).all()


def test_spoiled_views_have_their_flaw(pictures: Tensor) -> None:
    views = make_views(pictures, 64, generator())
    clear, dark, noisy, blurred = (views.images[views.quality == kind] for kind in range(4))
    assert dark.mean() < clear.mean() / 4
    assert roughness(noisy) > 3 * roughness(clear)
    assert steepest(blurred) < steepest(clear) / 2


def roughness(images: Tensor) -> Tensor:
    return images.diff(dim=3).abs().mean()


def steepest(images: Tensor) -> Tensor:
    return images.diff(n=1, dim=3).abs().flatten(1).max(1).values.mean()


def test_a_test_view_is_clear_not_mirrored_and_framed_in_the_dark(pictures: Tensor) -> None:
    views = make_views(pictures, 64, generator(), test=True)
    assert (views.quality == 0).all()
    left, right = views.images[..., :32].mean((1, 2, 3)), views.images[..., 32:].mean((1, 2, 3))
    assert (left < right).float().mean() > 0.75  # the black corner stays on the left, wherever the screen is
    border = torch.cat([views.images[:, :, 0], views.images[:, :, -1]], 2)
    assert border.mean() < 0.6 * views.images.mean()


def test_training_views_are_mirrored_now_and_then(pictures: Tensor) -> None:
    views = make_views(pictures, 64, generator())
    images = views.images[views.quality == 0]
    mirrored = images[..., :32].mean((1, 2, 3)) > images[..., 32:].mean((1, 2, 3))
    assert 0.25 < mirrored.float().mean() < 0.75


def test_plain_views_are_the_pictures_from_0_to_1(pictures: Tensor) -> None:
    views = plain_views(pictures[:2], 24)
    torch.testing.assert_close(views, pictures[:2] / 255)
    assert plain_views(pictures[:2], 48).shape == (2, 1, 48, 48)


def test_black_and_white_pictures_stay_finite() -> None:
    extremes = torch.zeros((8, 1, 16, 16), dtype=torch.uint8)
    extremes[4:] = 255
    assert torch.isfinite(make_views(extremes, 32, generator()).images).all()
