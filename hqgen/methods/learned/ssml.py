"""SSML: self-supervised mutual learning; a blind-spot network teaches a plain one.

Chen, Duan, Wang and Zhang, "Self-Supervised Mutual Learning for Dynamic Scene Reconstruction of Spiking
Camera", IJCAI 2022. Pictures come from the plain network (`nbsn`). The blind one (`bsn`) was used in
training; it is built because the published weights hold both.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from hqgen.methods.learned.layers import chain, crop_evenly
from hqgen.methods.learned.network import NetworkMethod

Variant = Literal["full", "simple"]

FRAMES = 41
MIDDLE = FRAMES // 2
REACH = 12
"""Frames before and after the middle frame in which the nearest spikes are searched."""

COMFORTABLE_RATE = 0.085
"""Mean firing rate at which the simple network works best.

Measured on spikes simulated from the three Spike-REDS ground truths at mean rates from 0.03 to 0.65. At
every rate the PSNR is best if thinning leaves a rate of 0.08 to 0.12.
"""


def _shift_down(features: Tensor) -> Tensor:
    """Move the image one row down: the first row becomes zero, the last row is lost."""
    return functional.pad(features, (0, 0, 1, -1))


class Conv(nn.Module):
    """3x3 convolution without bias on a replicated border, then LeakyReLU.

    A blind one sees only the row of each pixel and the rows above it.
    """

    def __init__(self, inputs: int, outputs: int, *, blind: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, bias=False)
        self.blind = blind

    def forward(self, features: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W)."""
        if self.blind:
            features = functional.pad(features, (0, 0, 1, 0))
        padded = functional.pad(features, (1, 1, 1, 1), mode="replicate")
        out = functional.leaky_relu(self.conv(padded), 0.1)
        return out[:, :, :-1] if self.blind else out


def convs(*channels: int, blind: bool) -> nn.Sequential:
    """A chain of `Conv` through these numbers of channels, named conv1, conv2, ..."""
    layers = (Conv(inputs, outputs, blind=blind) for inputs, outputs in pairwise(channels))
    return chain(**{f"conv{index}": layer for index, layer in enumerate(layers, start=1)})


class UNet(nn.Module):
    """Two levels down and up again; skips from the input and from the first level.

    With 41 inputs and one output this is the whole simplified network (904,176 parameters).
    """

    def __init__(self, inputs: int, outputs: int, *, blind: bool = False) -> None:
        super().__init__()
        self.enc1 = convs(inputs, 48, 48, 48, blind=blind)
        self.enc2 = convs(48, 48, 48, 48, blind=blind)
        self.enc3 = convs(48, 96, 96, 48, blind=blind)
        self.dec2 = convs(96, 96, 96, 96, 96, blind=blind)
        self.dec1 = convs(96 + inputs, 96, 96, 96, outputs, blind=blind)
        self.blind = blind

    def forward(self, features: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W)."""
        half = self._pool(self.enc1(features))
        quarter = self.enc3(self._pool(self.enc2(half)))
        half = self.dec2(_joined(quarter, half))
        return self.dec1(_joined(half, features))

    def _pool(self, features: Tensor) -> Tensor:
        return functional.max_pool2d(_shift_down(features) if self.blind else features, 2)


def _joined(coarse: Tensor, skip: Tensor) -> Tensor:
    """Double the size of `coarse`, add zero borders if `skip` has an odd size, and put both together."""
    doubled = functional.interpolate(coarse, scale_factor=2, mode="nearest")
    missing = [skip.shape[axis] - doubled.shape[axis] for axis in (3, 2)]
    left, top = (count // 2 for count in missing)
    return torch.cat([functional.pad(doubled, (left, missing[0] - left, top, missing[1] - top)), skip], 1)


class SpatialGate(nn.Module):
    """Weigh each pixel by what the maximum and mean over its channels say (CBAM, Woo et al., ECCV 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.spatial = chain(conv=nn.Conv2d(2, 1, 7, padding=3, bias=False))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        summary = torch.cat([features.amax(1, keepdim=True), features.mean(1, keepdim=True)], 1)
        return features * torch.sigmoid(self.spatial(summary))


class ChannelGate(nn.Module):
    """Weigh each channel by what its maximum and mean over the image say (CBAM)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Flatten(), nn.Linear(channels, channels // 4), nn.ReLU(), nn.Linear(channels // 4, channels)
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        weight = torch.sigmoid(self.mlp(features.mean((2, 3))) + self.mlp(features.amax((2, 3))))
        return features * weight[:, :, None, None]


class MotionInference(nn.Module):
    """Sixteen features from firing rates of three windows and from the interval around the middle frame."""

    def __init__(self, *, blind: bool) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(11, 1, 1, bias=False)
        self.conv1 = nn.Conv2d(19, 1, 1, bias=False)
        self.conv2 = nn.Conv2d(27, 1, 1, bias=False)
        self.tfpconv = Conv(3, 16, blind=blind)
        self.tficonv = Conv(1, 16, blind=blind)
        self.ChannelGate = ChannelGate(16)
        self.SpatialGate = SpatialGate()
        self.blind = blind

    def forward(self, spikes: Tensor) -> Tensor:
        """(B, 41, H, W) spikes to (B, 16, H, W)."""
        windows = (self.conv0, self.conv1, self.conv2)
        rates = [conv(_central(spikes, conv.in_channels)) for conv in windows]
        by_count = self.tfpconv(torch.cat(rates, 1))
        by_interval = self.tficonv(interval_rate(spikes))
        if self.blind:
            return by_count + by_interval
        return self.ChannelGate(self.SpatialGate(by_count) + self.SpatialGate(by_interval))


def _central(spikes: Tensor, frames: int) -> Tensor:
    return spikes[:, MIDDLE - frames // 2 : MIDDLE + frames // 2 + 1]


def interval_rate(spikes: Tensor) -> Tensor:
    """One over the interval around the middle frame; a missing spike counts as `REACH` frames away.

    Args:
        spikes: (B, 41, H, W).

    Returns:
        (B, 1, H, W), 1 / 24 to 1.
    """
    before = spikes[:, MIDDLE - REACH + 1 : MIDDLE + 1].flip(1)
    after = spikes[:, MIDDLE + 1 : MIDDLE + REACH + 1]
    distance = _first_spike(before) + (_first_spike(after) + 1).clamp(max=REACH)
    return 1 / distance


def _first_spike(frames: Tensor) -> Tensor:
    """Index of the first spike in time, (B, 1, H, W); the number of frames without a spike."""
    count = frames.shape[1]
    index = torch.arange(count, device=frames.device, dtype=frames.dtype).view(1, -1, 1, 1)
    return torch.where(frames > 0, index, count).amin(1, keepdim=True)


class Branch(nn.Module):
    """One of the two networks (1,192,287 parameters): the U-Net on four rotations, merged pixel by pixel.

    A blind U-Net sees only upwards. On all four rotations together it sees every pixel except the one itself.
    """

    def __init__(self, *, blind: bool) -> None:
        super().__init__()
        self.unet = UNet(FRAMES + 16, 96, blind=blind)
        self.nin_A = nn.Conv2d(384, 384, 1, bias=False)
        self.nin_B = nn.Conv2d(384, 96, 1, bias=False)
        self.nin_C = nn.Conv2d(96, 1, 1, bias=False)
        self.MotionInference = MotionInference(blind=blind)
        self.blind = blind

    def forward(self, spikes: Tensor) -> Tensor:
        """(B, 41, H, W) spikes to (B, 1, H, W)."""
        height, width = spikes.shape[-2:]
        square = mirrored_to(mirrored_to(spikes, max(height, width), 2), max(height, width), 3)
        # One rotation after another: all together they need four times the memory and are no faster.
        turned = [
            torch.rot90(self._features(torch.rot90(square, -turns, (2, 3))), turns, (2, 3))
            for turns in range(4)
        ]
        merged = functional.leaky_relu(self.nin_A(torch.cat(turned, 1)), 0.1)
        image: Tensor = self.nin_C(functional.leaky_relu(self.nin_B(merged), 0.1))
        return crop_evenly(image, height, width)

    def _features(self, spikes: Tensor) -> Tensor:
        features: Tensor = self.unet(torch.cat([spikes, self.MotionInference(spikes)], 1))
        return _shift_down(features) if self.blind else features


def mirrored_to(image: Tensor, size: int, axis: int) -> Tensor:
    """Mirror the image at its border pixels until `axis` has `size`, several times if needed."""
    found = image.shape[axis]
    position = torch.arange(size, device=image.device) - (size - found) // 2
    position = position.remainder(2 * found - 2)
    return image.index_select(axis, torch.minimum(position, 2 * found - 2 - position))


class DoubleNet(nn.Module):
    """Both networks, as the published weights of the full method hold them (2,384,574 parameters)."""

    def __init__(self) -> None:
        super().__init__()
        self.nbsn = Branch(blind=False)
        self.bsn = Branch(blind=True)

    def forward(self, spikes: Tensor) -> Tensor:
        """(B, 41, H, W) spikes to (B, 1, H, W), by the plain network."""
        return self.nbsn(spikes)


def thinned(spikes: Tensor, keep: Tensor) -> Tensor:
    """Keep every `keep`-th spike of each pixel, beginning in the middle of the first `keep`.

    A pixel with n spikes keeps n / `keep` of them, rounded to the nearest whole number.

    Args:
        spikes: (B, T, H, W), values 0 and 1.
        keep: whole numbers from 1, (B, 1, 1, 1).
    """
    first = torch.div(keep + 1, 2, rounding_mode="floor")
    return spikes * ((spikes.cumsum(1) - first) % keep == 0)


@dataclass(frozen=True)
class SSML(NetworkMethod):
    """SSML on 41 frames; the output is spikes per frame.

    The published simple network was trained on dim recordings. At more than about 0.2 spikes per frame and
    pixel its output grows to five times the rate and more. So brighter windows are thinned first, and the
    output is multiplied by the same factor. PSNR in dB on the three Spike-REDS test streams (mean rates
    0.29, 0.35 and 0.22; the output is divided by 0.6 and clipped):

    ============== ==== ==== ====
    thin = 1       13.3 12.2 17.0
    thin = 2       25.6 23.5 23.1
    thin = 3       31.0 28.4 24.4
    thin = 4       29.3 28.3 23.5
    thin = 0       31.0 28.3 24.4
    TFP, 41 frames 31.6 28.9 23.5
    ============== ==== ==== ====

    Args:
        variant: `full`, the paper's two networks with motion features; `simple`, only the U-Net, as SpikeCV
            publishes it.
        thin: use every `thin`-th spike of each pixel and multiply the output by `thin`. With 0, `full` uses
            all spikes, and `simple` the number that brings the mean rate nearest to `COMFORTABLE_RATE`.

    Raises:
        UsageError: `thin` below 0.
    """

    name: ClassVar[str] = "ssml"
    rank: ClassVar[int] = 50
    citation: ClassVar[str] = (
        "Chen et al., Self-Supervised Mutual Learning for Dynamic Scene Reconstruction of Spiking Camera, "
        "IJCAI 2022"
    )
    weights_licence: ClassVar[str] = "none stated; variant simple: Apache-2.0"
    weights_source: ClassVar[str] = (
        "fin3g-best-lucky.pt of Spike-Zoo; variant simple: nbsn_83000_simple.pth of SpikeCV"
    )
    variant: Variant = "full"
    thin: int = 0

    def __post_init__(self) -> None:
        self.require("thin", 0)

    @property
    def weights_name(self) -> str:
        """The variants have different weights."""
        return "ssml" if self.variant == "full" else "ssml-simple"

    @property
    def usable_rates(self) -> tuple[float, float]:
        """With `full` any rate; with `simple` the rate after thinning must be low."""
        if self.variant == "full":
            return self.valid_rate
        return 0.0, 0.15 * self.thin if self.thin else 0.7

    def network(self) -> nn.Module:
        """Fresh parameters."""
        return DoubleNet() if self.variant == "full" else UNet(FRAMES, 1)

    def infer(self, network: nn.Module, spikes: Tensor) -> Tensor:
        """(B, 41, H, W) to (B, H, W), at any size."""
        keep = self._keep(spikes)
        return (network(thinned(spikes, keep)) * keep)[:, 0]

    def _keep(self, spikes: Tensor) -> Tensor:
        """One spike in how many is kept, (B, 1, 1, 1)."""
        rate = spikes.mean((1, 2, 3), keepdim=True)
        if self.thin or self.variant == "full":
            return torch.full_like(rate, self.thin or 1)
        return (rate / COMFORTABLE_RATE).round().clamp(min=1)
