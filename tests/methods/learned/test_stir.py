from __future__ import annotations

import numpy as np
import torch
from torch import nn

from hqgen.methods.learned.stir import STIR, Transformer, attend, warp
from tests.methods.learned.networks import NETWORKS

NETWORK = "stir"


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


def test_the_network_for_41_frames_gives_the_picture_of_the_published_code() -> None:
    """Spike-Zoo's network at commit 32e327c, run once with the formula's weights on these spikes."""
    spikes = (torch.rand(1, 41, 32, 32, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    with torch.inference_mode():
        (image,) = NETWORKS["stir-41"].with_formula(gain=2.5)(spikes)
    found = [image.mean(), image.std(), image[0, 0], image[16, 16], image[31, 31]]
    np.testing.assert_allclose(found, [-0.035799, 0.035651, -0.016498, 0.013584, -0.036899], atol=2e-5)
