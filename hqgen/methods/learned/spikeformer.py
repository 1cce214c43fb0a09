"""SpikeFormer: a transformer on 65 frames.

She and Qing, "SpikeFormer: Image Reconstruction from the Sequence of Spike Camera Based on Transformer",
ICIGP 2022. The encoder is a Mix Transformer (SegFormer, Xie et al., NeurIPS 2021) with instance norms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from hqgen.methods.base import OutputScale
from hqgen.methods.learned.layers import chain, crop_evenly, pad_evenly
from hqgen.methods.learned.network import NetworkMethod


class Stage(NamedTuple):
    """Sizes of one encoder stage: embedding, attention, feed-forward."""

    kernel: int
    stride: int
    width: int
    heads: int
    expansion: int
    reduction: int


STAGES = (
    Stage(7, 4, 32, 1, 8, 8),
    Stage(3, 2, 64, 2, 8, 4),
    Stage(3, 2, 160, 5, 4, 2),
    Stage(3, 2, 256, 8, 4, 1),
)
LAYERS = 2
FRAMES = 65
MULTIPLE = 8
"""The sides of the image are halved three times."""


class Embedding(nn.Conv2d):
    """A strided convolution over overlapping patches.

    The published weight belongs to a 1x1 convolution on unfolded patches: (outputs, inputs * k * k, 1, 1),
    in the order inputs, rows, columns. Reshaped, it is the weight of this convolution.
    """

    def __init__(self, inputs: int, stage: Stage) -> None:
        super().__init__(inputs * stage.kernel**2, stage.width, 1)
        self.patch, self.step = stage.kernel, stage.stride

    def forward(self, image: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, width, H / stride, W / stride)."""
        kernel = self.weight.view(self.out_channels, -1, self.patch, self.patch)
        return functional.conv2d(image, kernel, self.bias, self.step, padding=self.patch // 2)


class Attention(nn.Module):
    """Multi-head attention of every pixel to blocks of `reduction` x `reduction` pixels."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        width, block = stage.width, stage.reduction
        self.to_q = nn.Conv2d(width, width, 1, bias=False)
        self.to_kv = nn.Conv2d(width, 2 * width, block, stride=block, bias=False)
        self.to_out = nn.Sequential(nn.Conv2d(width, width, 1, bias=False), nn.GELU())
        self.heads = stage.heads

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        key, value = self.to_kv(features).chunk(2, dim=1)
        mixed = functional.scaled_dot_product_attention(
            self._tokens(self.to_q(features)), self._tokens(key), self._tokens(value)
        )
        return self.to_out(mixed.transpose(2, 3).reshape(features.shape))

    def _tokens(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to (B, heads, H * W, C / heads)."""
        batch, channels, height, width = features.shape
        split = features.reshape(batch, self.heads, channels // self.heads, height * width)
        return split.transpose(2, 3)


def mix_feed_forward(stage: Stage) -> nn.Sequential:
    """Layers per pixel around a depthwise convolution, which knows where the borders are."""
    width, hidden = stage.width, stage.width * stage.expansion
    return chain(
        net=nn.Sequential(
            nn.Conv2d(width, hidden, 1),
            nn.GELU(),
            chain(
                net=nn.Sequential(
                    nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden),
                    nn.GELU(),
                    nn.Conv2d(hidden, hidden, 1),
                    nn.GELU(),
                )
            ),
            nn.Conv2d(hidden, width, 1),
            nn.GELU(),
        )
    )


class NormedResidual(nn.Module):
    """x + f(norm(x)); training and use both take the statistics of the image itself."""

    def __init__(self, fn: nn.Module, width: int) -> None:
        super().__init__()
        self.fn = fn
        self.norm = nn.InstanceNorm2d(width, affine=True)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        return features + self.fn(self.norm(features))


def encoder_stage(inputs: int, stage: Stage) -> nn.Sequential:
    """Numbered as in the checkpoint: nothing, the embedding, the layers."""
    width = stage.width
    layers = (
        nn.Sequential(NormedResidual(Attention(stage), width), NormedResidual(mix_feed_forward(stage), width))
        for _ in range(LAYERS)
    )
    return nn.Sequential(nn.Identity(), Embedding(inputs, stage), nn.Sequential(*layers))


class Encoder(nn.Module):
    """Features at full, half, quarter and eighth size of the spike frames."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (4, *(stage.width for stage in STAGES[:-1]))
        self.stages = nn.ModuleList(encoder_stage(*pair) for pair in zip(inputs, STAGES, strict=True))

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 4, 4 H, 4 W) to one (B, width, h, w) for each stage."""
        outputs = []
        for stage in self.stages:
            image = stage(image)
            outputs.append(image)
        return outputs


class SpikeTransformer(nn.Module):
    """The whole network: 7,581,441 parameters, names and shapes as published."""

    def __init__(self) -> None:
        super().__init__()
        self.mit = Encoder()
        self.channel_transform = nn.Sequential(
            nn.Conv2d(FRAMES, 64, 3, padding=1), nn.GELU(), nn.PixelShuffle(4)
        )
        self.to_fused = nn.ModuleList(
            nn.Sequential(nn.Conv2d(stage.width, 256, 1), nn.PixelShuffle(2**index), nn.GELU())
            for index, stage in enumerate(STAGES)
        )
        self.to_restore = nn.Sequential(nn.Conv2d(340, 256, 1), nn.GELU(), nn.Conv2d(256, 1, 1))

    def forward(self, signs: Tensor) -> Tensor:
        """(B, 65, H, W) of -1 and 1, sides multiples of 8, to (B, 1, H, W) between about -1 and 1."""
        features = self.mit(self.channel_transform(signs))
        fused = [fuse(part) for fuse, part in zip(self.to_fused, features, strict=True)]
        return self.to_restore(torch.cat(fused, 1))


@dataclass(frozen=True)
class SpikeFormer(NetworkMethod):
    """SpikeFormer on 65 frames; the output is brightness in [0, 1]."""

    name: ClassVar[str] = "spikeformer"
    rank: ClassVar[int] = 70
    citation: ClassVar[str] = (
        "She and Qing, SpikeFormer: Image Reconstruction from the Sequence of Spike Camera Based on "
        "Transformer, ICIGP 2022"
    )
    before: ClassVar[int] = 32
    after: ClassVar[int] = 32
    output: ClassVar[OutputScale] = "brightness"
    weights_licence: ClassVar[str] = "MIT"
    weights_source: ClassVar[str] = "https://github.com/O-OoOvO/SpikeFormer"

    network = SpikeTransformer

    def infer(self, network: nn.Module, spikes: Tensor) -> Tensor:
        """(B, 65, H, W) to (B, H, W); empty pixels around the frames make the sides multiples of 8."""
        height, width = spikes.shape[-2:]
        padded = pad_evenly(spikes, MULTIPLE, "constant")
        image = crop_evenly(network(2 * padded - 1)[:, 0], height, width)
        return (image.clamp(-1, 1) + 1) / 2
