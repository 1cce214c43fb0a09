from __future__ import annotations

import pytest
import torch

from spikeclip.networks import Scaled, build


@pytest.mark.parametrize("name", ["lrn", "unet"])
def test_a_gain_scales_pictures_and_can_be_folded_into_the_network(name: str) -> None:
    network = build(name, 4).eval()
    scaled = Scaled(network)
    voxel = torch.rand(1, 4, 32, 32)
    with torch.no_grad():
        before = network(voxel)
        assert torch.equal(scaled(voxel), before)
        scaled.log_gain.fill_(1.5)
        torch.testing.assert_close(scaled(voxel), scaled.gain * before)
        torch.testing.assert_close(scaled.folded()(voxel), scaled(voxel))
        assert torch.equal(network(voxel), before)


def test_a_gain_can_begin_elsewhere_than_at_one() -> None:
    scaled = Scaled(build("lrn", 4), 12.5)
    assert scaled.gain == pytest.approx(12.5)
    assert all(parameter.requires_grad for parameter in scaled.folded().parameters())


def test_nothing_but_the_gain_learns() -> None:
    scaled = Scaled(build("lrn", 4))
    scaled(torch.rand(1, 4, 16, 16)).mean().backward()
    assert [name for name, value in scaled.named_parameters() if value.grad is not None] == ["log_gain"]
