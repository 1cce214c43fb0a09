from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.spikes.packed import PackedSpikes, Window, frame_bytes


@given(st.integers(0, 5), st.integers(1, 7), st.integers(1, 13), st.integers(0, 2**32))
def test_packing_and_unpacking_are_inverse(count: int, height: int, width: int, seed: int) -> None:
    frames = np.random.default_rng(seed).integers(0, 2, (count, height, width), dtype=np.uint8)
    spikes = PackedSpikes.pack(frames)
    assert spikes.shape == (count, height, width)
    assert spikes.data.shape == (count, frame_bytes(height, width))
    np.testing.assert_array_equal(spikes.frames(), frames)


def test_the_first_pixel_is_the_least_significant_bit() -> None:
    frames = np.zeros((1, 2, 8), np.uint8)
    frames[0, 0, 0] = frames[0, 1, 7] = 1
    assert PackedSpikes.pack(frames).data.tolist() == [[0b0000_0001, 0b1000_0000]]


def test_padding_bits_are_zero() -> None:
    spikes = PackedSpikes.pack(np.ones((1, 3, 3), np.uint8))
    assert spikes.data.tolist() == [[0xFF, 0x01]]


@pytest.mark.parametrize(
    "data",
    [np.zeros((2, 3), np.uint8), np.zeros(2, np.uint8), np.zeros((1, 2), np.int8)],
    ids=["wrong width", "one axis", "wrong type"],
)
def test_data_that_does_not_fit_the_geometry_is_refused(data: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"2x8 pixels are uint8 \(T, 2\)"):
        PackedSpikes(data, 2, 8)


def test_frames_without_three_axes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"axes \(T, H, W\)"):
        PackedSpikes.pack(np.zeros((4, 4), np.uint8))


def test_a_window_knows_what_lies_on_either_side() -> None:
    window = Window(PackedSpikes.pack(np.zeros((10, 1, 8), np.uint8)), 3)
    assert (window.before, window.after) == (3, 6)


def test_narrowing_a_window_keeps_its_centre_and_stops_at_its_ends() -> None:
    frames = np.zeros((10, 1, 8), np.uint8)
    frames[3] = 1
    window = Window(PackedSpikes.pack(frames), 3)
    for before, after in [(2, 2), (0, 0), (9, 99)]:
        narrow = window.around(before, after)
        assert (narrow.before, narrow.after) == (min(before, 3), min(after, 6))
        assert narrow.spikes.frames()[narrow.centre].all()
        assert np.shares_memory(narrow.spikes.data, window.spikes.data)


@pytest.mark.parametrize("centre", [-1, 4])
def test_the_centre_must_be_one_of_the_frames(centre: int) -> None:
    with pytest.raises(ValueError, match="not one of the 4 frames"):
        Window(PackedSpikes.pack(np.zeros((4, 1, 8), np.uint8)), centre)
