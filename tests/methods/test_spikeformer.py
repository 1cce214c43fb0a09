from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from hqgen.errors import MethodError
from hqgen.methods.spikeformer import STAGES, Embedding, SpikeFormer, SpikeTransformer
from hqgen.spikes.packed import PackedSpikes, Window
from tests.methods.golden import CONTAINERS, Golden, load_golden


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    return load_golden(shared, "spikeformer")


@pytest.fixture(scope="module")
def filled(golden: Golden) -> nn.Module:
    return golden.filled(SpikeTransformer())


@pytest.fixture(scope="module")
def fresh() -> nn.Module:
    torch.manual_seed(0)
    return SpikeTransformer().eval()


@pytest.mark.real
def test_names_shapes_and_number_of_parameters_are_the_published_ones(golden: Golden) -> None:
    network = SpikeTransformer()
    assert [(name, tuple(value.shape)) for name, value in network.state_dict().items()] == golden.tensors
    assert sum(p.numel() for p in network.parameters()) == golden.meta["parameter_count"] == 7581441


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


@pytest.mark.real
@pytest.mark.parametrize("container", CONTAINERS)
def test_published_containers_give_the_golden_picture_as_brightness(
    container: str, golden: Golden, filled: nn.Module, tmp_path: Path
) -> None:
    torch.save(CONTAINERS[container](filled.state_dict()), tmp_path / "sf.pth")
    image = SpikeFormer(weights=str(tmp_path / "sf.pth"), device="cpu").reconstruct(golden.window())
    expected = (np.clip(golden.arrays["out"], -1, 1) + 1) / 2
    np.testing.assert_allclose(image, expected, rtol=0, atol=golden.tolerance)


def test_it_takes_32_frames_on_both_sides() -> None:
    assert SpikeFormer().span == (32, 32)
    with pytest.raises(MethodError, match=r"needs 32 frames before and 32 after .* has 32 and 31"):
        SpikeFormer().reconstruct(Window(PackedSpikes.pack(np.zeros((64, 96, 96))), 32))


def test_embedding_is_a_1x1_convolution_of_unfolded_patches() -> None:
    embedding, image = Embedding(4, STAGES[0]), torch.rand(2, 4, 32, 24)
    patches = functional.unfold(image, 7, stride=4, padding=3).view(2, 196, 8, 6)
    expected = functional.conv2d(patches, embedding.weight, embedding.bias)
    torch.testing.assert_close(embedding(image), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(96, 96), (97, 101), (99, 130), (17, 24)])
@pytest.mark.parametrize("value", [None, 0.0, 1.0])
def test_any_size_and_any_spikes_give_a_picture_in_zero_to_one(
    fresh: nn.Module, size: tuple[int, int], value: float | None
) -> None:
    spikes = torch.rand(1, 65, *size).round() if value is None else torch.full((1, 65, *size), value)
    with torch.inference_mode():
        image = SpikeFormer().infer(fresh, spikes)
    assert image.shape == (1, *size)
    assert bool(((image >= 0) & (image <= 1)).all())


@pytest.mark.slow
def test_size_of_a_real_frame_with_odd_sides(fresh: nn.Module) -> None:
    with torch.inference_mode():
        image = SpikeFormer().infer(fresh, torch.rand(1, 65, 251, 403).round())
    assert image.shape == (1, 251, 403)


def test_batch_equals_one_by_one_and_repeats_to_the_bit(fresh: nn.Module) -> None:
    spikes = torch.rand(3, 65, 40, 48).round()
    with torch.inference_mode():
        batch = SpikeFormer().infer(fresh, spikes)
        single = torch.cat([SpikeFormer().infer(fresh, window[None]) for window in spikes])
        assert torch.equal(batch, SpikeFormer().infer(fresh, spikes))
    torch.testing.assert_close(batch, single, atol=1e-5, rtol=0)
