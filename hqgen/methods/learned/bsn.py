"""`bsn`: a blind-spot network, trained without ground truth on a user's own recordings.

The noise of a pixel (the charge that it starts with, its gain, its threshold) is independent of the noise of
its neighbours. So the best guess of a pixel's count by a network that does not see this pixel is its rate,
without that noise: no ground truth is needed (Krull, Buchholz and Jug 2019; Laine et al. 2019; for spikes
Chen et al., IJCAI 2022).

What the pixel itself fired comes back afterwards, without training. The counting noise of an
integrate-and-fire pixel follows from its rate alone. Where guess and count differ by more than this noise
explains, the difference is texture, and its share is added to the guess (local Wiener filter, Lee 1980).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from hqgen.errors import MethodError
from hqgen.methods.learned.layers import conv3x3, residual3x3
from hqgen.methods.learned.network import NetworkMethod

FRAMES = 41
MIDDLE = FRAMES // 2
WIDEST = 20
"""Largest half width of a kernel: the window has no frame whose weight it could reach beyond."""
COUNTED = 1.2
"""Spikes in the half width of a kernel."""
RATES = 256
AROUND = 9
"""Side, in pixels, of the square in which differences are compared with what noise explains."""
DOUBT = 1.3
"""By how much the mean square of differences may exceed the noise before it counts as texture.

The mean of the squares of 9x9 numbers varies by 16 %; this is two standard deviations.
"""


class BlindNetwork(nn.Module):
    """The rate of a pixel from all pixels around it, at half resolution; the pixel itself is not an input.

    The network sees three of every 2x2 pixels and predicts the fourth, at the top left. All eight neighbours
    of a hidden pixel are seen. Four shifts of the image make the whole picture.

    Args:
        guesses: pictures that are inputs beside the spikes, made without the hidden pixels.
        channels: of the layers.
        blocks: residual blocks of two convolutions.
    """

    scale: Tensor

    def __init__(self, guesses: int = 0, channels: int = 48, blocks: int = 3) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(()))  # mean rate of the recordings
        self.head = conv3x3(3 * FRAMES + 4 * guesses, channels)
        self.body = nn.Sequential(*(residual3x3(channels) for _ in range(blocks)))
        self.last = conv3x3(channels, channels)
        self.tail = nn.Conv2d(channels, 1, 1)

    def hidden(self, spikes: Tensor, *guesses: Tensor) -> Tensor:
        """The hidden pixels, those of even rows and columns, in units of `scale`.

        Args:
            spikes: (B, 41, H, W), H and W even.
            guesses: (B, H, W) each.

        Returns:
            (B, H/2, W/2).
        """
        height, width = spikes.shape[-2:]
        cells = functional.pixel_unshuffle(spikes, 2).view(-1, FRAMES, 4, height // 2, width // 2)
        seen = [cells[:, :, 1:].flatten(1, 2)]
        seen += [functional.pixel_unshuffle(guess.unsqueeze(1), 2) for guess in guesses]
        features = self.body(torch.relu(self.head(torch.cat(seen, 1))))
        image: Tensor = self.tail(torch.relu(self.last(features)))
        return image[:, 0]

    def forward(self, spikes: Tensor) -> Tensor:
        """(B, 41, H, W), H and W at least 2, to (B, H, W), spikes per frame; no pixel sees its own spikes."""
        height, width = spikes.shape[-2:]
        # Mirrored pixels have the parity of their originals, so that a copy of a hidden pixel is hidden, too.
        padded = functional.pad(spikes, (1, 1, 1, 1), mode="reflect")
        image = spikes.new_empty(len(spikes), height, width)
        for down in (0, 1):
            for right in (0, 1):
                part = padded[:, :, _shifted(down, height), _shifted(right, width)]
                image[:, down::2, right::2] = self.hidden(part)[:, down:, right:]
        return image * self.scale


def _shifted(odd: int, size: int) -> slice:
    """Padded pixels, even in number, of which the first and every second one are hidden."""
    return slice(0, size + 2 - size % 2) if odd else slice(1, 1 + size + size % 2)


def half_width(rate: float) -> int:
    """Half width, in frames, of the kernel that counts a pixel's spikes at a mean rate (spikes per frame)."""
    return max(5, min(round(COUNTED / max(rate, 1e-6)), WIDEST))


@lru_cache(maxsize=WIDEST)
def kernel(half: int) -> Tensor:
    """Weights of the frames that make a rate at the middle frame of a pixel's spikes, float32 (41,), sum 1.

    A triangle: the noise of integrate-and-fire counts falls with the slopes of the weights, as it does in a
    sigma-delta converter. Where a triangle of twice the width fits into the window, about a third of it is
    taken off. Then the second moment is zero, and a picture that moves is not blurred to second order.
    """
    if 2 * half > WIDEST:
        return _triangle(half)
    share = (half**2 - 1) / (3 * half**2)
    return (1 + share) * _triangle(half) - share * _triangle(2 * half)


def _triangle(half: int) -> Tensor:
    weights = (half - (torch.arange(FRAMES) - MIDDLE).abs()).clamp(min=0).float()
    return weights / weights.sum()


def measured(spikes: Tensor, half: int) -> Tensor:
    """The rate that each pixel's own spikes say, (B, 41, H, W) to (B, H, W); unbiased, and very noisy."""
    return torch.einsum("btyx,t->byx", spikes, kernel(half).to(spikes))


@lru_cache(maxsize=WIDEST)
def noise(half: int) -> Tensor:
    """Variance of `measured` for an ideal pixel with a random first charge, at 256 rates from 0 to 1."""
    rate = (torch.arange(8 * RATES) + 0.5) / (8 * RATES)
    charge = (torch.arange(64) + 0.5) / 64
    total = charge[:, None] + rate[:, None, None] * torch.arange(FRAMES + 1)
    found = torch.einsum("rct,t->rc", total.floor().diff(dim=2), kernel(half))
    return (found - rate[:, None]).square().mean(1).view(RATES, 8).mean(1)


def with_own_spikes(guess: Tensor, spikes: Tensor, spread: float, half: int) -> Tensor:
    """Add to a blind guess what the pixels' own spikes say beyond noise.

    Args:
        guess: (B, H, W), spikes per frame, made without the pixels' own spikes.
        spikes: (B, 41, H, W).
        spread: standard deviation of the pixels' gain about 1.
        half: half width of the kernel that counts.
    """
    difference = measured(spikes, half) - guess
    level = (guess * RATES).long().clamp(0, RATES - 1)
    expected = noise(half).to(guess)[level] + (spread * guess).square()
    found = _smooth(difference.square())
    texture = 1 - DOUBT * _smooth(expected) / found.clamp(min=1e-12)
    return guess + texture.clamp(min=0) * difference


def _smooth(image: Tensor) -> Tensor:
    pooled = functional.avg_pool2d(image.unsqueeze(1), AROUND, 1, AROUND // 2, count_include_pad=False)
    return pooled[:, 0]


@dataclass(frozen=True)
class BSN(NetworkMethod):
    """A blind-spot network (0.2 M parameters) for one camera: it needs weights trained on its recordings.

    docs/bsn.md has the training and the results.

    Args:
        spread: standard deviation of the pixels' gain about 1, which is not taken for texture. With 1 the
            result is the blind guess alone.

    Raises:
        UsageError: `spread` is not 0 to 1.
    """

    name: ClassVar[str] = "bsn"
    rank: ClassVar[int] = 130
    citation: ClassVar[str] = (
        "hqgen, docs/bsn.md; blind-spot networks: Laine et al., High-Quality Self-Supervised Deep Image "
        "Denoising, NeurIPS 2019"
    )
    weights_licence: ClassVar[str] = "yours"
    weights_source: ClassVar[str] = "made by `hqgen train-method bsn` from your recordings"
    spread: float = 0.03

    network = BlindNetwork

    def __post_init__(self) -> None:
        self.require("spread", 0, 1)

    def checkpoint(self) -> tuple[Path, str | None]:
        """As `NetworkMethod.checkpoint`; the error says how weights are made."""
        try:
            return super().checkpoint()
        except MethodError as error:
            raise MethodError(
                f"{error.message}: `hqgen train-method bsn` makes them from your recordings",
                hint="run `hqgen train-method bsn --recordings DIR --out bsn.pth`, "
                "then `hqgen weights add bsn.pth --method bsn`",
            ) from error

    def infer(self, network: nn.Module, spikes: Tensor) -> Tensor:
        """(B, 41, H, W) to (B, H, W), spikes per frame, not negative."""
        guess: Tensor = network(spikes)
        images = [guess]
        if self.spread < 1:
            # Each window has its own width, so that a picture does not depend on the others of a batch.
            images = [
                with_own_spikes(blind[None], window[None], self.spread, half_width(float(window.mean())))
                for blind, window in zip(guess, spikes, strict=True)
            ]
        return torch.cat(images).clamp(min=0)
