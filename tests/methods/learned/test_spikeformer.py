from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from hqgen.methods.learned.spikeformer import STAGES, Embedding, SpikeFormer
from tests.methods.golden import Golden

NETWORK = "spikeformer"


@pytest.mark.real
def test_network_output_is_that_of_the_published_network(golden: Golden, filled: nn.Module) -> None:
    with torch.inference_mode():
        image = filled(2 * golden.spikes() - 1)[0, 0].numpy()
    np.testing.assert_allclose(image, golden.arrays["out"], rtol=0, atol=golden.tolerance)


@pytest.mark.real
def test_rows_are_padded_before_the_signs_are_made(golden: Golden, filled: nn.Module) -> None:
    with torch.inference_mode():
        image = SpikeFormer().infer(filled, golden.spikes()[:, :, :58])[0].numpy()
    expected = (np.clip(golden.arrays["out_pad3"], -1, 1) + 1) / 2
    np.testing.assert_allclose(image, expected, rtol=0, atol=golden.tolerance)


def test_it_takes_32_frames_on_both_sides() -> None:
    assert SpikeFormer().span == (32, 32)


def test_embedding_is_a_1x1_convolution_of_unfolded_patches() -> None:
    embedding, image = Embedding(4, STAGES[0]), torch.rand(2, 4, 32, 24)
    patches = functional.unfold(image, 7, stride=4, padding=3).view(2, 196, 8, 6)
    expected = functional.conv2d(patches, embedding.weight, embedding.bias)
    torch.testing.assert_close(embedding(image), expected, atol=1e-5, rtol=0)
