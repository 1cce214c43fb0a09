from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.errors import RecordingError
from hqgen.spikes.packed import PackedSpikes, Window, frame_bytes, mirrored


def numbered(count: int) -> PackedSpikes:
    """Frames that show their own number in 16 pixels."""
    numbers = np.arange(count, dtype="<u2")
    return PackedSpikes(numbers.view(np.uint8).reshape(count, 2), 2, 8)


def numbers(window: Window) -> list[int]:
    """The numbers of the frames in a window of them."""
    return np.ascontiguousarray(window.spikes.data).view("<u2").ravel().tolist()


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


def test_narrowing_a_window_keeps_its_centre_and_shares_the_data() -> None:
    window = Window(numbered(10), 3)
    for before, after in [(2, 2), (0, 0), (3, 6), (0, 6)]:
        narrow = window.around(before, after)
        assert (narrow.before, narrow.centre, narrow.after) == (before, before, after)
        assert numbers(narrow) == list(range(3 - before, 3 + after + 1))
        assert narrow.mirrored == 0
        assert np.shares_memory(narrow.spikes.data, window.spikes.data)


def test_a_window_that_reaches_over_an_end_goes_back_from_it() -> None:
    assert numbers(Window(numbered(10), 1, (3, 2))) == [2, 1, 0, 1, 2, 3]
    assert numbers(Window(numbered(10), 8, (1, 3))) == [7, 8, 9, 8, 7]
    assert numbers(Window(numbered(3), 1, (4, 5))) == [1, 2, 1, 0, 1, 2, 1, 0, 1, 2]


@given(count=st.integers(2, 30), before=st.integers(0, 90), after=st.integers(0, 90), data=st.data())
def test_mirrored_frames_are_in_the_order_of_numpy_pad(
    count: int, before: int, after: int, data: st.DataObject
) -> None:
    centre = data.draw(st.integers(0, count - 1))
    padded = np.pad(np.arange(count), (before, after), mode="reflect")
    expected = padded[centre : centre + before + 1 + after]
    np.testing.assert_array_equal(mirrored(centre - before, centre + after + 1, count), expected)
    window = Window(numbered(count), centre).around(before, after)
    assert numbers(window) == expected.tolist()
    assert (len(window), window.centre) == (before + 1 + after, before)
    outside = [frame for frame in range(centre - before, centre + after + 1) if not 0 <= frame < count]
    assert window.mirrored == len(outside)


@given(count=st.integers(2, 20), before=st.integers(0, 40), after=st.integers(0, 40), data=st.data())
def test_the_real_frames_are_those_within_the_recording(
    count: int, before: int, after: int, data: st.DataObject
) -> None:
    centre = data.draw(st.integers(0, count - 1))
    stream = numbered(count)
    real = Window(stream, centre, (before, after)).real
    assert numbers(real) == list(range(max(0, centre - before), min(count, centre + after + 1)))
    assert numbers(real)[real.centre] == centre
    assert (real.mirrored, np.shares_memory(real.spikes.data, stream.data)) == (0, True)


@given(count=st.integers(2, 12), wide=st.integers(0, 30), narrow=st.integers(0, 30), data=st.data())
def test_narrowing_a_mirrored_window_takes_its_middle(
    count: int, wide: int, narrow: int, data: st.DataObject
) -> None:
    centre = data.draw(st.integers(0, count - 1))
    narrow = min(narrow, wide)
    window = Window(numbered(count), centre, (wide, wide))
    assert numbers(window.around(narrow, narrow)) == numbers(window)[wide - narrow : wide + narrow + 1]


def test_a_single_frame_has_nothing_to_mirror() -> None:
    window = Window(numbered(1), 0)
    assert numbers(window.around(0, 0)) == [0]
    with pytest.raises(RecordingError, match="one frame is too few for a window of 3 frames") as caught:
        _ = window.around(1, 1).spikes
    assert "at least 2 frames" in caught.value.hint


def test_a_window_does_not_reach_back_behind_its_centre() -> None:
    with pytest.raises(ValueError, match="reaches 0 frames or more to each side"):
        Window(numbered(5), 2).around(-1, 2)


@pytest.mark.parametrize("centre", [-1, 4])
def test_the_centre_must_be_one_of_the_frames(centre: int) -> None:
    with pytest.raises(ValueError, match="not one of the 4 frames"):
        Window(PackedSpikes.pack(np.zeros((4, 1, 8), np.uint8)), centre)
