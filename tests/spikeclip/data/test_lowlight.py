from __future__ import annotations

import errno
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from numpy.typing import NDArray

from hqgen.errors import SourceError, StoreError, UnknownNameError, UsageError
from hqgen.sources import SourceRecording
from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.recording import open_recording, write_dat
from spikeclip.data import lowlight as resident
from spikeclip.data import prepare as preparing
from spikeclip.data.lowlight import LowLightSet, open_prepared
from spikeclip.data.lowlight_writer import LabelledStream, _locked, _SplitWriter, write
from spikeclip.data.prepare import prepare
from tests.builder.small import Recorder
from tests.spikeclip.small import CLASSES, FRAMES, SIDE, labelled_frames, write_recordings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of four recordings that a test may spoil."""
    path = tmp_path / "recordings"
    path.mkdir()
    write_recordings(path, {"train": 3, "test": 1})
    return path


def save(path: Path, frames: NDArray[np.uint8], label: int | None = None) -> None:
    content = {"spk": frames} if label is None else {"spk": frames, "label": np.array(label)}
    with path.open("wb") as file:
        np.savez_compressed(file, **content)


def test_a_set_holds_the_bits_labels_and_names_of_its_recordings(low_light: LowLightSet) -> None:
    assert low_light.splits == ("train", "test")
    assert low_light.labels == CLASSES
    assert (low_light.geometry, low_light.frames) == ((SIDE, SIDE), FRAMES)
    assert low_light.rejected == ()
    assert low_light.truth is None
    assert low_light.split("test").truths([0]) is None
    test = low_light.split("test")
    assert (len(test), test.frames) == (6, FRAMES)
    assert test.keys[1] == "test/0001.npz"
    np.testing.assert_array_equal(test.labels, [0, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(test.stream(1).frames(), labelled_frames(1001, 1))


def test_samples_come_in_the_order_they_are_asked_for(low_light: LowLightSet) -> None:
    split = low_light.split("train")
    streams, labels = split.read([5, 0, 5])
    np.testing.assert_array_equal(labels, split.labels[[5, 0, 5]])
    for stream, row in zip(streams, (5, 0, 5), strict=True):
        np.testing.assert_array_equal(stream, PackedSpikes.pack(labelled_frames(row, row % 3)).data)


def test_selected_samples_are_a_split(low_light: LowLightSet) -> None:
    split = low_light.split("train")
    some = split.select([7, 2, 11]).select([1, 2])
    assert (len(some), some.keys, some.name) == (2, (split.keys[2], split.keys[11]), "train")
    np.testing.assert_array_equal(some.labels, split.labels[[2, 11]])
    np.testing.assert_array_equal(some.read([1, 0])[0], split.read([11, 2])[0])
    resident = some.resident()
    assert resident is not None
    np.testing.assert_array_equal(resident.numpy(), split.read([2, 11])[0])
    assert some.nbytes == resident.nbytes
    with pytest.raises(IndexError):
        split.select([12])


def test_a_sample_that_is_not_there_is_an_index_error(low_light: LowLightSet) -> None:
    for row in (-1, 12):
        with pytest.raises(IndexError, match=r"0\.\.11"):
            low_light.split("train").read([row])


def test_an_unknown_split_is_named_with_the_known_ones(low_light: LowLightSet) -> None:
    with pytest.raises(UnknownNameError, match="`val`") as raised:
        low_light.split("val")
    assert "test, train" in raised.value.hint


def test_resident_samples_are_loaded_once(low_light: LowLightSet) -> None:
    split = open_prepared(low_light.path).split("train")
    whole = split.resident()
    assert whole is not None
    np.testing.assert_array_equal(whole.numpy(), split.read(range(len(split)))[0])
    assert split.resident(torch.device("cpu")) is whole


def test_samples_that_do_not_fit_are_not_resident(
    low_light: LowLightSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = open_prepared(low_light.path).split("train")
    monkeypatch.setattr(resident, "_free_memory", lambda _: split.nbytes)
    assert split.resident() is None


def test_the_same_again_is_opened_and_not_made(folder: Path, tmp_path: Path) -> None:
    first = prepare(folder, tmp_path / "low.zarr")
    chunk = tmp_path / "low.zarr/train/packed/c/0/0/0"
    made = chunk.stat().st_mtime_ns
    again = prepare(folder, tmp_path / "low.zarr")
    assert again.digest == first.digest
    assert chunk.stat().st_mtime_ns == made


def test_equal_recordings_have_one_digest_and_others_another(folder: Path, tmp_path: Path) -> None:
    first = prepare(folder, tmp_path / "a.zarr")
    assert prepare(folder, tmp_path / "b.zarr").digest == first.digest
    save(folder / "train/0000.npz", labelled_frames(99, 0), label=0)
    assert prepare(folder, tmp_path / "c.zarr").digest != first.digest


def test_other_recordings_do_not_replace_a_set(folder: Path, tmp_path: Path) -> None:
    prepare(folder, tmp_path / "low.zarr")
    save(folder / "train/0003.npz", labelled_frames(99, 0), label=0)
    with pytest.raises(StoreError, match=r"holds another low-light set.*\n  recordings: "):
        prepare(folder, tmp_path / "low.zarr")


@pytest.mark.parametrize("last", ["train/0000.npz", "test/0000.npz"])
def test_a_run_that_was_killed_leaves_no_set_and_is_made_good(
    last: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out, decode = prepare(folder, tmp_path / "whole.zarr"), tmp_path / "low.zarr", preparing._decode

    def die(recording: SourceRecording, frames: int) -> object:
        if recording.name == last:
            raise KeyboardInterrupt
        return decode(recording, frames)

    with monkeypatch.context() as patch:
        patch.setattr(preparing, "_decode", die)
        with pytest.raises(KeyboardInterrupt):
            prepare(folder, out)
    assert not out.exists()
    with pytest.raises(StoreError, match="is not finished"):
        open_prepared(out)
    assert prepare(folder, out).digest == whole.digest
    assert sorted(item.name for item in tmp_path.iterdir()) == ["low.zarr", "recordings", "whole.zarr"]


def test_two_processes_do_not_write_one_set(folder: Path, tmp_path: Path) -> None:
    with (
        _locked(tmp_path / "low.zarr"),
        pytest.raises(StoreError, match=r"another process is writing .*low\.zarr"),
    ):
        prepare(folder, tmp_path / "low.zarr")


def test_a_full_disk_is_an_error_and_leaves_no_set(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_SplitWriter, "finish", full)
    with pytest.raises(StoreError, match="cannot be written: No space left on device"):
        prepare(folder, tmp_path / "low.zarr")
    assert not (tmp_path / "low.zarr").exists()


def test_a_place_that_cannot_be_written_is_an_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        prepare(folder, tmp_path / "file" / "low.zarr")


def test_a_misread_recording_is_left_out_and_listed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "misread", lambda _, path: "uneven" if path.stem == "0001" else None)
    made = prepare(folder, tmp_path / "low.zarr")
    assert made.split("train").keys == ("train/0000.npz", "train/0002.npz")
    assert [item.reason for item in made.rejected] == ["it is not read as it was written: uneven"]


def test_bad_recordings_are_left_out_and_listed(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "train/0000.npz").read_bytes()
    (folder / "train/0000.npz").write_bytes(whole[:200])
    save(folder / "train/0003.npz", labelled_frames(7, 0, frames=100), label=0)
    save(folder / "train/0004.npz", 2 * labelled_frames(7, 0), label=0)
    save(folder / "train/0005.npz", labelled_frames(7, 0)[:, :30], label=0)
    save(folder / "train/0006.npz", labelled_frames(7, 0), label=3)
    save(folder / "train/0007.npz", np.zeros((FRAMES, SIDE, SIDE), np.uint8), label=0)
    observer = Recorder()
    made = prepare(folder, tmp_path / "low.zarr", observer=observer)
    reasons = {item.path: item.reason for item in made.rejected}
    assert made.split("train").keys == ("train/0001.npz", "train/0002.npz", "train/0007.npz")
    assert "damaged" in reasons["train/0000.npz"]
    assert reasons["train/0003.npz"] == "it has 100 frames, most have 200"
    assert "spikes are 0 and 1" in reasons["train/0004.npz"]
    assert "30x40" in reasons["train/0005.npz"]
    assert "label 3" in reasons["train/0006.npz"]
    assert len(reasons) == 5
    assert observer.done["prepare"] == 6  # of the recordings whose headers were in order


def test_recordings_without_labels_are_refused(folder: Path, tmp_path: Path) -> None:
    save(folder / "train/0003.npz", labelled_frames(7, 0))
    with pytest.raises(SourceError, match=r"1 of 5 recordings .* no label; the first is `train/0003.npz`"):
        prepare(folder, tmp_path / "low.zarr")
    assert not (tmp_path / "low.zarr").exists()


def test_nothing_usable_makes_no_set(folder: Path, tmp_path: Path) -> None:
    for file in folder.rglob("*.npz"):
        save(file, 2 * labelled_frames(0, 0), label=0)
    with pytest.raises(SourceError, match=r"no sample is left .*: spikes are 0 and 1"):
        prepare(folder, tmp_path / "low.zarr")
    with pytest.raises(StoreError, match="is not finished"):
        open_prepared(tmp_path / "low.zarr")


def test_an_empty_folder_and_no_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "u-cifar").mkdir()
    with pytest.raises(SourceError, match="no recordings"):
        prepare(tmp_path / "u-cifar", tmp_path / "low.zarr")
    with pytest.raises(SourceError, match="no folder"):
        prepare(tmp_path / "nowhere", tmp_path / "low.zarr")


def test_the_dataset_must_be_known(folder: Path, tmp_path: Path) -> None:
    (folder / "source.toml").unlink()
    with pytest.raises(UsageError, match="not known which dataset") as raised:
        prepare(folder, tmp_path / "low.zarr")
    assert "u-caltech, u-cifar" in raised.value.hint
    with pytest.raises(UnknownNameError, match="`reds`"):
        prepare(folder, tmp_path / "low.zarr", entry="reds")
    assert prepare(folder, tmp_path / "low.zarr", entry="u-cifar").labels[1] == "horse"
    renamed = folder.rename(folder.with_name("U_CIFAR"))
    assert prepare(renamed, tmp_path / "other.zarr").labels[1] == "horse"


def test_a_source_toml_without_classes_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "source.toml").write_text("")
    with pytest.raises(SourceError, match="names no `labels`"):
        prepare(folder, tmp_path / "low.zarr")


def test_recordings_stored_bottom_up_are_turned_upright(tmp_path: Path) -> None:
    frames = labelled_frames(3, 0)
    write_dat(tmp_path / "a.dat", PackedSpikes.pack(frames))
    spikes = open_recording(tmp_path / "a.dat", height=SIDE, width=SIDE).spikes()
    assert spikes.bottom_up
    write(
        tmp_path / "low.zarr",
        labels=CLASSES,
        geometry=(SIDE, SIDE),
        frames=FRAMES,
        splits={"train": 1},
        samples=lambda _split: [lambda: LabelledStream("a", 0, spikes)],
        made_from={},
    )
    stream = open_prepared(tmp_path / "low.zarr").split("train").stream(0)
    np.testing.assert_array_equal(stream.frames(), frames)


def test_no_set_and_something_else_are_refused(tmp_path: Path, hq_store: Path) -> None:
    with pytest.raises(StoreError, match="there is no low-light set"):
        open_prepared(tmp_path / "low.zarr")
    with pytest.raises(StoreError, match="is not a low-light set"):
        open_prepared(tmp_path)
    with pytest.raises(StoreError, match="but not a low-light set"):
        open_prepared(hq_store)


@pytest.fixture
def spoiled(low_light: LowLightSet, tmp_path: Path) -> Path:
    """A copy of a set that a test may spoil."""
    return Path(shutil.copytree(low_light.path, tmp_path / "low.zarr"))


def test_a_missing_sample_is_found_on_opening(spoiled: Path) -> None:
    (spoiled / "train/packed/c/3/0/0").unlink()
    with pytest.raises(StoreError, match="damaged: `train` lacks 1 of its samples"):
        open_prepared(spoiled)


def test_a_missing_array_is_found_on_opening(spoiled: Path) -> None:
    shutil.rmtree(spoiled / "test/labels")
    with pytest.raises(StoreError, match="is damaged"):
        open_prepared(spoiled)


def test_a_label_that_is_no_class_is_found_on_opening(spoiled: Path) -> None:
    zarr.open_group(spoiled, mode="a").attrs["labels"] = ["one"]
    with pytest.raises(StoreError, match=r"labels 0\.\.\d+, but there are fewer classes"):
        open_prepared(spoiled)


def test_a_damaged_sample_is_found_on_reading(spoiled: Path) -> None:
    chunk = spoiled / "train/packed/c/3/0/0"
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 0xFF
    chunk.write_bytes(content)
    opened = open_prepared(spoiled)
    opened.split("train").read([0, 1, 2])
    with pytest.raises(StoreError, match=r"sample `train/0003\.npz` .* is damaged"):
        opened.split("train").read([3])
    with pytest.raises(StoreError, match="is damaged"):
        opened.verify()


def test_verify_finds_samples_that_were_exchanged(spoiled: Path, low_light: LowLightSet) -> None:
    low_light.verify()
    shutil.copy(spoiled / "train/packed/c/0/0/0", spoiled / "train/packed/c/3/0/0")
    with pytest.raises(StoreError, match="no longer holds what was written"):
        open_prepared(spoiled).verify()


@pytest.mark.real
def test_the_real_recording_becomes_a_set(data_root: Path, tmp_path: Path) -> None:
    made = prepare(data_root / "u-caltech", tmp_path / "low.zarr")
    assert (made.geometry, made.frames, made.splits) == ((250, 250), 200, ("train",))
    train = made.split("train")
    assert [made.labels[label] for label in train.labels] == ["helicopter"]
    assert train.labels.tolist() == [47]
    frames = np.load(data_root / "u-caltech/helicopter_04144.npz")["spk"]
    np.testing.assert_array_equal(train.stream(0).frames(), frames)
