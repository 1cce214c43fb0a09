from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from torch import nn

from hqgen.methods.learned.bsf import Alignment, PatchAttention, spike_intervals
from tests.methods.golden import Golden
from tests.methods.learned.networks import NETWORKS

NETWORK = "bsf"

DSFT = ("dsft11", "dsft12", "dsft21", "dsft22")


@pytest.mark.real
def test_intervals_are_those_of_the_published_code(golden: Golden) -> None:
    for name, intervals in zip(DSFT, spike_intervals(golden.spikes()), strict=True):
        np.testing.assert_array_equal(intervals[0].numpy(), golden.arrays[name])


def intervals_one_by_one(fired: NDArray[np.bool_]) -> list[list[int]]:
    """The four intervals of each frame of one pixel, looked for frame by frame."""
    times = np.flatnonzero(fired)

    def interval(frame: int) -> tuple[int, int]:
        left = max((int(t) for t in times if t <= frame), default=0)
        return left, min((int(t) for t in times if t > frame), default=len(fired))

    rows = []
    for frame in range(len(fired)):
        left, right = interval(frame)
        own, after, before = right - left, right - left, right - left
        if (times > frame).sum() >= 2:
            after = interval(right)[1] - right
        if (times <= frame).sum() >= 2:
            before = left - interval(left - 1)[0]
        rows.append([own, own + after, own + before, own + after + before])
    return rows


@settings(max_examples=100, deadline=None)
@given(fired=arrays(np.bool_, st.integers(1, 30)))
def test_intervals_are_what_a_search_frame_by_frame_finds(fired: NDArray[np.bool_]) -> None:
    spikes = torch.from_numpy(fired.astype(np.float32)).reshape(1, -1, 1, 1)
    found = torch.stack(spike_intervals(spikes), dim=-1)[0, :, 0, 0]
    assert found.tolist() == intervals_one_by_one(fired)


def test_without_any_spike_all_intervals_are_the_whole_window() -> None:
    own, after, before, both = spike_intervals(torch.zeros(1, 61, 2, 2))
    for intervals, frames in ((own, 61), (after, 122), (before, 122), (both, 183)):
        assert bool((intervals == frames).all())


def test_patch_attention_sees_only_the_surroundings_and_nothing_outside_the_image() -> None:
    torch.manual_seed(0)
    attention = PatchAttention()
    nn.init.ones_(attention.gamma)
    nn.init.eye_(attention.to_v.weight[:, :, 0, 0])
    neighbour, key = torch.rand(1, 64, 15, 18), torch.rand(1, 64, 15, 18)
    with torch.inference_mode():
        found = attention(neighbour, key) - neighbour
        moved = neighbour.clone()
        moved[..., 12:, :] += 1
        change = attention(moved, key) - moved - found
        constant = attention(torch.ones_like(neighbour), key)
    # The patch of rows 6..8 looks at rows 3..11, the next one at rows 6..14.
    assert bool((change[..., :9, :] == 0).all())
    assert bool((change[..., 9:, :].abs() > 0).any())
    torch.testing.assert_close(constant, torch.full_like(constant, 2))


@pytest.mark.parametrize(
    ("scale", "window", "reached"),
    [(0, 0, {0}), (1, 0, {0}), (2, 0, {0}), (0, 3, {3}), (1, 3, {3, 4}), (2, 3, {3, 4}), (1, 4, {4})],
)
def test_a_neighbour_behind_the_key_is_fused_with_the_coarser_level_of_the_window_before_it(
    scale: int, window: int, reached: set[int]
) -> None:
    torch.manual_seed(0)
    alignment = Alignment()
    pyramids = [[torch.rand(1, 64, 16 // size, 16 // size) for size in (1, 2, 4)] for _ in range(5)]
    with torch.inference_mode():
        aligned = alignment(pyramids)
        pyramids[window][scale] = pyramids[window][scale] + 1
        moved = alignment(pyramids)
    assert torch.equal(aligned[2], pyramids[2][0])
    assert {i for i in range(5) if not torch.equal(aligned[i], moved[i])} == reached


def test_the_network_for_41_frames_gives_the_picture_of_the_published_code() -> None:
    """Spike-Zoo's network at commit 32e327c, run once with the formula's weights on these spikes."""
    spikes = (torch.rand(1, 41, 32, 32, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    with torch.inference_mode():
        (image,) = NETWORKS["bsf-41"].with_formula(gain=3)(spikes)
    found = [image.mean(), image.std(), image[0, 0], image[16, 16], image[31, 31]]
    np.testing.assert_allclose(found, [-0.067406, 0.008967, -0.040895, -0.070106, -0.023889], atol=2e-6)
