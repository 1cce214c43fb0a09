from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hqgen.errors import RecordingError, UnreadableError
from hqgen.spikes.kernels import count_spikes
from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.recording import ArrayRecording, Recording, open_recording, write_dat

T, H, W = 9, 6, 16


@pytest.fixture
def frames() -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 2, (T, H, W), dtype=np.uint8)


def write(path: Path, frames: NDArray[np.uint8]) -> Path:
    match path.suffix:
        case ".dat":
            write_dat(path, PackedSpikes.pack(frames))
        case ".npz":
            np.savez_compressed(path, spk=frames, label=np.int64(7))
        case ".npy":
            np.save(path, frames)
        case _:
            with h5py.File(path, "w") as file:
                file["spikes"] = frames
                file["label"] = 7
    return path


def opened(path: Path) -> Recording:
    return open_recording(path, height=H, width=W)


@pytest.mark.parametrize("name", ["r.dat", "r.npz", "r.npy", "r.h5", "r.HDF5"])
def test_every_format_gives_the_frames_that_were_written(
    tmp_path: Path, frames: NDArray[np.uint8], name: str
) -> None:
    recording = opened(write(tmp_path / name, frames))
    assert recording.shape == (T, H, W)
    assert len(recording) == T
    np.testing.assert_array_equal(recording.frames(), frames)
    np.testing.assert_array_equal(recording.frames(2, 5), frames[2:5])
    np.testing.assert_array_equal(count_spikes(recording.spikes()), frames.sum(axis=0))


@pytest.mark.parametrize("name", ["r.dat", "r.npz", "r.npy"])
def test_recordings_travel_to_other_processes(tmp_path: Path, frames: NDArray[np.uint8], name: str) -> None:
    recording = opened(write(tmp_path / name, frames))
    copy = pickle.loads(pickle.dumps(recording))
    np.testing.assert_array_equal(copy.frames(), frames)


def test_dat_keeps_the_bytes_of_the_camera(tmp_path: Path) -> None:
    """Least significant bit first, bottom row first: one spike top left is the first bit of the last row."""
    frame = np.zeros((1, H, W), np.uint8)
    frame[0, 0, 0] = 1
    path = write(tmp_path / "r.dat", frame)
    assert path.read_bytes() == bytes(10) + b"\x01\x00"
    assert opened(path).spikes().data.tobytes() == path.read_bytes()


def test_dat_of_rows_that_are_no_whole_bytes_round_trips(tmp_path: Path) -> None:
    frames = np.random.default_rng(1).integers(0, 2, (3, 4, 6), dtype=np.uint8)
    path = tmp_path / "r.dat"
    write_dat(path, PackedSpikes.pack(frames))
    np.testing.assert_array_equal(open_recording(path, height=4, width=6).frames(), frames)


def test_labels_come_with_the_stream(tmp_path: Path, frames: NDArray[np.uint8]) -> None:
    assert opened(write(tmp_path / "r.npz", frames)).label == 7
    assert opened(write(tmp_path / "r.h5", frames)).label == 7
    assert opened(write(tmp_path / "r.npy", frames)).label is None


def test_streams_with_time_last_are_read_when_told(tmp_path: Path, frames: NDArray[np.uint8]) -> None:
    np.savez(tmp_path / "r.npz", spk=np.moveaxis(frames, 0, 2))
    np.save(tmp_path / "r.npy", np.moveaxis(frames, 0, 2))
    for name in ("r.npz", "r.npy"):
        recording = open_recording(tmp_path / name, height=H, width=W, axes="HWT")
        np.testing.assert_array_equal(recording.frames(1, 4), frames[1:4])


def test_opening_reads_no_frames(tmp_path: Path) -> None:
    """A stream of terabytes opens at once: here a sparse file of 125 GB."""
    path = tmp_path / "large.dat"
    with path.open("wb") as file:
        file.truncate(12_500 * 10_000_000)
    recording = open_recording(path, height=250, width=400)
    assert recording.shape == (10_000_000, 250, 400)
    assert not recording.frames(9_999_998, 10_000_000).any()


@pytest.mark.parametrize(
    ("centre", "before", "after"), [(4, 2, 3), (0, 2, 3), (0, 4, 0), (8, 0, 5), (8, 99, 99), (3, 20, 1)]
)
def test_a_window_is_whole_at_the_ends_of_every_kind_of_file(
    tmp_path: Path, frames: NDArray[np.uint8], centre: int, before: int, after: int
) -> None:
    expected = np.pad(frames, ((before, after), (0, 0), (0, 0)), mode="reflect")[centre:][
        : before + 1 + after
    ]
    for name in ("r.dat", "r.npz", "r.npy", "r.h5"):
        window = opened(write(tmp_path / name, frames)).window(centre, before, after)
        np.testing.assert_array_equal(window.spikes.frames(), expected)
        assert window.mirrored == max(0, before - centre) + max(0, centre + after + 1 - T)


def test_a_window_inside_the_recording_is_a_view_of_the_file(
    tmp_path: Path, frames: NDArray[np.uint8]
) -> None:
    recording = opened(write(tmp_path / "r.dat", frames))
    inside, over = recording.window(4, 2, 3).spikes, recording.window(1, 2, 3).spikes
    assert np.shares_memory(inside.data, recording.spikes().data)
    assert not np.shares_memory(over.data, recording.spikes().data)


def test_a_recording_of_one_frame_has_no_window_wider_than_it(frames: NDArray[np.uint8]) -> None:
    recording = ArrayRecording(PackedSpikes.pack(frames[:1]))
    np.testing.assert_array_equal(recording.window(0, 0, 0).spikes.frames(), frames[:1])
    with pytest.raises(RecordingError, match="one frame is too few for a window of 41 frames"):
        recording.window(0, 20, 20)


@pytest.mark.parametrize("centre", [-1, T])
def test_a_window_needs_a_frame_of_the_recording(frames: NDArray[np.uint8], centre: int) -> None:
    recording = ArrayRecording(PackedSpikes.pack(frames), name="here")
    with pytest.raises(IndexError, match="9 frames of `here`"):
        recording.window(centre, 1, 1)


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (0, T + 1), (5, 4)])
def test_frames_outside_the_recording_are_an_index_error(
    frames: NDArray[np.uint8], start: int, stop: int
) -> None:
    with pytest.raises(IndexError, match=r"not within 0\.\.9"):
        ArrayRecording(PackedSpikes.pack(frames)).frames(start, stop)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    for name in ("r.dat", "r.npz", "r.npy", "r.h5"):
        path = tmp_path / name
        path.touch()
        with pytest.raises(RecordingError, match=name):
            opened(path)


@pytest.mark.parametrize("name", ["r.dat", "r.npz", "r.npy", "r.h5"])
def test_a_truncated_file_is_refused(tmp_path: Path, frames: NDArray[np.uint8], name: str) -> None:
    path = write(tmp_path / name, frames)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(RecordingError, match=name):
        opened(path).frames()


def test_a_truncated_dat_says_what_was_found(tmp_path: Path, frames: NDArray[np.uint8]) -> None:
    path = write(tmp_path / "r.dat", frames)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(RecordingError, match=r"101 bytes are 8 frames of 6x16 \(12 bytes each\) and 5 bytes"):
        opened(path)


@pytest.mark.parametrize("name", ["r.npz", "r.npy", "r.h5"])
def test_another_geometry_is_refused(tmp_path: Path, frames: NDArray[np.uint8], name: str) -> None:
    path = write(tmp_path / name, frames)
    with pytest.raises(RecordingError, match="frames are 6x16, expected 250x400"):
        open_recording(path, height=250, width=400)


def test_dat_must_be_told_its_geometry(tmp_path: Path, frames: NDArray[np.uint8]) -> None:
    path = write(tmp_path / "r.dat", frames)
    with pytest.raises(RecordingError, match="no header"):
        open_recording(path)


def test_dat_of_250x250_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "r.dat"
    with pytest.raises(RecordingError, match="62500 bits, not a whole number of bytes"):
        write_dat(path, PackedSpikes.pack(np.zeros((1, 250, 250), np.uint8)))
    assert not path.exists()
    path.write_bytes(bytes(7813))
    with pytest.raises(RecordingError, match="62500 bits, not a whole number of bytes"):
        open_recording(path, height=250, width=250)


def test_missing_files_directories_and_unknown_endings_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="No such file"):
        opened(tmp_path / "none.dat")
    (tmp_path / "folder.dat").mkdir()
    with pytest.raises(RecordingError, match="is a directory"):
        opened(tmp_path / "folder.dat")
    (tmp_path / "r.avi").touch()
    with pytest.raises(RecordingError, match=r"unknown ending `\.avi`") as caught:
        opened(tmp_path / "r.avi")
    assert ".npz" in caught.value.hint


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int16, np.int64, np.float16, np.float32, np.float64])
def test_spikes_may_be_any_type_of_number(tmp_path: Path, frames: NDArray[np.uint8], kind: type) -> None:
    np.save(tmp_path / "r.npy", frames.astype(kind))
    np.testing.assert_array_equal(opened(tmp_path / "r.npy").frames(), frames)


def test_values_that_are_not_spikes_are_refused_with_the_value(
    tmp_path: Path, frames: NDArray[np.uint8]
) -> None:
    np.savez(tmp_path / "r.npz", spk=frames * 255)
    np.save(tmp_path / "r.npy", frames * np.float32(0.5))
    with pytest.raises(RecordingError, match=r"spikes are 0 and 1, found the value 255 \(uint8\)") as caught:
        opened(tmp_path / "r.npz").frames()
    assert "`values` is `0/255`" in caught.value.hint
    with pytest.raises(RecordingError, match=r"found the value 0.5 \(float32\) in frames 0..9"):
        opened(tmp_path / "r.npy").frames()


def test_a_stream_under_another_key_is_refused_with_the_keys_found(
    tmp_path: Path, frames: NDArray[np.uint8]
) -> None:
    np.savez(tmp_path / "r.npz", left=frames, right=frames)
    with pytest.raises(RecordingError, match="several other streams: `left`, `right`"):
        opened(tmp_path / "r.npz")


def test_arrays_without_three_axes_or_frames_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "flat.npy", np.zeros((4, 4), np.uint8))
    np.save(tmp_path / "none.npy", np.zeros((0, 4, 4), np.uint8))
    with pytest.raises(RecordingError, match=r"axes THW, found the shape \(4, 4\)"):
        open_recording(tmp_path / "flat.npy")
    with pytest.raises(RecordingError, match="the stream is empty"):
        open_recording(tmp_path / "none.npy")


def test_a_file_that_shrinks_after_it_was_opened_is_an_error_and_no_crash(
    tmp_path: Path, frames: NDArray[np.uint8]
) -> None:
    path = write(tmp_path / "r.dat", frames)
    recording = opened(path)
    path.write_bytes(b"")
    with pytest.raises(RecordingError, match="has become shorter"):
        recording.frames()


def test_a_file_that_vanishes_after_it_was_opened_is_unreadable(
    tmp_path: Path, frames: NDArray[np.uint8]
) -> None:
    path = write(tmp_path / "r.dat", frames)
    recording = opened(path)
    path.unlink()
    with pytest.raises(UnreadableError, match=r"r\.dat"):
        recording.frames()


def test_writing_leaves_no_partial_file_behind(tmp_path: Path, frames: NDArray[np.uint8]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecordingError, match="cannot be written"):
        write_dat(tmp_path / "file" / "r.dat", PackedSpikes.pack(frames))
    with pytest.raises(RecordingError, match="at least one frame"):
        write_dat(tmp_path / "r.dat", PackedSpikes.pack(frames[:0]))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.real
@pytest.mark.parametrize("name", ["200_part1", "200_part3", "203_part1"])
def test_bit_order_and_row_flip_fit_the_ground_truth(data_root: Path, name: str) -> None:
    """Correlation with the ground truth tells the bit order (0.952 with the wrong one), which no eye does."""
    path = data_root / f"spike-reds/test/spike/{name}_key_id151.dat"
    recording = open_recording(path, height=250, width=400)
    with Image.open(data_root / f"spike-reds/test/gt/{name}_key_id151.png") as picture:
        truth = np.asarray(picture, np.float64) / 255
    rate = count_spikes(recording.window(150, 20, 20).spikes) / 41
    wrong = np.unpackbits(recording.spikes(130, 171).data, axis=1).reshape(41, 250, 400)[:, ::-1].mean(axis=0)
    right = np.corrcoef(rate.ravel(), truth.ravel())[0, 1]
    assert right > np.corrcoef(wrong.ravel(), truth.ravel())[0, 1] + 0.003
    assert right > {"200_part1": 0.988, "200_part3": 0.97, "203_part1": 0.9}[name]
    assert rate.mean() / truth.mean() == pytest.approx(0.6, abs=0.005)


@pytest.mark.real
def test_the_low_light_recording_has_its_label_and_firing_rate(data_root: Path) -> None:
    recording = open_recording(data_root / "u-caltech/helicopter_04144.npz")
    assert (recording.shape, recording.label) == ((200, 250, 250), 47)
    assert count_spikes(recording.spikes()).mean() / 200 == pytest.approx(0.031, abs=0.0005)


@pytest.mark.parametrize("name", ["r.npz", "r.npy", "r.h5"])
def test_whatever_is_damaged_is_a_recording_error(
    tmp_path: Path, frames: NDArray[np.uint8], name: str
) -> None:
    """Every byte of the file overwritten in turn: it still opens, or it says what it is."""
    whole = write(tmp_path / name, frames).read_bytes()
    path = tmp_path / f"damaged{Path(name).suffix}"
    generator = np.random.default_rng(3)
    refused = 0
    for position in generator.permutation(len(whole))[:300]:
        damaged = bytearray(whole)
        damaged[position] ^= int(generator.integers(1, 256))
        path.write_bytes(damaged)
        try:
            opened(path).frames()
        except RecordingError:
            refused += 1
    assert refused
