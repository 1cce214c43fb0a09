from __future__ import annotations

import torch
from torch import nn

from hqgen.training.hardware import Hardware
from spikeclip.data.batches import Batch
from spikeclip.training.coarse import coarse_losses
from spikeclip.training.settings import CoarseSettings


def test_loss_is_the_distance_from_the_target_in_float32() -> None:
    voxel = torch.rand(2, 1, 8, 8)
    part = Batch(voxel, torch.zeros(2), torch.zeros(2), target=voxel + 0.5)
    for kind, expected in (("l1", 0.5), ("mse", 0.25)):
        settings = CoarseSettings(loss=kind)  # type: ignore[arg-type]
        loss = coarse_losses(nn.Identity(), part, settings, Hardware(torch.device("cpu")))["coarse"]
        torch.testing.assert_close(loss, torch.tensor(expected))
    network = nn.Conv2d(1, 1, 1)
    loss = coarse_losses(network, part, CoarseSettings(), Hardware(torch.device("cpu"), bfloat16=True))[
        "coarse"
    ]
    assert loss.dtype == torch.float32
