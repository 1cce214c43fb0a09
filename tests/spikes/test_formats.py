"""Files of other cameras, each read as it is described."""

from __future__ import annotations

import pickle
from itertools import permutations
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.io import savemat

from hqgen.errors import RecordingError
from hqgen.sources.demo import demo_recording
from hqgen.spikes.camera import Camera
from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.recording import open_recording

T, H, W = 9, 6, 16

Frames = NDArray[np.uint8]


@pytest.fixture
def frames() -> Frames:
    return np.random.default_rng(5).integers(0, 2, (T, H, W), dtype=np.uint8)


def camera(**fields: Any) -> Camera:
    return Camera.model_validate(fields)


def raw_bytes(frames: Frames, *, padding: int = 0, msb: bool = False, top_down: bool = False) -> bytes:
    """What a camera writes: rows with a counter in their padding, packed."""
    counter = np.random.default_rng(1).integers(0, 2, (*frames.shape[:2], padding), dtype=np.uint8)
    stored = np.concatenate([frames, counter], axis=2)
    stored = stored if top_down else stored[:, ::-1]
    return np.packbits(stored.reshape(-1), bitorder="big" if msb else "little").tobytes()


def write_counter(path: Path) -> None:
    """Write a recording of the demo with a counter in its rows, which is misread as the usual camera's."""
    frames = np.concatenate([demo_recording("rocket").frames()] * 2)[:100]
    path.write_bytes(raw_bytes(frames, padding=16))


@pytest.mark.parametrize("ending", [".dat", ".raw", ".BIN"])
@pytest.mark.parametrize("padding", [0, 8, 4, 12])
@pytest.mark.parametrize("msb", [False, True])
@pytest.mark.parametrize("top_down", [False, True])
def test_raw_files_of_any_layout_give_the_picture(
    tmp_path: Path, frames: Frames, ending: str, padding: int, msb: bool, top_down: bool
) -> None:
    path = tmp_path / f"r{ending}"
    path.write_bytes(raw_bytes(frames, padding=padding, msb=msb, top_down=top_down))
    described = camera(
        height=H,
        width=W,
        padding=padding,
        bit_order="msb" if msb else "lsb",
        row_order="top-down" if top_down else "bottom-up",
    )
    recording = open_recording(path, described)
    assert recording.shape == (T, H, W)
    np.testing.assert_array_equal(recording.frames(2, 7), frames[2:7])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(recording)).frames(), frames)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, H - 1), st.integers(0, W - 1), st.data())
def test_a_region_is_that_part_of_the_picture(
    tmp_path: Path, frames: Frames, top: int, left: int, data: st.DataObject
) -> None:
    height, width = data.draw(st.integers(1, H - top)), data.draw(st.integers(1, W - left))
    expected = frames[:, top : top + height, left : left + width]
    path = tmp_path / "r.dat"
    path.write_bytes(raw_bytes(frames, padding=8))
    region = (top, left, height, width)
    recording = open_recording(path, camera(height=H, width=W, padding=8, region=region))
    assert recording.shape == (T, height, width)
    np.testing.assert_array_equal(recording.frames(), expected)
    for bottom_up in (False, True):
        spikes = PackedSpikes.pack(frames[:, ::-1] if bottom_up else frames)
        whole = PackedSpikes(spikes.data, H, W, bottom_up)
        np.testing.assert_array_equal(whole.cropped(*region).frames(), expected)


def test_a_region_outside_the_picture_is_refused(tmp_path: Path, frames: Frames) -> None:
    np.save(tmp_path / "r.npy", frames)
    with pytest.raises(RecordingError, match="the region 6x9 from row 0, column 8 is not within"):
        open_recording(tmp_path / "r.npy", camera(region=(0, 8, 6, 9)))


@pytest.mark.parametrize("name", ["r.dat", "r.npz", "r.npy", "r.h5", "r.mat"])
def test_a_range_of_frames_is_a_recording_of_its_own(tmp_path: Path, frames: Frames, name: str) -> None:
    path = write(tmp_path / name, frames)
    recording = open_recording(path, camera(height=H, width=W, axes="THW", frame_range=(2, 7)))
    assert len(recording) == 5
    np.testing.assert_array_equal(recording.frames(), frames[2:7])
    np.testing.assert_array_equal(recording.frames(1, 3), frames[3:5])
    with pytest.raises(RecordingError, match="has 9 frames, and the frame range ends at 10"):
        open_recording(path, camera(height=H, width=W, axes="THW", frame_range=(2, 10)))


def write(path: Path, array: NDArray[Any]) -> Path:
    match path.suffix:
        case ".dat":
            path.write_bytes(raw_bytes(array))
        case ".npz":
            np.savez_compressed(path, spk=array)
        case ".npy":
            np.save(path, array)
        case ".mat" if path.stem == "v73":  # MATLAB stores the axes in reverse order
            with h5py.File(path, "w") as file:
                file["spk"] = array.transpose(2, 1, 0)
        case ".mat":
            savemat(path, {"spk": array})
        case _:
            with h5py.File(path, "w") as file:
                file["spk"] = array
    return path


@pytest.mark.parametrize("name", ["r.npz", "r.npy", "r.h5", "v5.mat", "v73.mat"])
@pytest.mark.parametrize("axes", ["".join(axes) for axes in permutations("THW")])
def test_axes_may_be_in_any_order(tmp_path: Path, frames: Frames, name: str, axes: str) -> None:
    array = frames.transpose(["THW".index(axis) for axis in axes])
    recording = open_recording(write(tmp_path / name, array), camera(axes=axes))
    assert recording.shape == (T, H, W)
    np.testing.assert_array_equal(recording.frames(3, 5), frames[3:5])


@pytest.mark.parametrize("name", ["v5.mat", "v73.mat"])
def test_matlab_files_have_time_last_unless_stated(tmp_path: Path, frames: Frames, name: str) -> None:
    path = write(tmp_path / name, frames.transpose(1, 2, 0))
    np.testing.assert_array_equal(open_recording(path).frames(), frames)


def test_arrays_may_have_padding_other_values_rows_and_bits(tmp_path: Path, frames: Frames) -> None:
    padded = np.concatenate([frames, np.ones((T, H, 8), np.uint8)], axis=2)
    msb = padded.reshape(T, H, -1, 8)[..., ::-1].reshape(padded.shape)
    np.save(tmp_path / "r.npy", (msb[:, ::-1] * 255).astype(np.float32))
    described = camera(padding=8, values="0/255", row_order="bottom-up", bit_order="msb")
    np.testing.assert_array_equal(open_recording(tmp_path / "r.npy", described).frames(), frames)


def test_a_fortran_array_is_read_by_its_axes(tmp_path: Path, frames: Frames) -> None:
    np.save(tmp_path / "r.npy", np.asfortranarray(frames))
    np.testing.assert_array_equal(open_recording(tmp_path / "r.npy").frames(1, 4), frames[1:4])


def test_streams_in_groups_are_found_or_named(tmp_path: Path, frames: Frames) -> None:
    with h5py.File(tmp_path / "one.h5", "w") as file:
        file["cam0/spk"], file["cam0/time"] = frames, np.arange(T)
    np.testing.assert_array_equal(open_recording(tmp_path / "one.h5").frames(), frames)
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["cam0/spk"], file["cam1/spk"] = frames, 1 - frames
    with pytest.raises(RecordingError, match="several other streams: `cam0/spk`, `cam1/spk`") as caught:
        open_recording(tmp_path / "two.h5")
    assert "`key`" in caught.value.hint
    for key in ("cam1/spk", "/cam1/spk", "cam1"):
        np.testing.assert_array_equal(
            open_recording(tmp_path / "two.h5", camera(key=key)).frames(), 1 - frames
        )
    with pytest.raises(RecordingError, match="holds no `cam2`; arrays: `cam0/spk`, `cam1/spk`"):
        open_recording(tmp_path / "two.h5", camera(key="cam2"))


def test_a_file_without_a_stream_names_its_arrays(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file["cam0/time"], file["cam0/gain"] = np.arange(T), np.ones((2, 2))
    with pytest.raises(RecordingError, match="no array has three axes; arrays: `cam0/gain`, `cam0/time`"):
        open_recording(tmp_path / "r.h5")


@pytest.mark.parametrize(
    ("shape", "advice"),
    [((T, 3, H, W), "its own recording"), ((T, H, W, 3), "colour plane"), ((T, 1, H, W), "squeeze")],
)
def test_four_axes_are_refused_with_what_to_do(tmp_path: Path, shape: tuple[int, ...], advice: str) -> None:
    np.savez(tmp_path / "r.npz", spk=np.zeros(shape, np.uint8))
    with pytest.raises(RecordingError, match="found the shape") as caught:
        open_recording(tmp_path / "r.npz")
    assert advice in caught.value.hint


@pytest.mark.parametrize(
    ("label", "read"),
    [
        (np.array([7]), 7),
        (np.array([[7.0]]), 7),
        ("dog", "dog"),
        (np.array(["dog"]), "dog"),
        (np.array(b"dog"), "dog"),
        (np.array([1, 2]), None),
        (0.5, None),
        (np.array({"class": 7}, dtype=object), None),
    ],
)
def test_labels_of_any_form_cost_no_pixels(tmp_path: Path, frames: Frames, label: Any, read: object) -> None:
    np.savez(tmp_path / "r.npz", spk=frames, label=label)
    recording = open_recording(tmp_path / "r.npz")
    assert recording.label == read
    np.testing.assert_array_equal(recording.frames(), frames)


def test_text_labels_are_read_from_hdf5_and_matlab(tmp_path: Path, frames: Frames) -> None:
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file["spk"], file["label"] = frames, "dog"
    savemat(tmp_path / "r.mat", {"spk": frames, "label": "dog"})
    assert [open_recording(tmp_path / name).label for name in ("r.h5", "r.mat")] == ["dog", "dog"]


def test_an_array_of_another_geometry_than_described_is_refused(tmp_path: Path, frames: Frames) -> None:
    np.save(tmp_path / "r.npy", frames)
    with pytest.raises(RecordingError, match="frames are 6x16, expected 6x24"):
        open_recording(tmp_path / "r.npy", camera(height=6, width=16, padding=8))


def test_a_preset_may_be_given_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "r.raw").write_bytes(bytes(250 * 416 // 8 * 3))
    recording = open_recording(tmp_path / "r.raw", "vidar-416")
    assert recording.shape == (3, 250, 400)
    assert recording.camera.padding == 16
