from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hqgen.errors import TrainingError
from hqgen.training.hardware import Hardware
from spikeclip.data.hq_crops import HQCrops
from spikeclip.data.lowlight import LowLightSet
from spikeclip.data.voxels import tfi_packed, voxelize_packed
from spikeclip.training.samples import Samples
from spikeclip.training.settings import CoarseSettings, TrainSettings

HERE = Hardware(torch.device("cpu"))
SETTINGS = TrainSettings(crop=32, augment="none", coarse=CoarseSettings(batch=4))


def test_held_out_samples_are_never_learned_from(low_light: LowLightSet) -> None:
    samples = Samples(low_light, SETTINGS, HERE)
    batches = samples.batches("coarse")
    held_out = torch.cat([part.voxel for part in samples.held_out("coarse")])
    assert len(held_out) == 1  # a tenth of 12
    for step in range(20):
        for voxel in batches.batch(step).voxel:
            assert not torch.equal(voxel, held_out[0])
    assert len(Samples(low_light, SETTINGS, HERE).batches("coarse").rows(0)) == 4


def test_held_out_samples_and_their_crops_are_the_same_each_time(
    low_light: LowLightSet, hq_store: Path
) -> None:
    def seen() -> list[torch.Tensor]:
        samples = Samples(low_light, SETTINGS, HERE)
        part = next(iter(samples.held_out("coarse", target="tfi", hq=HQCrops([hq_store], 32, 1))))
        assert part.target is not None
        assert part.hq is not None
        return [part.voxel, part.label, part.target, part.hq]

    for one, other in zip(seen(), seen(), strict=True):
        assert torch.equal(one, other)
    assert 0 <= seen()[3].min() < seen()[3].max() <= 1


class Constant(nn.Module):
    """A network whose pictures are a white square of one brightness, whatever it is given."""

    def __init__(self, brightness: float) -> None:
        super().__init__()
        self.brightness = brightness

    def forward(self, voxel: torch.Tensor) -> torch.Tensor:
        image = torch.zeros(len(voxel), 1, *voxel.shape[2:])
        image[:, :, 8:24, 8:24] = self.brightness
        return image


def test_the_white_gain_brings_the_white_point_of_pictures_to_that_of_hq_pictures(
    low_light: LowLightSet,
) -> None:
    samples = Samples(low_light, SETTINGS, HERE)
    assert samples.white_gain(Constant(0.03)) == pytest.approx(0.9 / 0.03)
    for brightness in (0.0, np.nan):
        with pytest.raises(TrainingError, match="black or not finite"):
            samples.white_gain(Constant(brightness))


def test_shares_of_the_processes_make_up_the_batch_and_all_know_its_labels(
    low_light: LowLightSet, hq_store: Path
) -> None:
    def drawn(rank: int, world: int) -> list[torch.Tensor]:
        samples = Samples(low_light, SETTINGS, Hardware(torch.device("cpu"), rank=rank, world=world))
        part = samples.batches("coarse", target="tfi", hq=HQCrops([hq_store], 32, 0)).batch(3)
        assert part.target is not None
        assert part.hq is not None
        return [part.voxel, part.label, part.target, part.hq, part.batch_label]

    whole, shares = drawn(0, 1), [drawn(rank, 2) for rank in range(2)]
    assert torch.equal(whole[1], whole[4])
    for number in range(4):
        assert torch.equal(torch.cat([share[number] for share in shares]), whole[number])
    assert all(torch.equal(share[4], whole[4]) for share in shares)


def test_shown_samples_are_spread_over_the_test_split(low_light: LowLightSet) -> None:
    samples = Samples(low_light, SETTINGS, HERE)
    packed = torch.from_numpy(low_light.split("test").read(np.arange(6))[0])
    assert torch.equal(samples.shown.voxel, voxelize_packed(packed, 40, 40, 50, 32))
    assert samples.shown.target is not None
    assert torch.equal(samples.shown.target, tfi_packed(packed, 40, 40, 32))
    names = [low_light.labels[label] for label in samples.shown.label.tolist()]
    assert names == ["stripes", "checks", "disc"] * 2
