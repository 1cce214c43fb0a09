"""Flaws of pictures: what they are called at each grade, and what they do to a picture.

A flaw has a strength with a unit of its own. Grade 1 is "slightly", grade 3 is "very"; each further grade is
the same factor of strength, as eyes see it. Light is drawn apart from all other flaws, and noise is measured
against the light: so a caption such as "a noisy image" cannot be learned as a brightness.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

GRADES = 3


@dataclass(frozen=True)
class Flaw:
    """One flaw.

    Attributes:
        captions: of grade 0 to 3.
        best: the smallest strength that a picture gets, below what anybody sees.
        start: strength of grade 0.
        factor: what the strength is multiplied by from one grade to the next.
    """

    captions: tuple[str, str, str, str]
    best: float
    start: float
    factor: float

    @property
    def lowest(self) -> float:
        """The grade of the smallest strength, below 0."""
        return math.log(self.best / self.start) / math.log(self.factor)

    def strength(self, grade: Tensor) -> Tensor:
        """The strength of a grade; below 0 it falls further."""
        return self.start * self.factor**grade


def _captions(without: str, flawed: str) -> tuple[str, str, str, str]:
    return without, flawed.format("slightly "), flawed.format(""), flawed.format("very ")


FLAWS = {
    "noise": Flaw(_captions("a clean image", "a {}noisy image"), 0.002, 0.02, 2.6),
    "blur": Flaw(_captions("a sharp image", "a {}blurred image"), 0.1, 0.6, 1.8),
    "contrast": Flaw(_captions("an image of high contrast", "an image of {}low contrast"), 1.0, 1.43, 1.7),
    "borders": Flaw(_captions("an image without borders", "an image with {}dark borders"), 0.05, 0.8, 2.0),
    "darkness": Flaw(_captions("a bright image", "a {}dark image"), 0.67, 1.43, 2.4),
}
"""Each flaw by name, in the order in which they happen to a picture. Strengths:

noise: standard deviation as a share of the light of white; blur: standard deviation in pixels of the view;
contrast: how many times smaller than from black to white; borders: depth, as a share of the light, times
width in pixels; darkness: how many times darker than white.
"""

CLEAR = "a clear image"
"""The caption of a picture without flaws."""

CAPTIONS = (CLEAR, *(caption for flaw in FLAWS.values() for caption in flaw.captions))

FLAWED = tuple(caption for flaw in FLAWS.values() for caption in flaw.captions[1:])
"""The captions of grades 1 to 3 of all flaws: what "a clear image" is compared with."""

_RADIUS = 9


@dataclass(frozen=True)
class Strengths:
    """How strong each flaw of `FLAWS` is, one number per picture and flaw: float32 (B, 1, 1, 1) each."""

    noise: Tensor
    blur: Tensor
    contrast: Tensor
    borders: Tensor
    darkness: Tensor


def strengths(grades: Tensor) -> Strengths:
    """The strengths of grades float32 (B, 5)."""
    columns = zip(FLAWS.items(), grades.unbind(1), strict=True)
    return Strengths(**{name: flaw.strength(grade)[:, None, None, None] for (name, flaw), grade in columns})


def lower_contrast(images: Tensor, strength: Tensor) -> Tensor:
    """Raise black (0) so that the light from black to white (1) is so many times smaller."""
    contrast = (1 / strength).clamp(max=1)
    return (1 - contrast + contrast * images).clamp(min=0)  # surroundings may be darker than black


def blur(images: Tensor, deviation: Tensor, radius: int = _RADIUS) -> Tensor:
    """Each image (B, 1, h, w) through a Gaussian of its own standard deviation in pixels, (B, 1, 1, 1)."""
    at = torch.arange(-radius, radius + 1.0)
    kernels = torch.exp(-0.5 * (at / deviation) ** 2)
    kernels = kernels / kernels.sum(3, keepdim=True)
    channels = functional.pad(images.transpose(0, 1), [radius] * 4, mode="replicate")
    channels = functional.conv2d(channels, kernels, groups=len(images))
    channels = functional.conv2d(channels, kernels.transpose(2, 3), groups=len(images))
    return channels.transpose(0, 1)


def add_noise(images: Tensor, strength: Tensor, generator: torch.Generator) -> Tensor:
    """Noise of one of four kinds per picture; white is 1.

    The kinds: Gaussian; shot noise, whose deviation grows as the root of the light; fixed pattern, which
    multiplies the light; and few spikes: a pixel that fires `n` times for white gives a whole number of
    spikes, with a phase of its own. Half of the noise of the first three has grain wider than a pixel, as
    noise has that went through a network.
    """
    kind, wide = (torch.rand((2, len(images), 1, 1, 1), generator=generator) * 4).unbind(0)
    grain = torch.randn(images.shape, generator=generator)
    smooth = blur(grain, 0.3 + 0.5 * (wide - 2).clamp(min=0), radius=3)
    smooth = smooth / smooth.square().mean((1, 2, 3), keepdim=True).sqrt()
    light = images.clamp(min=0)
    level = torch.where(kind < 1, torch.ones(()), torch.where(kind < 2, light.sqrt(), light))
    spikes = 0.41 / strength  # for white: a fraction f of a spike has the variance f (1 - f), 1/6 on average
    counted = torch.floor(light * spikes + torch.rand(images.shape, generator=generator)) / spikes
    return torch.where(kind < 3, images + strength * level * smooth, counted)


def darken_borders(images: Tensor, strength: Tensor, depth: Tensor) -> Tensor:
    """Fade all four borders towards black.

    Args:
        images: (B, 1, h, w).
        strength: depth times width in pixels, (B, 1, 1, 1).
        depth: what part of the light is missing at the very border, (B, 1, 1, 1).
    """
    height, width = images.shape[2:]
    rows, columns = (torch.minimum(at := torch.arange(n) + 0.5, n - at) for n in (height, width))
    distance = torch.minimum(rows[:, None], columns)
    return images * (1 - depth * torch.exp(-distance * depth / strength))


def spoil(
    images: Tensor, grades: Tensor, generator: torch.Generator, *, depth: Tensor | float = 0.8
) -> Tensor:
    """Give pictures their flaws, in the order of `FLAWS` but for noise, which comes after contrast.

    Args:
        images: float32 (B, 1, h, w), black 0 and white 1.
        grades: float32 (B, 5), the columns as `FLAWS`.
        generator: where noise comes from.
        depth: see `darken_borders`.

    Returns:
        float32 (B, 1, h, w); noise may leave the range.
    """
    strong = strengths(grades)
    images = lower_contrast(blur(images, strong.blur), strong.contrast)
    images = add_noise(images, strong.noise, generator)
    images = darken_borders(images, strong.borders, torch.as_tensor(depth))
    return images / strong.darkness
