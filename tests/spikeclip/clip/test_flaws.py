from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikeclip.clip.flaws import (
    CAPTIONS,
    CLEAR,
    FLAWED,
    FLAWS,
    add_noise,
    blur,
    darken_borders,
    lower_contrast,
    spoil,
)

NAMES = list(FLAWS)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def each(*values: float) -> Tensor:
    return torch.tensor(values)[:, None, None, None]


def scene(count: int = 1) -> Tensor:
    """A bright disc on gray."""
    at = torch.linspace(-1, 1, 48)
    disc = torch.where(at[:, None].square() + at.square() < 0.4, 0.9, 0.4)
    return disc.expand(count, 1, 48, 48).clone()


def grades(**given: float) -> Tensor:
    return torch.tensor([[given.get(name, FLAWS[name].lowest) for name in NAMES]])


def measured(name: str, image: Tensor, clean: Tensor) -> float:
    """How strong a flaw is to see in an image."""
    match name:
        case "noise":
            return float((image - clean).std() / clean.mean())
        case "blur":
            return -float(image.diff(dim=3).abs().max())
        case "contrast":
            return -float((image.amax() - image.amin()) / image.amax())
        case "borders":
            return -float(image[..., :3, :].mean() / image[..., 20:28, 20:28].mean())
        case _:
            return -float(image.mean())


@pytest.mark.parametrize("name", NAMES)
def test_each_grade_is_stronger_than_the_one_before(name: str) -> None:
    clean = spoil(scene(), grades(), generator())
    seen = [
        measured(name, spoil(scene(), grades(**{name: grade}), generator()), clean)
        for grade in (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
    ]
    assert seen == sorted(seen)
    assert len({round(value, 5) for value in seen}) == len(seen)


def test_the_lowest_grades_leave_a_picture_as_it_is_but_for_its_light() -> None:
    spoiled = spoil(scene(), grades(), generator())
    torch.testing.assert_close(spoiled / spoiled.amax() * 0.9, scene(), atol=0.02, rtol=0)


@given(gain=st.floats(0.02, 2), seed=st.integers(0, 100))
def test_a_gain_leaves_the_noise_as_a_share_of_the_light(gain: float, seed: int) -> None:
    """Light comes last, so a picture and its darker copy have one grade of noise."""
    darkness = float(
        torch.log(torch.tensor(1 / gain / FLAWS["darkness"].start)) / torch.log(torch.tensor(2.4))
    )
    bright = spoil(scene(), grades(noise=2.0, darkness=0.0), generator(seed))
    dark = spoil(scene(), grades(noise=2.0, darkness=darkness), generator(seed))
    torch.testing.assert_close(dark / dark.mean(), bright / bright.mean(), rtol=1e-3, atol=1e-4)


def test_noise_has_the_deviation_that_was_asked_for_whatever_its_kind() -> None:
    white = torch.ones((400, 1, 32, 32))
    noise = add_noise(white, each(*[0.1] * 400), generator()) - white
    deviations = noise.std((1, 2, 3))
    # A pixel of few spikes has less noise where white is a whole number of them.
    assert (deviations < 0.15).all()
    assert 0.09 < deviations.median() < 0.11
    assert abs(float(noise.mean())) < 0.01


def test_few_spikes_give_few_levels_of_light() -> None:
    images = add_noise(scene(100), each(*[0.2] * 100), generator())
    levels = torch.tensor([len(image.unique()) for image in images])
    assert (levels < 6).any()
    assert (levels > 1000).any()


def test_a_blur_keeps_the_mean_and_flat_pictures() -> None:
    flat = torch.full((2, 1, 30, 30), 0.3)
    torch.testing.assert_close(blur(flat, each(0.5, 3.0)), flat)
    spread = blur(scene(2), each(1.0, 3.0))
    torch.testing.assert_close(spread.mean(), scene().mean(), atol=0.02, rtol=0)


def test_low_contrast_raises_black_and_keeps_white() -> None:
    images = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2)
    torch.testing.assert_close(lower_contrast(images, each(4.0)).flatten(), torch.tensor([0.75, 1.0]))
    torch.testing.assert_close(lower_contrast(images, each(0.5)), images)


def test_borders_fade_to_the_depth_and_leave_the_middle() -> None:
    white = torch.ones((2, 1, 64, 64))
    dark = darken_borders(white, each(1.0, 4.0), torch.ones(()))
    assert (dark[:, :, 32, 32] > 0.99).all()
    assert (dark[:, :, :, 0] < 0.5).all()
    assert dark[1].mean() < dark[0].mean()
    torch.testing.assert_close(dark, dark.transpose(2, 3))
    torch.testing.assert_close(dark, dark.flip(3))


def test_captions_are_different_and_the_clear_one_is_not_among_the_flawed() -> None:
    assert len(set(CAPTIONS)) == len(CAPTIONS) == 1 + 4 * len(FLAWS)
    assert CAPTIONS[0] == CLEAR
    assert len(FLAWED) == 3 * len(FLAWS)
    assert not {CLEAR, *(flaw.captions[0] for flaw in FLAWS.values())} & {*FLAWED}
