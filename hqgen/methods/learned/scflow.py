"""SCFlow: motion-aligned TFP along the flow of a network.

Hu et al., "Optical Flow Estimation for Spiking Camera", CVPR 2022. The network says how far things move from
one window of spikes to another. Both are encoded at four sizes. From the smallest size on, a small network
corrects the flow: it sees how well the features of the first window agree with those of the second at 9 x 9
places around where the flow points to. The frames are then averaged along this motion, as `mtfp` does along
its own.

The published network can first move the frames of each window along a flow that is known before. The
published evaluation begins without one. A second run with the flow of the first gained nothing here, so that
part is left out; it has no weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from hqgen.errors import MethodError
from hqgen.methods.flow import Flow
from hqgen.methods.learned.layers import chain, crop_evenly, pad_evenly
from hqgen.methods.learned.network import NetworkMethod
from hqgen.methods.mtfp import along_motion
from hqgen.spikes.packed import Window

FRAMES = 25
"""Frames of a window."""
DISTANCE = 10
"""Frames between the middles of the two windows, with the published weights `dt10`."""
REACH = 4
"""Pixels to each side in which places are compared, on each size."""
SIZES = (32, 64, 96, 128)
"""Channels of the features, from the full size to an eighth."""
CHANNELS = 32


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A 3x3 convolution, then LeakyReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.LeakyReLU(0.1))


class Encoder(nn.Module):
    """Features at four sizes."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (CHANNELS, *SIZES[:-1])
        self.conv_list = nn.ModuleList(
            nn.Sequential(conv(before, after, stride=1 if level == 0 else 2), conv(after, after))
            for level, (before, after) in enumerate(zip(inputs, SIZES, strict=True))
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 32, H, W) to features (B, C, H / 2^k, W / 2^k), the smallest first."""
        pyramid: list[Tensor] = []
        for layers in self.conv_list:
            x = layers(x)
            pyramid.insert(0, x)
        return pyramid


class Corrector(nn.Module):
    """What the flow lacks, from what is known of it; each layer sees the outputs of all before it."""

    def __init__(self) -> None:
        super().__init__()
        seen = (2 * REACH + 1) ** 2 + CHANNELS + 2
        self.conv1 = conv(seen, 96)
        self.conv2 = conv(seen + 96, 64)
        self.conv3 = conv(seen + 160, 32)
        self.conv4 = nn.Sequential(nn.Conv2d(seen + 192, 2, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 115, H, W) to (B, 2, H, W), pixels."""
        for layer in (self.conv1, self.conv2, self.conv3):
            x = torch.cat([layer(x), x], 1)
        correction: Tensor = self.conv4(x)
        return correction


class SCFlowNetwork(nn.Module):
    """The network (803,320 parameters)."""

    def __init__(self) -> None:
        super().__init__()
        self.spike_representation = chain(conv_s1=conv(FRAMES, CHANNELS), conv_s2=conv(CHANNELS, CHANNELS))
        self.feature_encoder = Encoder()
        self.flow_estimators = Corrector()
        self.conv_1x1 = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, CHANNELS, 1)) for channels in reversed(SIZES)
        )

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Where the second window shows what the first one shows at each pixel, at their middle frames.

        Args:
            first: float32 (B, 25, H, W), 0 and 1; H and W are multiples of 8.
            second: the same, `DISTANCE` frames later.

        Returns:
            float32 (B, 2, H, W), pixels to the right and down.
        """
        pyramids = (self.feature_encoder(self.spike_representation(frames)) for frames in (first, second))
        flow = first.new_zeros(len(first), 2, first.shape[2] // 8, first.shape[3] // 8)
        for one, other, narrow in zip(*pyramids, self.conv_1x1, strict=True):
            if one.shape[2:] != flow.shape[2:]:
                flow = 2 * functional.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=True)
            agreement = functional.leaky_relu(correlation(one, moved(other, flow)), 0.1)
            flow = flow + self.flow_estimators(torch.cat([agreement, narrow(one), flow], 1))
        return flow


def moved(image: Tensor, flow: Tensor) -> Tensor:
    """What `image` (B, C, H, W) shows where `flow` (B, 2, H, W) points to; its border continues outside."""
    height, width = image.shape[2:]
    x = torch.arange(width, device=image.device) + flow[:, 0]
    y = torch.arange(height, device=image.device)[:, None] + flow[:, 1]
    places = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], -1)
    return functional.grid_sample(image, places, padding_mode="border", align_corners=True)


def correlation(one: Tensor, other: Tensor) -> Tensor:
    """Mean product of the features of each pixel with those of `other` around it, which is 0 outside.

    Returns:
        (B, 81, H, W): row by row of the square of `REACH` pixels to each side.
    """
    height, width = one.shape[2:]
    padded = functional.pad(other, (REACH,) * 4)
    steps = range(2 * REACH + 1)
    return torch.stack(
        [(one * padded[..., y : y + height, x : x + width]).mean(1) for y in steps for x in steps], 1
    )


@dataclass(frozen=True)
class SCFlow(NetworkMethod):
    """Spikes per frame, averaged along the motion that SCFlow sees.

    The network runs from the key frame `DISTANCE` frames forward, and backward on the frames in reverse
    order. Half of the difference is the way of a steady motion. Near an end of the recording only
    the way from that end counts. Mirrored frames are not averaged.

    Source: Hu et al., CVPR 2022, for the flow; `hqgen.methods.mtfp` for the picture.
    """

    name: ClassVar[str] = "scflow"
    rank: ClassVar[int] = 140
    in_default: ClassVar[bool] = False
    before: ClassVar[int] = DISTANCE + FRAMES // 2
    after: ClassVar[int] = DISTANCE + FRAMES // 2
    weights_source: ClassVar[str] = (
        "https://github.com/Acnext/Optical-Flow-For-Spiking-Camera (ckpt/dt10_e40.pth.tar)"
    )
    citation: ClassVar[str] = (
        "TFP along the flow of Hu et al., Optical Flow Estimation for Spiking Camera, CVPR 2022"
    )

    network = SCFlowNetwork

    def infer(self, network: nn.Module, spikes: Tensor) -> Tensor:
        """Where the middle frame goes: (B, 45, H, W) to (B, 4, H, W), at any size.

        Returns:
            pixels to the right and down `DISTANCE` frames later, and the same `DISTANCE` frames before.
        """
        height, width = spikes.shape[-2:]
        padded = pad_evenly(spikes, 8, "replicate")
        ways = [
            network(frames[:, DISTANCE : DISTANCE + FRAMES], frames[:, 2 * DISTANCE :])
            for frames in (padded, padded.flip(1))
        ]
        return crop_evenly(torch.cat(ways, 1), height, width)

    def reconstruct_batch(self, windows: Sequence[Window]) -> list[NDArray[np.float32] | MethodError]:
        """Average each window along its flow; otherwise as of every network."""
        outcomes = super().reconstruct_batch(windows)
        return [
            ways if isinstance(ways, MethodError) else _averaged(window.around(*self.span).real, ways)
            for window, ways in zip(windows, outcomes, strict=True)
        ]


def _averaged(window: Window, ways: NDArray[np.float32]) -> NDArray[np.float32]:
    """The picture (H, W) of a window without mirrored frames, from the ways (4, H, W) of `SCFlow.infer`."""
    forward, backward = ways[:2], -ways[2:]
    way: NDArray[np.float32] = (forward + backward) * np.float32(0.5)
    if window.before != window.after:
        way = forward if window.before < window.after else backward
    velocity = np.ascontiguousarray(way / np.float32(DISTANCE))
    still = np.zeros_like(velocity)
    flow = Flow(velocity, still, np.ones_like(velocity[0]))
    return along_motion(window.spikes, window.centre, flow)
