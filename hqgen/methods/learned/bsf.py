"""BSF: intervals between spikes, in five windows that are aligned and fused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import DeformConv2d

from hqgen.methods.learned.layers import Residual, chain, conv3x3, offsets_and_mask, pad_symmetric, upsample
from hqgen.methods.learned.network import Frames, TwoLengths

SPLITS: dict[Frames, tuple[int, int]] = {61: (21, 10), 41: (13, 7)}
"""Frames per window, and frames between the starts of two windows, by the number of all frames."""

WINDOWS = 5

KEY, NEIGHBOURS = 2, (0, 1, 3, 4)
"""The window in the middle, and the windows that are aligned to it."""

FEATURES = 64
GROUPS = 4
PATCH, CONTEXT = 3, 9
"""Side of a patch of the key features, and of the patch of a neighbour that it attends to."""


def spike_intervals(spikes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The interval around each frame, alone and together with the intervals next to it (DSFT maps).

    An interval goes from the last spike at or before a frame to the first spike after it. If the window has
    no such spike, the interval starts at its first frame, or ends just after its last. The next interval
    needs two more spikes after the frame, the previous one two spikes up to the frame; else the interval
    counts twice.

    Args:
        spikes: (B, T, H, W), values 0 and 1.

    Returns:
        int64 (B, T, H, W) each, in frames: the interval; with the next; with the previous; with both.

    Source: the DSFT of Zhao et al., CVPR 2024, within one window as in Spike-Zoo.
    """
    frames = spikes.shape[1]
    fired = spikes > 0
    time = torch.arange(frames, device=spikes.device).view(1, frames, 1, 1)
    left = (time * fired).cummax(1).values
    from_here = torch.where(fired, time, frames).flip(1).cummin(1).values.flip(1)
    right = torch.cat([from_here[:, 1:], torch.full_like(from_here[:, :1], frames)], dim=1)
    interval = right - left
    so_far = fired.cumsum(1)
    to_come = so_far[:, -1:] - so_far
    next_one = torch.where(to_come < 2, interval, interval.gather(1, right.clamp(max=frames - 1)))
    previous = torch.where(so_far < 2, interval, interval.gather(1, (left - 1).clamp(min=0)))
    return interval, interval + next_one, interval + previous, interval + next_one + previous


def conv_pair(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Two 3x3 convolutions with a ReLU between."""
    return nn.Sequential(conv3x3(inputs, FEATURES, stride), nn.ReLU(), conv3x3(FEATURES, outputs))


class Representation(nn.Module):
    """Inverse intervals of four lengths to features; the longer ones correct the shortest."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self.conv1 = conv_pair(window, FEATURES)
        self.conv_for_others = nn.ModuleList(conv_pair(FEATURES, FEATURES) for _ in range(3))
        self.conv_fuse = conv_pair(3 * FEATURES, FEATURES)

    def forward(self, rates: list[Tensor]) -> Tensor:
        """Four (B, window, H, W) to (B, 64, H, W)."""
        shortest, *longer = (self.conv1(rate) for rate in rates)
        others = [conv(feature) for conv, feature in zip(self.conv_for_others, longer, strict=True)]
        return shortest + self.conv_fuse(torch.cat(others, dim=1))


def encoder() -> nn.Sequential:
    """Four residual blocks: (B, 64, H, W) to the same shape."""
    blocks = (Residual(*conv_pair(FEATURES, FEATURES), relu=True) for _ in range(4))
    return chain(conv_list=nn.Sequential(*blocks))


class PatchAttention(nn.Module):
    """Adds to the features of a neighbour those that look like the features of the key.

    Each 3x3 patch of the key attends to the 9x9 pixels of the neighbour around it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))
        self.to_q, self.to_k, self.to_v = (nn.Conv2d(FEATURES, FEATURES, 1, bias=False) for _ in range(3))

    def forward(self, neighbour: Tensor, key: Tensor) -> Tensor:
        """Both (B, 64, H, W), to the same shape."""
        batch, _, height, width = key.shape
        # As in the published code, a side that needs no padding is padded by a whole patch.
        padding = (0, PATCH - width % PATCH, 0, PATCH - height % PATCH)
        inside = functional.pad(torch.ones_like(key[:1, :1]), padding)
        key, source = functional.pad(key, padding), functional.pad(neighbour, padding)
        query = _patches(self.to_q(key), PATCH)
        logits = query @ _patches(self.to_k(source), CONTEXT).mT * FEATURES**-0.5
        visible = _patches(inside, PATCH) @ _patches(inside, CONTEXT).mT
        attended = (logits + 99 * (visible - 1)).softmax(-1) @ _patches(self.to_v(source), CONTEXT)
        columns = attended.permute(0, 3, 2, 1).reshape(batch, FEATURES * PATCH**2, -1)
        found = functional.fold(columns, key.shape[-2:], PATCH, stride=PATCH)
        return neighbour + self.gamma * found[..., :height, :width]


def _patches(x: Tensor, side: int) -> Tensor:
    """(B, C, H, W) to (B, patches, side * side, C): one patch around every 3x3 pixels, zero outside."""
    columns = functional.unfold(x, side, padding=(side - PATCH) // 2, stride=PATCH)
    return torch.unflatten(columns, 1, (x.shape[1], side**2)).permute(0, 3, 2, 1)


class Level(nn.Module):
    """Offsets of one level of the pyramid; a finer level refines the offsets of the level above."""

    def __init__(self, coarsest: bool = False) -> None:
        super().__init__()
        self.offset_conv_1 = conv_pair(2 * FEATURES, 27 * GROUPS if coarsest else FEATURES)
        if not coarsest:
            self.offset_conv2_1 = conv_pair(FEATURES + 27 * GROUPS, 27 * GROUPS)
            self.fuse_feat = conv_pair(2 * FEATURES, FEATURES)

    def offsets(self, neighbour: Tensor, key: Tensor, coarser: Tensor | None) -> Tensor:
        """Features (B, 64, H, W) and the coarser level's offsets to (B, 108, H, W)."""
        offsets: Tensor = self.offset_conv_1(torch.cat([neighbour, key], dim=1))
        if coarser is not None:
            offsets = self.offset_conv2_1(torch.cat([offsets, upsample(coarser)], dim=1))
        return offsets

    def fuse(self, aligned: Tensor, coarser: Tensor) -> Tensor:
        """Add the result of the coarser level: (B, 64, H, W) and half of that size to (B, 64, H, W)."""
        return self.fuse_feat(torch.cat([aligned, upsample(coarser)], dim=1))


class Alignment(nn.Module):
    """Aligns the features of the neighbours to those of the key, from a quarter of the size to full size."""

    def __init__(self) -> None:
        super().__init__()
        self.kpa = PatchAttention()
        self.deform_conv = DeformConv2d(FEATURES, FEATURES, 3, padding=1)
        self.conv_ds_L2 = conv_pair(FEATURES, FEATURES, stride=2)
        self.conv_ds_L3 = conv_pair(FEATURES, FEATURES, stride=2)
        self.align_L3 = Level(coarsest=True)
        self.align_L2 = Level()
        self.align_L1 = Level()

    def pyramid(self, x: Tensor) -> list[Tensor]:
        """(B, 64, H, W) to three tensors: at full, half and quarter size."""
        half = self.conv_ds_L2(x)
        return [x, half, self.conv_ds_L3(half)]

    def forward(self, pyramids: list[list[Tensor]]) -> list[Tensor]:
        """The pyramid of each window to its aligned (B, 64, H, W); the key does not change."""
        aligned: list[Tensor] = []
        offsets: dict[int, Tensor] = {}
        for scale, level in ((2, self.align_L3), (1, self.align_L2), (0, self.align_L1)):
            coarser, aligned = aligned, [pyramid[scale] for pyramid in pyramids]
            key = aligned[KEY]
            # The published weights were trained with neighbours 0, 1, 3, 4 fused with the coarser level of
            # windows 0, 1, 2, 3: windows after the key get the window before them (window 3 gets the key).
            for position, index in enumerate(NEIGHBOURS):
                attended = self.kpa(aligned[index], key)
                offsets[index] = level.offsets(attended, key, offsets.get(index))
                shifted = self.deform_conv(attended, *offsets_and_mask(offsets[index]))
                aligned[index] = level.fuse(shifted, coarser[position]) if coarser else shifted
        return aligned


class BSFNetwork(nn.Module):
    """Inverse intervals of 61 or 41 frames to the image of the middle one.

    Source: Zhao et al., CVPR 2024, Sec. 4; the windows for 41 frames are those of Spike-Zoo.
    """

    def __init__(self, frames: Frames = 61) -> None:
        super().__init__()
        self.window, self.step = SPLITS[frames]
        self.rep = Representation(self.window)
        self.encoder = encoder()
        self.align = Alignment()
        self.recons = nn.Sequential(
            conv3x3(WINDOWS * FEATURES, 3 * FEATURES),
            nn.ReLU(),
            conv3x3(3 * FEATURES, FEATURES),
            nn.ReLU(),
            conv3x3(FEATURES, 1),
        )

    def forward(self, spikes: Tensor) -> Tensor:
        """(B, frames, H, W), H and W multiples of 4, to (B, H, W)."""
        rates = [n / dsft.float() for n, dsft in zip((1, 2, 2, 3), spike_intervals(spikes), strict=True)]
        pyramids = [self._features(rates, self.step * index) for index in range(WINDOWS)]
        return self.recons(torch.cat(self.align(pyramids), dim=1))[:, 0]

    def _features(self, rates: list[Tensor], start: int) -> list[Tensor]:
        """Feature pyramid of the window that begins with frame `start`."""
        window = [rate[:, start : start + self.window] for rate in rates]
        return self.align.pyramid(self.encoder(self.rep(window)))


@dataclass(frozen=True)
class BSF(TwoLengths):
    """BSF: frames as intervals between spikes, in five windows aligned to the middle one.

    With the published weights the output is the firing rate; the authors divide it by the light factor of
    their simulator to get the ground truth. That factor is 0.35 to 0.7, so mean rates were about 0.1 to
    0.4. The usable rates are a factor of two wider.

    Source: Zhao et al., CVPR 2024. Intervals end at the ends of the frames, as in Spike-Zoo; the authors look
    20 frames further on both sides.
    """

    name: ClassVar[str] = "bsf"
    rank: ClassVar[int] = 100
    valid_rate: ClassVar[tuple[float, float]] = (0.05, 0.8)
    weights_source: ClassVar[str] = "https://github.com/ruizhao26/BSF"
    citation: ClassVar[str] = (
        "Zhao et al., Boosting Spike Camera Image Reconstruction from a Perspective of Dealing with Spike "
        "Fluctuations, CVPR 2024"
    )

    def network(self) -> nn.Module:
        """Fresh parameters."""
        return BSFNetwork(self.frames)

    def infer(self, network: nn.Module, spikes: Tensor) -> Tensor:
        """(B, frames, H, W) to (B, H, W) spikes per frame; the sides become multiples of 4."""
        height, width = spikes.shape[-2:]
        return network(pad_symmetric(spikes, 4))[:, :height, :width]
