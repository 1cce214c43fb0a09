from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hqgen.methods.learned.spk2imgnet import Spk2ImgNet
from tests.methods.golden import Golden

NETWORK = "spk2imgnet"


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


def test_no_frame_outside_the_five_blocks_is_looked_at_and_each_inside_is(fresh: nn.Module) -> None:
    spikes = torch.rand(1, 41, 16, 16).round().requires_grad_()
    fresh(spikes).sum().backward()
    assert spikes.grad is not None
    assert bool((spikes.grad.abs().sum((0, 2, 3)) > 0).all())
