"""Spk2ImgNet: features of five short blocks, aligned to the middle one by deformable convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import deform_conv2d

from hqgen.methods.learned.layers import Residual, conv3x3, offsets_and_mask, pad_symmetric, upsample
from hqgen.methods.learned.network import NetworkMethod

BLOCK, STEP, BLOCKS = 13, 7, 5
"""Frames a block, frames between the starts of two blocks, and blocks; 41 frames in all."""

FEATURES = 64
GROUPS = 8


class Attention(nn.Module):
    """Weighs the four coarse estimates pixel by pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.ca_block = nn.Sequential(conv3x3(4, 8), nn.ReLU(), conv3x3(8, 4), nn.Sigmoid())

    def forward(self, estimates: Tensor) -> Tensor:
        """(B, 4, H, W) to the same shape."""
        weights: Tensor = self.ca_block(estimates)
        return estimates * weights


def residual_block() -> Residual:
    """Three convolutions whose output is added to their input: (B, 64, H, W) to the same shape."""
    convs = [conv3x3(FEATURES, FEATURES) for _ in range(3)]
    return Residual(
        relu=True, conv1=convs[0], relu1=nn.ReLU(), conv2=convs[1], relu2=nn.ReLU(), conv3=convs[2]
    )


class FeatureExtractor(nn.Module):
    """A block of frames to four estimates with shorter and shorter exposures, and from these to features."""

    def __init__(self) -> None:
        super().__init__()
        exposures = [BLOCK - 2 * trimmed for trimmed in range(4)]
        for index, frames in enumerate(exposures):
            self.add_module(f"conv0_{index}", conv3x3(frames, 16))
        for index in range(len(exposures)):
            self.add_module(f"conv1_{index}", conv3x3(16, 1))
        self.ca = Attention()
        self.conv = conv3x3(4, FEATURES)
        self.net = nn.Sequential(*(residual_block() for _ in range(10)))

    def forward(self, block: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 13, H, W) to features (B, 64, H, W) and the estimates (B, 4, H, W)."""
        estimates = torch.cat([self._estimate(block, trimmed) for trimmed in range(4)], dim=1)
        shallow = torch.relu(self.conv(self.ca(estimates)))
        return self.net(shallow) + shallow, estimates

    def _estimate(self, block: Tensor, trimmed: int) -> Tensor:
        """Estimate from the block without `trimmed` frames at each end."""
        first, second = self.get_submodule(f"conv0_{trimmed}"), self.get_submodule(f"conv1_{trimmed}")
        return second(torch.relu(first(block[:, trimmed : BLOCK - trimmed])))


class DeformableConv(nn.Conv2d):
    """A modulated deformable 3x3 convolution whose offsets and mask come from a second input."""

    def __init__(self) -> None:
        super().__init__(FEATURES, FEATURES, 3, padding=1)
        self.conv_offset_mask = conv3x3(FEATURES, 27 * GROUPS)

    def forward(self, x: Tensor, offset_features: Tensor) -> Tensor:  # type: ignore[override]
        """Both (B, 64, H, W), to the same shape."""
        offsets, mask = offsets_and_mask(self.conv_offset_mask(offset_features))
        return deform_conv2d(x, offsets, self.weight, self.bias, padding=1, mask=mask)


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU with the slope of the alignment module."""
    return functional.leaky_relu(x, 0.1)


class PyramidAlignment(nn.Module):
    """Aligns a neighbour's feature pyramid to the key's, from the coarsest level to the finest.

    Source: the PCD module of Wang et al., EDVR, CVPRW 2019.
    """

    def __init__(self) -> None:
        super().__init__()
        self.L3_offset_conv1_1 = conv3x3(2 * FEATURES, FEATURES)
        self.L3_offset_conv2_1 = conv3x3(FEATURES, FEATURES)
        self.L3_dcnpack_1 = DeformableConv()
        for level in (2, 1):
            self.add_module(f"L{level}_offset_conv1_1", conv3x3(2 * FEATURES, FEATURES))
            self.add_module(f"L{level}_offset_conv2_1", conv3x3(2 * FEATURES, FEATURES))
            self.add_module(f"L{level}_offset_conv3_1", conv3x3(FEATURES, FEATURES))
            self.add_module(f"L{level}_dcnpack_1", DeformableConv())
            self.add_module(f"L{level}_fea_conv_1", conv3x3(2 * FEATURES, FEATURES))
        self.cas_offset_conv1 = conv3x3(2 * FEATURES, FEATURES)
        self.cas_offset_conv2 = conv3x3(FEATURES, FEATURES)
        self.cas_dcnpack = DeformableConv()

    def forward(self, neighbour: list[Tensor], key: list[Tensor]) -> Tensor:
        """Pyramids of (B, 64, H, W), half and quarter of that, to the aligned (B, 64, H, W)."""
        both = torch.cat([neighbour[2], key[2]], dim=1)
        offset = leaky(self.L3_offset_conv2_1(leaky(self.L3_offset_conv1_1(both))))
        aligned = leaky(self.L3_dcnpack_1(neighbour[2], offset))
        aligned, offset = self._finer(2, neighbour[1], key[1], aligned, offset)
        aligned, _ = self._finer(1, neighbour[0], key[0], leaky(aligned), offset)
        both = torch.cat([aligned, key[0]], dim=1)
        offset = leaky(self.cas_offset_conv2(leaky(self.cas_offset_conv1(both))))
        return leaky(self.cas_dcnpack(aligned, offset))

    def _finer(
        self, level: int, neighbour: Tensor, key: Tensor, coarse: Tensor, coarse_offset: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Align one level, given the aligned and the offset features of the next coarser one."""
        offset = leaky(self._at(level, "offset_conv1")(torch.cat([neighbour, key], dim=1)))
        # A pixel is half as large here, so the offsets double; the features that encode them are doubled.
        offset = torch.cat([offset, 2 * upsample(coarse_offset)], dim=1)
        offset = leaky(self._at(level, "offset_conv3")(leaky(self._at(level, "offset_conv2")(offset))))
        aligned = self._at(level, "dcnpack")(neighbour, offset)
        return self._at(level, "fea_conv")(torch.cat([aligned, upsample(coarse)], dim=1)), offset

    def _at(self, level: int, layer: str) -> nn.Module:
        return self.get_submodule(f"L{level}_{layer}_1")


class Alignment(nn.Module):
    """Builds the feature pyramids of a neighbour and the key, and aligns the neighbour to the key."""

    def __init__(self) -> None:
        super().__init__()
        self.fea_L2_conv1 = conv3x3(FEATURES, FEATURES, stride=2)
        self.fea_L2_conv2 = conv3x3(FEATURES, FEATURES)
        self.fea_L3_conv1 = conv3x3(FEATURES, FEATURES, stride=2)
        self.fea_L3_conv2 = conv3x3(FEATURES, FEATURES)
        self.pcd_align = PyramidAlignment()

    def forward(self, neighbour: Tensor, key: Tensor) -> Tensor:
        """Both (B, 64, H, W), H and W multiples of 4, to the same shape."""
        return self.pcd_align(self._pyramid(neighbour), self._pyramid(key))

    def _pyramid(self, x: Tensor) -> list[Tensor]:
        half = leaky(self.fea_L2_conv2(leaky(self.fea_L2_conv1(x))))
        return [x, half, leaky(self.fea_L3_conv2(leaky(self.fea_L3_conv1(half))))]


class FusionMask(nn.Module):
    """How far an aligned neighbour can be trusted, pixel by pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = conv3x3(2 * FEATURES, FEATURES)
        self.conv1 = conv3x3(FEATURES, FEATURES)
        self.conv2 = conv3x3(FEATURES, FEATURES)
        self.prelu0 = nn.PReLU()
        self.prelu1 = nn.PReLU()

    def forward(self, aligned: Tensor, key: Tensor) -> Tensor:
        """Both (B, 64, H, W), to the same shape in (0, 1)."""
        x = self.prelu0(self.conv0(torch.cat([aligned, key], dim=1)))
        return torch.sigmoid(self.conv2(self.prelu1(self.conv1(x))))


class Spk2ImgNetNetwork(nn.Module):
    """41 frames to the image of the middle one.

    Source: Zhao et al., CVPR 2021, Sec. 3.
    """

    def __init__(self) -> None:
        super().__init__()
        self.extractor = FeatureExtractor()
        self.mask0, self.mask1, self.mask3, self.mask4 = (FusionMask() for _ in range(4))
        self.rec_conv0 = conv3x3(BLOCKS * FEATURES, 3 * FEATURES)
        self.rec_conv1 = conv3x3(3 * FEATURES, FEATURES)
        self.rec_conv2 = conv3x3(FEATURES, 1)
        self.pcd_align = Alignment()

    def forward(self, spikes: Tensor) -> Tensor:
        """(B, 41, H, W), H and W multiples of 4, to (B, H, W) spikes per frame."""
        blocks = [spikes[:, STEP * index : STEP * index + BLOCK] for index in range(BLOCKS)]
        features, _ = zip(*(self.extractor(block) for block in blocks), strict=True)
        key = features[2]
        masks = (self.mask0, self.mask1, None, self.mask3, self.mask4)
        fused = [
            key if mask is None else self._masked(feature, key, mask)
            for feature, mask in zip(features, masks, strict=True)
        ]
        x = torch.relu(self.rec_conv0(torch.cat(fused, dim=1)))
        return self.rec_conv2(torch.relu(self.rec_conv1(x)))[:, 0]

    def _masked(self, feature: Tensor, key: Tensor, mask: nn.Module) -> Tensor:
        aligned: Tensor = self.pcd_align(feature, key)
        return aligned * mask(aligned, key)


@dataclass(frozen=True)
class Spk2ImgNet(NetworkMethod):
    """Spk2ImgNet: 41 frames in five overlapping blocks, aligned to the middle block and fused.

    With the published weights the output is the firing rate; on Spike-REDS it is 0.6 times the ground truth.
    They were trained there, at mean rates of 0.18 to 0.35. Results have been published for rates of 0.03
    (UHSR) to 0.37 (recVidar2019); the usable rates are a factor of two wider.

    Source: Zhao et al., CVPR 2021; padding as in the authors' test code.
    """

    name: ClassVar[str] = "spk2imgnet"
    rank: ClassVar[int] = 40
    valid_rate: ClassVar[tuple[float, float]] = (0.015, 0.75)
    weights_source: ClassVar[str] = "https://github.com/Vspacer/Spk2ImgNet"
    citation: ClassVar[str] = (
        "Zhao et al., Spk2ImgNet: Learning to Reconstruct Dynamic Scene from Continuous Spike Stream, "
        "CVPR 2021"
    )

    network = Spk2ImgNetNetwork

    def infer(self, network: nn.Module, spikes: Tensor) -> Tensor:
        """(B, 41, H, W) to (B, H, W) spikes per frame; sides are mirrored to multiples of 4, then cropped."""
        height, width = spikes.shape[-2:]
        return network(pad_symmetric(spikes, 4))[:, :height, :width]
