from __future__ import annotations

import pytest
import torch

from spikeclip.networks import UNet


def test_the_number_of_parameters_is_the_papers() -> None:
    count = sum(parameter.numel() for parameter in UNet().parameters())
    assert round(count / 1e6, 1) == 19.2


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (40, 25)])
def test_sides_need_not_be_multiples_of_sixteen(size: tuple[int, int]) -> None:
    with torch.no_grad():
        assert UNet()(torch.rand(1, 50, *size)).shape == (1, 1, *size)


def test_a_fresh_network_passes_the_signal_on() -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        image = UNet(bins=4)(torch.rand(1, 4, 32, 32))
    assert image.isfinite().all()
    assert 0.03 < image.std() < 30


def test_every_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    network = UNet(bins=4)
    network(torch.rand(1, 4, 32, 32)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_all_four_levels_take_part() -> None:
    """A pixel feels its surroundings over more than a hundred pixels, which needs the deepest level."""
    torch.manual_seed(0)
    network = UNet(bins=1).eval()
    voxel = torch.rand(1, 1, 128, 128)
    changed = voxel.clone()
    changed[..., 64, 64] += 10
    with torch.no_grad():
        difference = (network(changed) - network(voxel))[0, 0].abs()
    assert difference[64, 20] > 0
    assert difference[64, 108] > 0
