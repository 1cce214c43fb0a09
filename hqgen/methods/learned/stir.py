"""STIR: features of three blocks, matched by attention and refined from coarse to fine with flow."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from hqgen.methods.learned.layers import (
    Residual,
    chain,
    channels_first,
    channels_last,
    conv3x3,
    crop_evenly,
    pad_evenly,
    upsample,
)
from hqgen.methods.learned.network import Frames, TwoLengths

SPLITS: dict[Frames, tuple[int, int]] = {61: (21, 20), 41: (15, 13)}
"""Frames in each of the three blocks, and frames between their starts, by the number of all frames."""

LEARNED = 11
"""Learned features of a block at full size; exposures are added to them."""

CHANNELS = (16, 24, 32, 64, 96)
"""Features of the encoder at full size, and at a half, a quarter, an eighth and a sixteenth of it."""

HIDDEN = 8
HEADS = 4


class Summary(nn.Module):
    """A block of frames to features."""

    def __init__(self, block: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(block, outputs)
        self.conv2 = conv3x3(outputs, outputs)
        self.conv3 = nn.Conv2d(block, outputs, 1)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, block: Tensor) -> Tensor:
        """(B, block, H, W) to (B, outputs, H, W)."""
        x = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(block)))))
        return torch.relu(x + self.conv3(block))


def unit(*layers: nn.Module) -> nn.Sequential:
    """Layers one after the other, under the name that they have in the checkpoint."""
    return chain(net=nn.Sequential(*layers))


def residual_unit(channels: int) -> nn.Sequential:
    """Two convolutions whose output is added to their input."""
    first = unit(conv3x3(channels, channels), nn.ReLU())
    return unit(Residual(conv_block=nn.Sequential(first, unit(conv3x3(channels, channels)))))


class Encoder(nn.Module):
    """Features of one block at five sizes."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.conv0 = unit(nn.Conv2d(inputs, CHANNELS[0], 7, padding=3), nn.PReLU())
        for level, (inputs, outputs) in enumerate(pairwise(CHANNELS), start=1):
            self.add_module(f"conv{level}", unit(conv3x3(inputs, outputs, stride=2), nn.PReLU()))
            self.add_module(f"resblocks{level}", residual_unit(outputs))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, inputs, H, W) to the features at a half to a sixteenth of the size, largest first."""
        x = self.conv0(x)
        levels = []
        for level in range(1, len(CHANNELS)):
            x = self.get_submodule(f"resblocks{level}")(self.get_submodule(f"conv{level}")(x))
            levels.append(x)
        return levels


def channel_norm(channels: int) -> nn.Sequential:
    """Layer normalisation over the channels of each pixel: (B, C, H, W) to the same shape."""
    return chain(channels_last=channels_last(), body=nn.LayerNorm(channels), channels_first=channels_first())


class CrossAttention(nn.Module):
    """Attention between channels: the middle block asks, the outer blocks answer.

    Source: the transposed attention of Zamir et al., Restormer, CVPR 2022, with queries from another input.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.temperature1 = nn.Parameter(torch.ones(HEADS, 1, 1))
        self.temperature2 = nn.Parameter(torch.ones(HEADS, 1, 1))
        self.q = nn.Conv2d(channels, 2 * channels, 1, bias=False)
        self.kv1 = nn.Conv2d(channels, 2 * channels, 1, bias=False)
        self.kv2 = nn.Conv2d(channels, 2 * channels, 1, bias=False)
        self.q_dwconv = depthwise(2 * channels, groups=channels)
        self.kv1_dwconv = depthwise(2 * channels)
        self.kv2_dwconv = depthwise(2 * channels)

    def forward(self, middle: Tensor, earlier: Tensor, later: Tensor) -> tuple[Tensor, Tensor]:
        """Three (B, 96, H, W) to what the earlier and the later one answer, each of that shape."""
        query1, query2 = self.q_dwconv(self.q(middle)).chunk(2, dim=1)
        found1 = attend(query1, self.kv1_dwconv(self.kv1(earlier)), self.temperature1)
        return found1, attend(query2, self.kv2_dwconv(self.kv2(later)), self.temperature2)


def attend(query: Tensor, keys_and_values: Tensor, temperature: Tensor) -> Tensor:
    """Attention between channels: (B, C, H, W) and (B, 2C, H, W) to (B, C, H, W)."""
    key, value = keys_and_values.chunk(2, dim=1)
    heads = [torch.unflatten(x, 1, (HEADS, -1)).flatten(3) for x in (query, key, value)]
    query_, key_ = functional.normalize(heads[0], dim=-1), functional.normalize(heads[1], dim=-1)
    weights = (query_ @ key_.mT * temperature).softmax(-1)
    found: Tensor = weights @ heads[2]
    return found.reshape(query.shape)


def depthwise(channels: int, groups: int | None = None) -> nn.Conv2d:
    """A 3x3 convolution without bias in which channels see only those of their group."""
    return nn.Conv2d(channels, channels, 3, padding=1, groups=groups or channels, bias=False)


class FeedForward(nn.Module):
    """A gated depthwise feed-forward layer.

    Source: Zamir et al., Restormer, CVPR 2022.
    """

    def __init__(self, channels: int, wide: int = 255) -> None:
        super().__init__()
        self.project_in = nn.Conv2d(channels, 2 * wide, 1, bias=False)
        self.dwconv = depthwise(2 * wide)
        self.project_out = nn.Conv2d(wide, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        gate, value = self.dwconv(self.project_in(x)).chunk(2, dim=1)
        return self.project_out(functional.gelu(gate) * value)


class Transformer(nn.Module):
    """Joins the coarsest features of the three blocks."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = channel_norm(channels)
        self.norm_kv1 = channel_norm(channels)
        self.norm_kv2 = channel_norm(channels)
        self.attn = CrossAttention(channels)
        self.norm2 = channel_norm(channels)
        self.ffn = FeedForward(channels)

    def forward(self, middle: Tensor, earlier: Tensor, later: Tensor) -> Tensor:
        """Three (B, C, H, W) to (B, 3C, H, W)."""
        found = self.attn(self.norm1(middle), self.norm_kv1(earlier), self.norm_kv2(later))
        first, last = (self.ffn(self.norm2(x)) for x in found)
        return torch.cat([first, middle, last], dim=1)


class Estimate(NamedTuple):
    """The result of one level of the decoder, for the next finer level.

    Attributes:
        hidden: (B, C, H, W) features.
        flows: (B, 4, H, W), in pixels of this level: (dx, dy) to the earlier and (dx, dy) to the later block.
        image: (B, 1, H, W).
        uncorrected: the flows as they came from the level above.
    """

    hidden: Tensor
    flows: Tensor
    image: Tensor
    uncorrected: Tensor


class TopDecoder(nn.Module):
    """The coarsest image and flows."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convrelu = conv_prelu(channels, channels)
        self.resblocks = residual_unit(channels)
        self.predict_img_flow = conv3x3(channels, 5)

    def forward(self, x: Tensor) -> Estimate:
        """(B, C, H, W) to an estimate of the same size."""
        hidden = self.resblocks(self.convrelu(x))
        flows, image = self.predict_img_flow(hidden).split([4, 1], dim=1)
        return Estimate(hidden, flows, image, uncorrected=flows)


def refinement(inputs: int, outputs: int) -> nn.Sequential:
    """Two convolutions: (B, inputs, H, W) to (B, outputs, H, W)."""
    return chain(conv1=conv_prelu(inputs, inputs), conv2=conv_prelu(inputs, outputs))


class Decoder(nn.Module):
    """Image and flows at twice the size of the level above."""

    def __init__(self, above: int, channels: int) -> None:
        super().__init__()
        self.deconv_flow = deconv(4, 4)
        self.deconv_hidden = deconv(above, HIDDEN)
        self.convrelu = refinement(1 + 3 * channels + HIDDEN + 4, 3 * channels)
        self.resblocks = residual_unit(3 * channels)
        self.predict_img_flow = conv3x3(3 * channels, 5)

    def forward(self, coarse: Estimate, features: list[Tensor]) -> Estimate:
        """The estimate of the level above, and features of the earlier, middle and later block."""
        earlier, middle, later = features
        flows = self.deconv_flow(coarse.flows)
        warped = warp_both(earlier, later, flows)
        hidden = self.deconv_hidden(coarse.hidden)
        x = torch.cat([upsample(coarse.image), middle, *warped, hidden, flows], dim=1)
        hidden = self.resblocks(self.convrelu(x))
        change, image = self.predict_img_flow(hidden).split([4, 1], dim=1)
        return Estimate(hidden, flows + change, image, uncorrected=flows)


class BottomDecoder(nn.Module):
    """The image at full size; three pairs of flows give each pixel three places in each outer block."""

    def __init__(self, above: int, channels: int) -> None:
        super().__init__()
        self.predict_flow_group = conv3x3(above, 8)
        self.deconv_flow_group = deconv(8, 8)
        self.deconv_flow = deconv(4, 4)
        self.deconv_hidden = deconv(above, HIDDEN)
        self.convrelu = refinement(1 + 7 * channels + HIDDEN + 12, 3 * channels)
        self.resblocks = residual_unit(3 * channels)
        self.predict_img = conv3x3(3 * channels, 1)

    def forward(self, coarse: Estimate, features: list[Tensor]) -> Tensor:
        """As `Decoder`, to the image (B, 1, H, W)."""
        earlier, middle, later = features
        # The published code adds the extra flows to the coarser ones as they were before their correction.
        group = self.predict_flow_group(coarse.hidden) + coarse.uncorrected.repeat(1, 2, 1, 1)
        group, flows = self.deconv_flow_group(group), self.deconv_flow(coarse.flows)
        pairs = (flows, *group.chunk(2, dim=1))
        warped = [x for pair in pairs for x in warp_both(earlier, later, pair)]
        hidden = self.deconv_hidden(coarse.hidden)
        x = torch.cat([upsample(coarse.image), middle, *warped, hidden, flows, group], dim=1)
        return self.predict_img(self.resblocks(self.convrelu(x)))


def conv_prelu(inputs: int, outputs: int) -> nn.Sequential:
    """A convolution and a PReLU with a slope for each channel."""
    return nn.Sequential(conv3x3(inputs, outputs), nn.PReLU(outputs))


def deconv(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """A transposed convolution that doubles the size."""
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)


def warp_both(earlier: Tensor, later: Tensor, flows: Tensor) -> tuple[Tensor, Tensor]:
    """Take the features of both outer blocks (B, C, H, W) from where the flows (B, 4, H, W) point."""
    return warp(earlier, flows[:, :2]), warp(later, flows[:, 2:])


def warp(x: Tensor, flow: Tensor) -> Tensor:
    """Sample (B, C, H, W) at positions moved by the flow (B, 2, H, W) = (dx, dy), limited to the image."""
    height, width = x.shape[-2:]
    rows = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype)
    columns = torch.linspace(-1, 1, width, device=x.device, dtype=x.dtype)
    across = columns + flow[:, 0] * (2 / (width - 1))
    down = rows[:, None] + flow[:, 1] * (2 / (height - 1))
    grid = torch.stack([across, down], dim=-1)
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=True)


class STIRNetwork(nn.Module):
    """61 or 41 frames to the image of the middle one.

    Source: Fan et al., NeurIPS 2024; the blocks for 41 frames are those of Spike-Zoo.
    """

    def __init__(self, frames: Frames = 61) -> None:
        super().__init__()
        self.block, self.step = SPLITS[frames]
        self.trims = range(0, self.block // 2, 2)
        coarsest, features = CHANNELS[-1], len(self.trims) + LEARNED
        self.encoder = Encoder(features)
        self.transformer = Transformer(coarsest)
        self.decorder_5nd = TopDecoder(3 * coarsest)
        self.decorder_4nd = Decoder(3 * coarsest, CHANNELS[3])
        self.decorder_3rd = Decoder(3 * CHANNELS[3], CHANNELS[2])
        self.decorder_2nd = Decoder(3 * CHANNELS[2], CHANNELS[1])
        self.decorder_1st = BottomDecoder(3 * CHANNELS[1], features)
        self.resnet = Summary(self.block, LEARNED)

    def forward(self, spikes: Tensor) -> Tensor:
        """(B, frames, H, W), H and W multiples of 16 and at least 32, to (B, H, W)."""
        starts = (self.step * index for index in range(3))
        blocks = [self._represent(spikes[:, start : start + self.block]) for start in starts]
        # levels[i]: the features of the three blocks at size 1 / 2 ** (i + 1)
        levels = [list(level) for level in zip(*(self.encoder(block) for block in blocks), strict=True)]
        earlier, middle, later = levels[3]
        estimate = self.decorder_5nd(self.transformer(middle, earlier, later))
        estimate = self.decorder_4nd(estimate, levels[2])
        estimate = self.decorder_3rd(estimate, levels[1])
        estimate = self.decorder_2nd(estimate, levels[0])
        return self.decorder_1st(estimate, blocks)[:, 0]

    def _represent(self, block: Tensor) -> Tensor:
        """(B, block, H, W) to exposures of different lengths and learned features."""
        exposures = [block[:, trim : self.block - trim].mean(1, keepdim=True) for trim in self.trims]
        return torch.cat([*exposures, self.resnet(block)], dim=1)


@dataclass(frozen=True)
class STIR(TwoLengths):
    """STIR: frames in three blocks, matched by attention and by flow from coarse to fine.

    The output is not changed: the authors clamp it to [0, 1], and Spike-Zoo divides the output of its own
    weights by the light rate of the data set. It was trained on the same simulated streams as BSF, at mean
    rates of about 0.1 to 0.4; the usable rates are a factor of two wider.

    Source: Fan et al., NeurIPS 2024; padding as in the authors' code.
    """

    name: ClassVar[str] = "stir"
    rank: ClassVar[int] = 110
    valid_rate: ClassVar[tuple[float, float]] = (0.05, 0.8)
    weights_licence: ClassVar[str] = "research purpose only, contact the authors for commercial use"
    weights_source: ClassVar[str] = "https://github.com/GitCVfb/STIR"
    citation: ClassVar[str] = (
        "Fan et al., Spatio-Temporal Interactive Learning for Efficient Image Reconstruction of Spiking "
        "Cameras, NeurIPS 2024"
    )

    def network(self) -> nn.Module:
        """Fresh parameters."""
        return STIRNetwork(self.frames)

    def infer(self, network: nn.Module, spikes: Tensor) -> Tensor:
        """(B, frames, H, W) to (B, H, W); the edges are repeated to multiples of 16 and cropped again."""
        height, width = spikes.shape[-2:]
        return crop_evenly(network(pad_evenly(spikes, 16, "replicate")), height, width)
