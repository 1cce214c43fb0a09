from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hqgen.methods.stir import STIR, STIRNetwork, Transformer, attend, warp
from tests.methods.golden import Golden, load_golden


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    return load_golden(shared, "stir")


@pytest.fixture(scope="module")
def filled(golden: Golden) -> nn.Module:
    network = golden.filled(STIRNetwork())
    network.get_parameter("decorder_1st.predict_img.bias").data += 0.5  # the golden's override
    return network


@pytest.fixture(scope="module")
def fresh() -> nn.Module:
    torch.manual_seed(0)
    return STIRNetwork().eval()


@pytest.mark.real
def test_names_shapes_and_number_of_parameters_are_the_published_ones(golden: Golden) -> None:
    network = STIRNetwork()
    assert [(name, tuple(value.shape)) for name, value in network.state_dict().items()] == golden.tensors
    assert sum(p.numel() for p in network.parameters()) == golden.meta["parameter_count"] == 5107960


@pytest.mark.real
def test_output_is_that_of_the_published_network(golden: Golden, filled: nn.Module) -> None:
    with torch.inference_mode():
        image = STIR().infer(filled, golden.spikes())[0].numpy()
    np.testing.assert_allclose(image, golden.arrays["out"], rtol=0, atol=golden.tolerance)


@pytest.mark.real
def test_checkpoint_file_gives_the_golden_picture_by_way_of_a_window(
    golden: Golden, filled: nn.Module, tmp_path: Path
) -> None:
    torch.save({"state_dict": filled.state_dict()}, tmp_path / "stir.pth")
    image = STIR(weights=str(tmp_path / "stir.pth"), device="cpu").reconstruct(golden.window())
    np.testing.assert_allclose(image, golden.arrays["out"], rtol=0, atol=golden.tolerance)


@pytest.mark.parametrize("size", [(96, 96), (33, 47), (9, 20)])
@pytest.mark.parametrize("fill", ["random", "zeros", "ones"])
def test_any_size_and_any_spikes_give_a_finite_picture(
    fresh: nn.Module, size: tuple[int, int], fill: str
) -> None:
    fills: dict[str, Any] = {"zeros": torch.zeros, "ones": torch.ones, "random": torch.rand}
    with torch.inference_mode():
        image = STIR().infer(fresh, fills[fill](1, 61, *size).round())
    assert image.shape == (1, *size)
    assert bool(image.isfinite().all())


@pytest.mark.slow
def test_size_of_a_real_frame_with_odd_sides(fresh: nn.Module) -> None:
    with torch.inference_mode():
        assert STIR().infer(fresh, torch.rand(1, 61, 251, 403).round()).shape == (1, 251, 403)


def test_batch_equals_one_by_one(fresh: nn.Module) -> None:
    spikes = torch.rand(3, 61, 40, 56).round()
    with torch.inference_mode():
        batch = STIR().infer(fresh, spikes)
        single = torch.cat([STIR().infer(fresh, window[None]) for window in spikes])
    torch.testing.assert_close(batch, single, atol=1e-5, rtol=0)


def test_padding_is_split_evenly_and_cropped_in_the_same_place(fresh: nn.Module) -> None:
    spikes = torch.rand(1, 61, 26, 42).round()
    padded = nn.functional.pad(spikes, (3, 3, 3, 3), mode="replicate")
    with torch.inference_mode():
        expected = fresh(padded)[:, 3:-3, 3:-3]
        assert torch.equal(STIR().infer(fresh, spikes), expected)


def test_warping_fetches_pixels_from_where_the_flow_points_and_stops_at_the_edge() -> None:
    image = torch.arange(20.0).reshape(1, 1, 4, 5)
    flow = torch.zeros(1, 2, 4, 5)
    torch.testing.assert_close(warp(image, flow), image)
    flow[:, 0], flow[:, 1] = 2, -1
    rows, columns = np.maximum(np.arange(4) - 1, 0), np.minimum(np.arange(5) + 2, 4)
    torch.testing.assert_close(warp(image, flow), image[:, :, rows][..., columns], atol=1e-5, rtol=0)


def test_attention_weighs_the_channels_of_a_head_by_their_likeness_to_the_query() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 8, 5, 6)
    temperature = torch.tensor([0.5, 1, 2, 4])
    found = attend(query[None], torch.cat([key, value])[None], temperature.reshape(4, 1, 1))[0]
    unit_query, unit_key = (nn.functional.normalize(x.flatten(1), dim=1) for x in (query, key))
    for channel in range(8):
        head = [channel // 2 * 2, channel // 2 * 2 + 1]
        likeness = unit_key[head] @ unit_query[channel]
        first, second = (temperature[channel // 2] * likeness).softmax(0)
        torch.testing.assert_close(found[channel], first * value[head[0]] + second * value[head[1]])


# The golden's weights leave the transformer without visible effect, so this and the test above pin it down.
def test_transformer_keeps_the_middle_block_between_what_it_found_in_the_earlier_and_the_later_one() -> None:
    torch.manual_seed(0)
    transformer = Transformer(96).eval()
    middle, earlier, later, other = torch.randn(4, 1, 96, 5, 6)
    with torch.inference_mode():
        first, kept, last = transformer(middle, earlier, later).chunk(3, dim=1)
        changed = [transformer(middle, other, later), transformer(middle, earlier, other)]
        normalised = transformer.norm1(middle), transformer.norm_kv1(earlier), transformer.norm_kv2(later)
        found = transformer.attn(*normalised)
        expected = [transformer.ffn(transformer.norm2(x)) for x in found]
    assert torch.equal(kept, middle)
    # Neither of the two adds its input to what it found, and both go through the same layers.
    torch.testing.assert_close([first, last], expected)
    for result, (before_changes, after_changes) in zip(changed, [(True, False), (False, True)], strict=True):
        before, _, after = result.chunk(3, dim=1)
        assert torch.equal(before, first) != before_changes
        assert torch.equal(after, last) != after_changes
