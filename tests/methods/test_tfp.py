"""TFP counts what there is to count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.errors import UsageError
from hqgen.methods.tfp import TFP
from tests.methods.windows import window


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(2, 90),
    length=st.integers(1, 60),
    rate=st.floats(0, 1),
    data=st.data(),
)
def test_is_the_mean_of_the_frames_around_the_centre(
    seed: int, count: int, length: int, rate: float, data: st.DataObject
) -> None:
    frames = np.random.default_rng(seed).random((count, 5, 7)) < rate
    centre = data.draw(st.integers(0, count - 1))
    padded = np.pad(frames, ((length // 2, length), (0, 0), (0, 0)), mode="reflect")
    image = TFP(length).reconstruct(window(frames, centre))
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, padded[centre : centre + length].mean(0), rtol=1e-6)


def test_an_even_window_takes_exactly_that_many_frames() -> None:
    assert TFP(40).span == (20, 19)
    assert TFP(200).span == (100, 99), "200 frames around frame 100 are a whole SpikeCLIP stream"
    assert TFP(1).span == (0, 0)


def test_silent_and_saturated_pixels_are_zero_and_one() -> None:
    frames = np.zeros((41, 2, 3), np.uint8)
    frames[:, 1] = 1
    image = TFP().reconstruct(window(frames, 20))
    assert image.tolist() == [[0, 0, 0], [1, 1, 1]]


def test_at_the_ends_mirrored_frames_count_like_the_others() -> None:
    frames = np.zeros((41, 1, 1), np.uint8)
    frames[:10] = 1
    assert TFP().reconstruct(window(frames, 0)).item() == pytest.approx(19 / 41)


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1, not 0"):
        TFP(0)


@pytest.mark.real
@pytest.mark.parametrize(("case", "centre"), [("data", 150), ("uhsr", 100)])
@pytest.mark.parametrize("length", [11, 21, 41])
def test_equals_the_published_code(shared: Path, case: str, centre: int, length: int) -> None:
    golden = np.load(shared / "golden" / "tfp.npz")
    image = TFP(length).reconstruct(window(golden[f"spike_{case}"], centre))
    np.testing.assert_allclose(image, golden[f"tfp{length}_{case}"], atol=1e-6)


@pytest.mark.real
@pytest.mark.parametrize(("case", "centre", "length"), [("data", 150, 301), ("uhsr", 100, 200)])
def test_equals_the_published_mean_of_the_whole_stream(
    shared: Path, case: str, centre: int, length: int
) -> None:
    golden = np.load(shared / "golden" / "tfp.npz")
    image = TFP(length).reconstruct(window(golden[f"spike_{case}"], centre))
    np.testing.assert_allclose(image, golden[f"tfpall_{case}"], atol=1e-6)
