"""SSIR: a spiking network that keeps its membranes from window to window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from hqgen.methods.base import OutputScale, Span
from hqgen.methods.learned.layers import Residual, chain
from hqgen.methods.learned.network import NetworkMethod

WINDOW, STRIDE = 41, 20
"""Frames per window, and frames between the centres of two windows."""


class SpikingNeuron(nn.Module):
    """A leaky integrate-and-fire neuron with one learned time constant for all of its pixels.

    Source: Fang et al., ICCV 2021 (PLIF): v += (x - v) * sigmoid(w); a spike and v = 0 where v reaches 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(()))

    def forward(self, currents: Tensor) -> Tensor:
        """Currents (K, ...) at K steps to spikes, 0 or 1, of the same shape; the membrane starts at 0."""
        leak = self.w.sigmoid()
        membrane = torch.zeros_like(currents[0])
        spikes = []
        for current in currents:
            membrane = membrane + (current - membrane) * leak
            fired = (membrane >= 1).to(current.dtype)
            membrane = membrane * (1 - fired)
            spikes.append(fired)
        return torch.stack(spikes)


def over_steps(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a layer to all steps at once: (K, B, C, H, W) as (K * B, C, H, W)."""
    return torch.unflatten(layer(x.flatten(0, 1)), 0, x.shape[:2])


class SpikingLayer(nn.Module):
    """A convolution, its normalisation and spiking neurons."""

    def __init__(self, convolution: nn.Module, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(convolution, nn.BatchNorm2d(outputs), SpikingNeuron())

    def forward(self, x: Tensor) -> Tensor:
        """(K, B, C, H, W) to the spikes (K, B, outputs, H', W')."""
        return self.layer[2](over_steps(self.layer[:2], x))


class OverSteps(nn.Sequential):
    """Layers without memory that run on all steps at once: (K, B, C, H, W) to (K, B, C', H', W')."""

    def forward(self, x: Tensor) -> Tensor:
        """All steps as one batch, and back."""
        return over_steps(super().forward, x)


def bottleneck(channels: int, narrow: int) -> Residual:
    """Three spiking layers, the middle one narrow; their spikes are added to the input (K, B, C, H, W)."""
    return Residual(
        conv1=OverSteps(*normalised_conv(channels, narrow, 1)),
        sn1=SpikingNeuron(),
        conv2=OverSteps(*normalised_conv(narrow, narrow, 3, padding=1)),
        sn2=SpikingNeuron(),
        conv3=OverSteps(*normalised_conv(narrow, channels, 1)),
        sn3=SpikingNeuron(),
    )


def normalised_conv(inputs: int, outputs: int, side: int, padding: int = 0) -> nn.Sequential:
    """A convolution without bias, and its normalisation."""
    convolution = nn.Conv2d(inputs, outputs, side, padding=padding, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


def prediction() -> nn.Sequential:
    """Spikes (B, 64, H, W) to an image (B, 1, H, W): a linear filter, without any activation."""
    return chain(
        # The first layer pads for all four, so that zeros enter once and not before each of them.
        conv1=normalised_conv(64, 32, 3, padding=4),
        conv2=normalised_conv(32, 32, 3),
        conv3=normalised_conv(32, 32, 3),
        conv4=nn.Conv2d(32, 1, 3, bias=False),
    )


class SSIRNetwork(nn.Module):
    """A sequence of 41-frame windows to the image of the middle of each.

    Source: Zhao et al., TCSVT 2023.
    """

    def __init__(self) -> None:
        super().__init__()
        self.static_conv = SpikingLayer(nn.Conv2d(WINDOW, 128, 3, padding=1, bias=False), 128)
        self.enc1 = SpikingLayer(nn.Conv2d(128, 128, 3, stride=2, padding=1, bias=False), 128)
        self.eres1 = bottleneck(128, 32)
        self.dec3 = SpikingLayer(nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1, bias=False), 64)
        self.pred3 = prediction()

    def forward(self, windows: Tensor) -> Tensor:
        """(K, B, 41, H, W) in order of time, H and W even, to (K, B, H, W).

        All membranes start at rest. A layer never depends on a later one, so each layer runs on all windows
        before the next layer begins.
        """
        return over_steps(self.pred3, self.activity(windows))[:, :, 0]

    def activity(self, windows: Tensor) -> Tensor:
        """(K, B, 41, H, W) to the spikes (K, B, 64, H, W) from which the images are made."""
        return self.dec3(self.eres1(self.enc1(self.static_conv(windows))))


@dataclass(frozen=True)
class SSIR(NetworkMethod):
    """SSIR: a small spiking network on 41 frames, after a warm-up on earlier windows.

    The authors run it along a whole recording. Here every image starts at rest and sees `warm_up` earlier
    windows, 20 frames apart. On three Spike-REDS streams one such window gains 1.2 dB on average (PSNR after
    the means are made equal); more windows gain nothing. The output of the published weights is 1.4 times
    the ground truth of Spike-REDS, or 2.5 times the rate. Above a rate of about 0.4 it saturates.

    Args:
        warm_up: windows before the one that is reconstructed, at least 0.

    Source: Zhao et al., TCSVT 2023.
    """

    name: ClassVar[str] = "ssir"
    rank: ClassVar[int] = 90
    output: ClassVar[OutputScale] = "other"
    valid_rate: ClassVar[tuple[float, float]] = (0.02, 0.45)
    weights_source: ClassVar[str] = "https://github.com/ruizhao26/SSIR (ckpt/SSIR_e80.pth)"
    citation: ClassVar[str] = (
        "Zhao et al., Spike Camera Image Reconstruction Using Deep Spiking Neural Networks, TCSVT 2023"
    )

    warm_up: int = 1

    def __post_init__(self) -> None:
        self.require("warm_up", 0)

    @property
    def span(self) -> Span:
        """The window, and the earlier windows before it."""
        return WINDOW // 2 + STRIDE * self.warm_up, WINDOW // 2

    network = SSIRNetwork

    def infer(self, network: nn.Module, spikes: Tensor) -> Tensor:
        """(B, 41 + 20 * warm_up, H, W) to (B, H, W); odd sides are padded to even ones and cropped again."""
        assert isinstance(network, SSIRNetwork)
        height, width = spikes.shape[-2:]
        padded = functional.pad(spikes, (0, width % 2, 0, height % 2), mode="replicate")
        starts = range(0, STRIDE * self.warm_up + 1, STRIDE)
        windows = torch.stack([padded[:, start : start + WINDOW] for start in starts])
        return network.pred3(network.activity(windows)[-1])[:, 0, :height, :width]
