"""Stage 1, coarse reconstruction: the network learns the TFI of its input [2, 3, 5]."""

from __future__ import annotations

from torch import nn

from hqgen.training.hardware import Hardware
from hqgen.training.loop import Losses
from spikeclip.data.batches import Batch
from spikeclip.training.losses import coarse_loss
from spikeclip.training.settings import CoarseSettings

__all__ = ["coarse_losses"]


def coarse_losses(network: nn.Module, part: Batch, settings: CoarseSettings, hardware: Hardware) -> Losses:
    """I = Recon-Net(S) [2], and its distance from I_tfi [5].

    Args:
        network: (n, bins, h, w) -> (n, 1, h, w); it learns.
        part: voxels and their TFI.
        settings: of the stage.
        hardware: runs the network.
    """
    with hardware.autocast():
        image = network(part.voxel)
    assert part.target is not None
    return {"coarse": coarse_loss(image.float(), part.target, settings.loss)}
