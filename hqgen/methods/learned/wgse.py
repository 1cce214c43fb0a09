"""WGSE: wavelet-guided spike enhancing; small networks filter the wavelet bands of each pixel's spikes.

Zhang, Jia, Yu and Huang, "Learning Temporal-Ordered Representation for Spike Streams Based on Discrete
Wavelet Transforms", AAAI 2023. The transform along time is that of the Daubechies wavelet with 8 vanishing
moments, in 5 levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from hqgen.methods.base import OutputScale
from hqgen.methods.learned.layers import Residual, conv3x3
from hqgen.methods.learned.network import NetworkMethod

DB8 = (
    0.05441584224310401,
    0.31287159091429995,
    0.6756307362972898,
    0.5853546836542067,
    -0.015829105256349306,
    -0.2840155429615469,
    0.0004724845739132828,
    0.12874742662047847,
    -0.017369301001807547,
    -0.044088253930794755,
    0.013981027917398282,
    0.008746094047405777,
    -0.004870352993451574,
    -0.00039174037337694705,
    0.0006754494064505693,
    -0.00011747678412476953,
)
"""The scaling filter of 16 taps: Daubechies, "Ten Lectures on Wavelets" (1992), table 6.1, N = 8."""

LEVELS = 5
MARGIN = len(DB8) - 2
"""Zeros on both sides of a signal: every coefficient whose filter touches the signal is kept."""

PIXELS = {"cpu": 2048, "cuda": 131072}
"""Pixels that the band networks take at once: their 32 channels fit in the cache or the GPU memory."""


def _filters() -> tuple[Tensor, Tensor]:
    """The synthesis filters low and high, (1, 1, 16); the analysis filters are the same, reversed in time."""
    low = torch.tensor(DB8, dtype=torch.float64)
    # Quadrature mirror: high[n] = (-1)^n low[15 - n], with the sign of the published filter banks.
    signs = torch.tensor((-1.0, 1.0), dtype=torch.float64).repeat(len(DB8) // 2)
    high = -signs * low.flip(0)
    return low.float().view(1, 1, -1), high.float().view(1, 1, -1)


def wavelet_forward(signal: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Discrete wavelet transform with zeros beyond the ends.

    Args:
        signal: (N, 1, T).
        low: filter of the low band, (1, 1, 16), as correlation applies it.
        high: filter of the high bands, (1, 1, 16), as correlation applies it.

    Returns:
        The low band, and the high bands with the finest first; a level of length T gives (T + 15) // 2.
    """
    bands = []
    for _ in range(LEVELS):
        even = functional.pad(signal, (0, signal.shape[-1] % 2))
        bands.append(functional.conv1d(even, high, stride=2, padding=MARGIN))
        signal = functional.conv1d(even, low, stride=2, padding=MARGIN)
    return signal, bands


def wavelet_inverse(signal: Tensor, bands: list[Tensor], low: Tensor, high: Tensor) -> Tensor:
    """Undo `wavelet_forward`; a signal of odd length comes back one longer."""
    for band in reversed(bands):
        kept = signal[..., : band.shape[-1]]
        signal = functional.conv_transpose1d(kept, low, stride=2, padding=MARGIN)
        signal = signal + functional.conv_transpose1d(band, high, stride=2, padding=MARGIN)
    return signal


def _band_network(channels: int = 32) -> nn.Sequential:
    """(N, 1, T) to the same shape; the input is added to all channels of the first two convolutions."""
    block = Residual(
        relu=True,
        tcn0=nn.Sequential(nn.Conv1d(1, channels, 3, padding=1), nn.ReLU()),
        tcn1=nn.Sequential(nn.Conv1d(channels, channels, 3, padding=1)),
    )
    return nn.Sequential(block, nn.Conv1d(channels, 1, 3, padding=1), nn.ReLU())


class Filters(nn.Module):
    """A pair of wavelet filters; the published state_dict has them as buffers."""

    def __init__(self, low: str, high: str) -> None:
        super().__init__()
        for name, taps in zip((low, high), _filters(), strict=True):
            self.register_buffer(name, taps)


class WaveletStage(nn.Module):
    """Transform, one small network a band, inverse transform."""

    def __init__(self) -> None:
        super().__init__()
        self.yh_blocks = nn.ModuleList(_band_network() for _ in range(LEVELS))
        self.yl_block = _band_network()
        self.dwt = Filters("h0", "h1")
        self.idwt = Filters("g0", "g1")

    def forward(self, spikes: Tensor) -> Tensor:
        """(B, T, H, W) to (B, T rounded up to even, H, W)."""
        batch, frames, height, width = spikes.shape
        signals = spikes.permute(0, 2, 3, 1).reshape(-1, 1, frames)
        filtered = torch.cat(
            [self._filter(part) for part in torch.split(signals, PIXELS[spikes.device.type])]
        )
        return filtered.view(batch, height, width, -1).permute(0, 3, 1, 2)

    def _filter(self, signals: Tensor) -> Tensor:
        low, bands = wavelet_forward(signals, self.dwt.get_buffer("h0"), self.dwt.get_buffer("h1"))
        bands = [block(band) for block, band in zip(self.yh_blocks, bands, strict=True)]
        inverse = self.idwt.get_buffer("g0"), self.idwt.get_buffer("g1")
        return wavelet_inverse(self.yl_block(low), bands, *inverse)


def _residual_block(channels: int) -> Residual:
    first, second = conv3x3(channels, channels), conv3x3(channels, channels)
    return Residual(relu=True, conv1=first, relu1=nn.ReLU(), conv2=second)


class WaveletNetwork(nn.Module):
    """The whole network: 3,805,575 parameters, names and shapes as published."""

    def __init__(self, channels: int = 256, blocks: int = 3) -> None:
        super().__init__()
        self.wvl = WaveletStage()
        self.resblocks = nn.Sequential(*(_residual_block(channels) for _ in range(blocks)))
        self.conv = nn.Sequential(conv3x3(42, channels), nn.ReLU())
        self.tail = nn.Sequential(conv3x3(channels, 64), nn.ReLU(), conv3x3(64, 1), nn.ReLU())

    def forward(self, spikes: Tensor) -> Tensor:
        """(B, 41, H, W) spikes to (B, 1, H, W)."""
        return self.tail(self.resblocks(self.conv(self.wvl(spikes))))


@dataclass(frozen=True)
class WGSE(NetworkMethod):
    """WGSE on 41 frames.

    The output is 0 or more, without an upper limit. It is brightness with the authors' weights, and spikes
    per frame with the weights that Spike-Zoo 0.2.3 trained.
    """

    name: ClassVar[str] = "wgse"
    rank: ClassVar[int] = 60
    citation: ClassVar[str] = (
        "Zhang et al., Learning Temporal-Ordered Representation for Spike Streams Based on Discrete Wavelet "
        "Transforms, AAAI 2023"
    )
    output: ClassVar[OutputScale] = "brightness"
    weights_source: ClassVar[str] = "https://github.com/Leozhangjiyuan/WGSE-SpikeCamera"

    network = WaveletNetwork

    def infer(self, network: nn.Module, spikes: Tensor) -> Tensor:
        """(B, 41, H, W) to (B, H, W), at any size."""
        return network(spikes)[:, 0]
