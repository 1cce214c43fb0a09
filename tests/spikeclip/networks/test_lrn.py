from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import pad

from spikeclip.networks import LRN, load_network
from tests.methods.golden import CONTAINERS, Golden, formula_state, load_golden


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    return load_golden(shared, "lrn")


def voxel_of(golden: Golden, name: str) -> torch.Tensor:
    spikes = golden.arrays[name].astype(np.float32)
    return torch.from_numpy(spikes.reshape(50, 4, *spikes.shape[1:]).sum(1))[None]


@pytest.mark.real
@pytest.mark.parametrize("case", ["uhsr", "data"])
def test_lrn_gives_the_golden_output(golden: Golden, case: str) -> None:
    network = golden.filled(LRN())
    with torch.no_grad():
        image = network(voxel_of(golden, f"spike_{case}"))[0, 0].numpy()
    assert np.abs(image - golden.arrays[f"out_{case}"]).max() < golden.tolerance


@pytest.mark.real
def test_lrn_with_the_toolbox_padding_gives_the_golden_output(golden: Golden) -> None:
    network = golden.filled(LRN())
    with torch.no_grad():
        padded = pad(voxel_of(golden, "spike_data"), [20] * 4, mode="reflect")
        image = network(padded)[0, 0, 20:-20, 20:-20].numpy()
    assert np.abs(image - golden.arrays["out_data_reflect20"]).max() < golden.tolerance


@pytest.mark.real
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_published_checkpoint_in_any_container_gives_the_golden_output(
    golden: Golden, container: str, tmp_path: Path
) -> None:
    state = formula_state(LRN(), golden.meta["fill"])
    torch.save(CONTAINERS[container](state), tmp_path / "LRN_CALTECH.pth")
    network = load_network(tmp_path / "LRN_CALTECH.pth")
    with torch.no_grad():
        image = network(voxel_of(golden, "spike_uhsr"))[0, 0].numpy()
    assert np.abs(image - golden.arrays["out_uhsr"]).max() < golden.tolerance


@pytest.mark.real
def test_the_tensors_are_the_published_ones(golden: Golden) -> None:
    assert [(name, tuple(tensor.shape)) for name, tensor in LRN().state_dict().items()] == golden.tensors


def test_the_number_of_parameters_is_the_papers() -> None:
    assert sum(parameter.numel() for parameter in LRN().parameters()) == 185_889


@pytest.mark.parametrize("size", [(1, 1), (7, 30), (33, 18)])
def test_any_size_and_any_number_of_bins_pass(size: tuple[int, int]) -> None:
    network = LRN(bins=5)
    assert network(torch.rand(2, 5, *size)).shape == (2, 1, *size)
    assert network.bins == 5


def test_reflect_padding_leaves_no_dark_border() -> None:
    """On a flat voxel every pixel sees the same; with zeros those at the edge see black."""
    zeros, reflect = LRN(3), LRN(3, "reflect")
    reflect.load_state_dict(zeros.state_dict())
    voxel = torch.ones(1, 3, 24, 24)
    with torch.no_grad():
        flat, dark = reflect(voxel)[0, 0], zeros(voxel)[0, 0]
    torch.testing.assert_close(flat, flat.mean().expand(24, 24))
    torch.testing.assert_close(dark[5:-5, 5:-5], flat[5:-5, 5:-5])
    assert (dark[0] - flat[0]).abs().max() > 1e-3


def test_another_order_of_the_bins_is_the_same_network_with_its_weights_in_that_order() -> None:
    """So an order other than that of time has nothing to offer: the first layer sees all bins at once."""
    network, order = LRN(6), torch.tensor([2, 3, 1, 4, 0, 5])  # the middle first
    state = network.state_dict()
    state["0.0.weight"] = state["0.0.weight"][:, order]
    reordered = LRN(6)
    reordered.load_state_dict(state)
    voxel = torch.rand(1, 6, 12, 12)
    with torch.no_grad():
        torch.testing.assert_close(reordered(voxel[:, order]), network(voxel))
