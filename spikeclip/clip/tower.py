"""The image tower of the small CLIP, which timm knows as `spikeclip_resnet`.

A residual network of three stages with one block each. Its first layer takes pictures to a quarter of their
side at once, through overlapping 8x8 filters: there are enough of them that the finest grain is still seen,
and the costly layers work on few pixels. Timm's own networks of that cost have fewer parameters, because
their first layers work on half of the side.
"""

from __future__ import annotations

from typing import Any, cast

from timm.models import register_model
from timm.models.resnet import BasicBlock, ResNet
from torch import nn

STEM = 32
WIDTHS = (64, 128, 256)


@register_model
def spikeclip_resnet(in_chans: int = 3, **_of_timm: Any) -> nn.Module:
    """Build the network with fresh parameters: 1.2 M of them.

    Args:
        in_chans: colours of the pictures.
        _of_timm: where timm would find published weights; there are none.
    """
    network: Any = ResNet(
        cast(Any, BasicBlock),  # timm's annotation asks for an instance
        (1, 1, 1, 0),
        channels=(*WIDTHS, WIDTHS[-1]),  # timm's network has four stages; here the last is empty
        in_chans=in_chans,
        stem_type="deep",
        stem_width=STEM // 2,  # so that the first stage expects STEM channels
        block_args={"attn_layer": "se"},
    )
    network.conv1 = nn.Conv2d(in_chans, STEM, 8, stride=4, padding=2, bias=False)
    network.default_cfg = {}  # open_clip asks it for the side of the last layer, which needs no mention
    built: nn.Module = network
    return built
