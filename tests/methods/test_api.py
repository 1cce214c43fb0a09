"""`reconstruct`: one call for a recording, packed spikes or an array."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hqgen.errors import RecordingError, UnknownNameError, UsageError
from hqgen.methods.api import reconstruct
from hqgen.methods.tfi import TFI
from hqgen.methods.tfp import TFP
from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.recording import open_recording, write_dat


@pytest.fixture
def frames() -> np.ndarray:
    return (np.random.default_rng(0).random((120, 8, 12)) < 0.3).astype(np.uint8)


@pytest.mark.parametrize("centre", [0, 3, 60, 119, None])
@pytest.mark.parametrize("name", ["tfp", "tfi", "tfstp"])
def test_array_packed_spikes_and_recording_give_the_same_image(
    frames: np.ndarray, tmp_path: Path, name: str, centre: int | None
) -> None:
    write_dat(tmp_path / "a.dat", PackedSpikes.pack(frames))
    recording = open_recording(tmp_path / "a.dat", height=8, width=12)
    image = reconstruct(name, frames, centre=centre)
    assert image.shape == (8, 12)
    assert image.dtype == np.float32
    np.testing.assert_array_equal(reconstruct(name, PackedSpikes.pack(frames), centre=centre), image)
    np.testing.assert_array_equal(reconstruct(name, recording, centre=centre), image)


def test_the_default_centre_is_the_middle_frame(frames: np.ndarray) -> None:
    np.testing.assert_array_equal(reconstruct("tfi", frames), reconstruct("tfi", frames, centre=60))


def test_parameters_reach_the_method(frames: np.ndarray) -> None:
    expected = frames[58:63].mean(0)
    np.testing.assert_allclose(reconstruct("tfp", frames, window=5), expected, rtol=1e-6)
    np.testing.assert_allclose(reconstruct(TFP(5), frames), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", [bool, np.int64, np.float32])
def test_any_number_type_of_zeros_and_ones_is_a_stream(frames: np.ndarray, kind: type) -> None:
    np.testing.assert_array_equal(reconstruct("tfi", frames.astype(kind)), reconstruct("tfi", frames))


def test_nested_lists_are_a_stream_too() -> None:
    image = reconstruct("tfp", [[[0, 1]], [[0, 1]], [[1, 1]]], window=3)  # type: ignore[arg-type]
    assert image.tolist() == [[pytest.approx(1 / 3), 1]]


def test_frames_beyond_the_ends_of_an_array_are_mirrored(frames: np.ndarray) -> None:
    expected = np.pad(frames, ((20, 20), (0, 0), (0, 0)), mode="reflect")
    for centre in (0, 3, 119):
        image = reconstruct("tfp", frames, centre=centre)
        np.testing.assert_allclose(image, expected[centre : centre + 41].mean(0), rtol=1e-6)


def test_an_array_of_one_frame_is_refused_where_the_method_needs_more(frames: np.ndarray) -> None:
    np.testing.assert_array_equal(reconstruct("tfp", frames[:1], window=1), frames[0])
    with pytest.raises(RecordingError, match="one frame is too few for a window of 41 frames"):
        reconstruct("tfp", frames[:1])


@pytest.mark.parametrize("centre", [-1, 120])
def test_a_centre_outside_the_stream_is_refused_with_the_legal_range(frames: np.ndarray, centre: int) -> None:
    with pytest.raises(
        UsageError, match=f"frame {centre} is not in the stream, which has 120 frames"
    ) as caught:
        reconstruct("tfp", frames, centre=centre)
    assert caught.value.hint == "give `centre` as 0 to 119"


@pytest.mark.parametrize("shape", [(0, 8, 12), (5, 0, 12), (8, 12)])
def test_empty_and_flat_arrays_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(RecordingError, match=re.escape(str(shape))):
        reconstruct("tfp", np.zeros(shape, np.uint8))


def test_packed_spikes_without_frames_are_refused() -> None:
    with pytest.raises(RecordingError, match=re.escape("(0, 8, 12)")):
        reconstruct("tfp", PackedSpikes(np.zeros((0, 12), np.uint8), 8, 12))


@pytest.mark.parametrize("value", [2, 0.5, -1, np.nan, "1"])
def test_values_other_than_zero_and_one_are_refused(frames: np.ndarray, value: Any) -> None:
    wrong = frames.astype(type(value) if isinstance(value, str) else float)
    wrong[60, 0, 0] = value
    with pytest.raises(RecordingError, match="spikes are 0 and 1"):
        reconstruct("tfp", wrong)


def test_an_unknown_method_and_an_unknown_parameter_are_refused(frames: np.ndarray) -> None:
    with pytest.raises(UnknownNameError, match="unknown method `tpf`") as caught:
        reconstruct("tpf", frames)
    assert "did you mean `tfp`" in caught.value.hint
    with pytest.raises(UsageError, match="no parameter `size`"):
        reconstruct("tfp", frames, size=5)


def test_parameters_beside_a_method_that_is_built_are_refused(frames: np.ndarray) -> None:
    with pytest.raises(UsageError, match="already has its parameters, but more are given: window"):
        reconstruct(TFI(), frames, window=5)
