from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hqgen.methods.learned.layers import offsets_and_mask, pad_symmetric, upsample


@given(height=st.integers(4, 13), width=st.integers(4, 13), multiple=st.sampled_from([1, 2, 4]))
def test_symmetric_padding_is_numpys_up_to_the_next_multiple(height: int, width: int, multiple: int) -> None:
    frames = torch.arange(2 * height * width, dtype=torch.float32).reshape(1, 2, height, width)
    margins = ((0, 0), (0, 0), (0, -height % multiple), (0, -width % multiple))
    expected = np.pad(frames.numpy(), margins, mode="symmetric")
    np.testing.assert_array_equal(pad_symmetric(frames, multiple).numpy(), expected)


def test_offsets_come_first_and_the_mask_is_between_0_and_1() -> None:
    offsets, mask = offsets_and_mask(torch.arange(27.0).reshape(1, 27, 1, 1) - 18)
    assert offsets.flatten().tolist() == list(range(-18, 0))
    assert mask.flatten()[0].item() == 0.5
    assert mask.shape == (1, 9, 1, 1)


def test_upsampling_keeps_the_mean_of_a_plane() -> None:
    plane = torch.arange(6.0).expand(1, 1, 4, 6)
    assert upsample(plane).shape == (1, 1, 8, 12)
    assert upsample(plane).mean().item() == pytest.approx(2.5)
