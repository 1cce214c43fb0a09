from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hqgen.methods.spk2imgnet import Spk2ImgNet, Spk2ImgNetNetwork
from tests.methods.golden import Golden, load_golden


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    return load_golden(shared, "spk2imgnet")


@pytest.fixture(scope="module")
def filled(golden: Golden) -> nn.Module:
    return golden.filled(Spk2ImgNetNetwork())


@pytest.fixture(scope="module")
def fresh() -> nn.Module:
    torch.manual_seed(0)
    return Spk2ImgNetNetwork().eval()


@pytest.mark.real
def test_names_shapes_and_number_of_parameters_are_the_published_ones(golden: Golden) -> None:
    network = Spk2ImgNetNetwork()
    assert [(name, tuple(value.shape)) for name, value in network.state_dict().items()] == golden.tensors
    assert sum(p.numel() for p in network.parameters()) == golden.meta["parameter_count"] == 3904185


@pytest.mark.real
@pytest.mark.parametrize(("rows", "name"), [(64, "out"), (62, "out_pad_symmetric")])
def test_output_and_padding_are_those_of_the_published_code(
    rows: int, name: str, golden: Golden, filled: nn.Module
) -> None:
    with torch.inference_mode():
        image = Spk2ImgNet().infer(filled, golden.spikes()[:, :, :rows])[0].numpy()
    np.testing.assert_allclose(image, golden.arrays[name], rtol=0, atol=golden.tolerance)


@pytest.mark.real
def test_network_also_gives_what_spike_zoo_gets_with_its_own_padding(
    golden: Golden, filled: nn.Module
) -> None:
    spikes = golden.spikes()[:, :, :62]
    with torch.inference_mode():
        image = filled(torch.cat([spikes, spikes[:, :, -2:]], dim=2))[0, :62].numpy()
    np.testing.assert_allclose(image, golden.arrays["out_pad_repeat_last2"], rtol=0, atol=golden.tolerance)


@pytest.mark.real
def test_estimates_of_the_key_block_are_the_published_ones(golden: Golden, filled: nn.Module) -> None:
    with torch.inference_mode():
        _, estimates = filled.get_submodule("extractor")(golden.spikes()[:, 14:27])
    np.testing.assert_allclose(estimates[0].numpy(), golden.arrays["est2"], rtol=0, atol=golden.tolerance)


@pytest.mark.real
def test_checkpoint_file_gives_the_golden_picture_by_way_of_a_window(
    golden: Golden, filled: nn.Module, tmp_path: Path
) -> None:
    torch.save(filled.state_dict(), tmp_path / "spk2imgnet.pth")
    image = Spk2ImgNet(weights=str(tmp_path / "spk2imgnet.pth"), device="cpu").reconstruct(golden.window())
    np.testing.assert_allclose(image, golden.arrays["out"], rtol=0, atol=golden.tolerance)


@pytest.mark.parametrize("size", [(48, 52), (33, 47)])
@pytest.mark.parametrize("fill", ["random", "zeros", "ones"])
def test_any_size_and_any_spikes_give_a_finite_picture(
    fresh: nn.Module, size: tuple[int, int], fill: str
) -> None:
    fills: dict[str, Any] = {"zeros": torch.zeros, "ones": torch.ones, "random": torch.rand}
    with torch.inference_mode():
        image = Spk2ImgNet().infer(fresh, fills[fill](1, 41, *size).round())
    assert image.shape == (1, *size)
    assert bool(image.isfinite().all())


@pytest.mark.slow
@pytest.mark.parametrize("size", [(96, 96), (251, 403)])
def test_smallest_scored_size_and_that_of_a_real_frame_with_odd_sides(
    fresh: nn.Module, size: tuple[int, int]
) -> None:
    with torch.inference_mode():
        assert Spk2ImgNet().infer(fresh, torch.rand(1, 41, *size).round()).shape == (1, *size)


def test_batch_equals_one_by_one(fresh: nn.Module) -> None:
    spikes = torch.rand(2, 41, 24, 28).round()
    with torch.inference_mode():
        batch = Spk2ImgNet().infer(fresh, spikes)
        single = torch.cat([Spk2ImgNet().infer(fresh, window[None]) for window in spikes])
    torch.testing.assert_close(batch, single, atol=1e-5, rtol=0)


def test_no_frame_outside_the_five_blocks_is_looked_at_and_each_inside_is(fresh: nn.Module) -> None:
    spikes = torch.rand(1, 41, 16, 16).round().requires_grad_()
    fresh(spikes).sum().backward()
    assert spikes.grad is not None
    assert bool((spikes.grad.abs().sum((0, 2, 3)) > 0).all())
