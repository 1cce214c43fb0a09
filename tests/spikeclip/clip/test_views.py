from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spikeclip.clip.flaws import FLAWS
from spikeclip.clip.pictures import LabelledPictures
from spikeclip.clip.views import Kind, make_views, plain_views

BLUR = list(FLAWS).index("blur")
DARKNESS = list(FLAWS).index("darkness")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def labelled(images: Tensor, *, sharp: bool = True, aspect: float = 1.0) -> LabelledPictures:
    count = len(images)
    aspects = torch.full((count,), aspect)
    return LabelledPictures(("a",), images, torch.zeros(count, dtype=torch.long), aspects, sharp)


@pytest.fixture(scope="module")
def pictures() -> LabelledPictures:
    """Bright squares with a black upper left corner."""
    images = torch.full((200, 1, 24, 24), 230, dtype=torch.uint8)
    images[:, :, :12, :12] = 0
    return labelled(images)


def test_views_are_a_function_of_pictures_and_seed(pictures: LabelledPictures) -> None:
    first, again = make_views(pictures, 32, generator()), make_views(pictures, 32, generator())
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.grades, again.grades)
    assert not torch.equal(first.images, make_views(pictures, 32, generator(1)).images)


@pytest.mark.parametrize("size", [16, 32, 64])
def test_views_are_gray_squares_of_the_size_that_was_asked_for(pictures: LabelledPictures, size: int) -> None:
    views = make_views(pictures.part(torch.arange(3)), size, generator())
    assert views.images.shape == (3, 1, size, size)
    assert torch.isfinite(views.images).all()


def test_some_views_are_clear_and_every_flaw_occurs_alone_and_at_all_grades(
    pictures: LabelledPictures,
) -> None:
    grades = make_views(pictures, 16, generator()).grades
    assert (grades >= 0).all()
    assert (grades <= 3).all()
    clear = (grades == 0).all(1)
    assert 0.3 < clear.float().mean() < 0.6
    for flaw in range(len(FLAWS)):
        others = grades[:, [other for other in range(len(FLAWS)) if other != flaw]]
        assert ((grades[:, flaw] > 0) & (others == 0).all(1)).any()
        assert (grades[:, flaw] > 2.5).any()


def test_light_says_nothing_about_the_other_flaws(pictures: LabelledPictures) -> None:
    """Else "noisy" could be learned as "dark": among the flawed views, grades do not go together."""
    grades = torch.cat([make_views(pictures, 16, generator(seed)).grades for seed in range(10)])
    flawed = grades[(grades > 0).any(1)]
    related = torch.corrcoef(flawed.T)[DARKNESS]
    related[DARKNESS] = 0
    assert related.abs().max() < 0.25


def test_how_blurred_pictures_of_few_pixels_are_is_not_known(pictures: LabelledPictures) -> None:
    views = make_views(labelled(pictures.images, sharp=False), 32, generator())
    assert not views.known[:, BLUR].any()
    assert views.known.sum() == len(views.known) * (len(FLAWS) - 1)
    assert make_views(pictures, 32, generator()).known.all()


@pytest.mark.parametrize("kind", ["placed", "crops"])
def test_a_test_view_has_no_flaw_and_is_not_mirrored(pictures: LabelledPictures, kind: Kind) -> None:
    views = make_views(pictures, 64, generator(), kind=kind)
    assert (views.grades == 0).all()
    left, right = views.images[..., :32].mean((1, 2, 3)), views.images[..., 32:].mean((1, 2, 3))
    assert (left < right + 0.01).float().mean() > 0.8  # the black corner stays on the left


def test_a_placed_view_has_a_frame_and_a_crop_has_none() -> None:
    white = labelled(torch.full((50, 1, 24, 24), 255, dtype=torch.uint8))

    def corners(kind: Kind) -> Tensor:
        """Their light as a share of the light in the middle."""
        images = make_views(white, 64, generator(), kind=kind).images
        return images[:, :, ::63, ::63].mean((1, 2, 3)) / images[:, :, 24:40, 24:40].mean((1, 2, 3))

    assert (corners("placed") < 0.7).float().mean() > 0.9
    assert corners("crops").median() > 0.7


def test_training_views_are_mirrored_now_and_then(pictures: LabelledPictures) -> None:
    views = make_views(pictures, 64, generator())
    images = views.images[(views.grades == 0).all(1)]
    mirrored = images[..., :32].mean((1, 2, 3)) > images[..., 32:].mean((1, 2, 3))
    assert 0.25 < mirrored.float().mean() < 0.75


def test_an_oblong_picture_is_not_stretched_on_its_screen() -> None:
    wide = labelled(torch.full((20, 1, 24, 24), 255, dtype=torch.uint8), aspect=3.0)
    images = make_views(wide, 60, generator(), kind="placed").images
    bright = images > 0.7 * images.amax((2, 3), keepdim=True)
    rows, columns = bright.any(3).sum(2), bright.any(2).sum(2)
    assert (columns > 2 * rows).all()


def test_fine_stripes_of_a_large_picture_become_gray_not_false_grain() -> None:
    stripes = torch.zeros((10, 1, 128, 128), dtype=torch.uint8)
    stripes[..., ::2] = 255
    images = make_views(labelled(stripes), 64, generator(), kind="placed").images[:, :, 24:40, 24:40]
    spread = images.std((1, 2, 3)) / images.mean((1, 2, 3))
    assert spread.mean() < 0.25


def test_plain_views_are_the_pictures_from_0_to_1(pictures: LabelledPictures) -> None:
    images = pictures.images[:2]
    torch.testing.assert_close(plain_views(images, 24), images / 255)
    assert plain_views(images, 48).shape == (2, 1, 48, 48)


def test_black_and_white_pictures_stay_finite() -> None:
    extremes = torch.zeros((40, 1, 16, 16), dtype=torch.uint8)
    extremes[20:] = 255
    assert torch.isfinite(make_views(labelled(extremes), 32, generator()).images).all()
