from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hqgen.errors import RecordingError
from hqgen.sources import source as source_module
from hqgen.sources.catalog import SourceSettings, load_catalog
from hqgen.sources.source import Source, read_folder
from hqgen.sources.truth import FileTruth
from hqgen.spikes.camera import Camera

Write = Callable[..., Path]


def reasons(source: Source) -> dict[str, str]:
    return {file.path: file.reason for file in source.rejected}


def keys(source: Source) -> list[str]:
    return [sample.key for sample in source.samples]


def read_reds(folder: Path) -> Source:
    return read_folder("reds", load_catalog()["reds"], folder)


@pytest.mark.parametrize("input_folder", ["spike", "input"])
def test_reds_samples_are_its_key_frames(tmp_path: Path, write_dat: Write, input_folder: str) -> None:
    write_dat(f"train/{input_folder}/000_part1_key_id21.dat", 41)
    write_dat(f"val/{input_folder}/201_part1_key_id151.dat", 301)
    for key in (7, 14, 21, 28, 35):
        write_dat(f"train/gt/000_part1_key_id{key}.png", 0)
    source = read_reds(tmp_path)
    assert keys(source) == [
        *(f"reds/000_part1_key_id{key}" for key in (7, 14, 21, 28, 35)),
        "reds/201_part1_key_id151",
    ]
    assert [sample.centre for sample in source.samples] == [6, 13, 20, 27, 34, 150]
    assert [item.split for item in source.recordings] == ["train", "val"]
    assert source.truth(source.samples[0]) == FileTruth(tmp_path, "train/gt/000_part1_key_id7.png")
    assert source.has_truth
    assert source.truth(source.samples[-1]) is None
    assert source.rejected == ()


def test_of_two_recordings_with_one_key_the_first_by_path_keeps_it(tmp_path: Path, write_dat: Write) -> None:
    write_dat("train/spike/000_part1_key_id21.dat", 41)
    write_dat("test/spike/000_part1_key_id21.dat", 41)
    source = read_reds(tmp_path)
    assert [item.name for item in source.recordings] == ["test/spike/000_part1_key_id21.dat"]
    assert reasons(source) == {
        "train/spike/000_part1_key_id21.dat": "its sample `reds/000_part1_key_id21` already belongs to "
        "`test/spike/000_part1_key_id21.dat`"
    }


def test_ground_truth_beyond_the_recording_is_unusable_and_harms_no_other(
    tmp_path: Path, write_dat: Write
) -> None:
    write_dat("train/spike/000_part1_key_id21.dat", 41)
    write_dat("train/gt/000_part1_key_id42.png", 0)
    write_dat("train/gt/000_part1_key_id0.png", 0)
    source = read_reds(tmp_path)
    assert keys(source) == ["reds/000_part1_key_id21"]
    assert "key id 42 is not one of the 41 frames" in reasons(source)["train/gt/000_part1_key_id42.png"]
    assert "key id 0 is not one of the 41 frames" in reasons(source)["train/gt/000_part1_key_id0.png"]


def test_recording_shorter_than_its_key_frame_is_unusable(tmp_path: Path, write_dat: Write) -> None:
    write_dat("test/spike/200_part1_key_id151.dat", 150)
    source = read_reds(tmp_path)
    assert not source.recordings
    assert not source.samples
    assert "key id 151 is not one of the 150 frames" in reasons(source)["test/spike/200_part1_key_id151.dat"]


def test_bad_files_are_listed_with_reasons_and_stop_no_other(tmp_path: Path, write_dat: Write) -> None:
    write_dat("classA/good.dat", 41)
    write_dat("classA/empty.dat", 0)
    truncated = write_dat("classA/truncated.dat", 41)
    os.truncate(truncated, truncated.stat().st_size - 1)
    (tmp_path / "classA/folder.dat").mkdir()
    (tmp_path / "classA/dangling.dat").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "classA/pipe.dat")
    source = read_folder("recvidar2019", load_catalog()["recvidar2019"], tmp_path)
    assert keys(source) == ["recvidar2019/classA/good/000020"]
    found = reasons(source)
    bad = ("dangling", "empty", "folder", "pipe", "truncated")
    assert found.keys() == {f"classA/{name}.dat" for name in bad}
    assert "empty" in found["classA/empty.dat"]
    assert "more" in found["classA/truncated.dat"]
    assert "directory" in found["classA/folder.dat"]
    assert "No such file" in found["classA/dangling.dat"]
    assert str(tmp_path) not in "".join(found.values())


def test_file_that_may_not_be_read_is_listed(
    tmp_path: Path, write_dat: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dat("a.dat", 41)
    locked = write_dat("b.dat", 41)

    def refuse(path: Path, *_: object) -> None:
        raise RecordingError(f"`{path}`: Permission denied")

    monkeypatch.setattr(os, "access", lambda path, mode: path != locked)
    monkeypatch.setattr(source_module, "open_recording", refuse)
    source = read_folder("mine", SourceSettings(), tmp_path)
    assert [item.name for item in source.recordings] == ["a.dat"]
    assert reasons(source) == {"b.dat": "Permission denied"}


def test_good_headerless_files_are_not_opened(
    tmp_path: Path, write_dat: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dat("a.dat", 41)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("opened")

    monkeypatch.setattr(source_module, "open_recording", refuse)
    assert len(read_folder("mine", SourceSettings(), tmp_path).recordings) == 1


def test_damaged_archives_are_listed(tmp_path: Path, write_npz: Write) -> None:
    whole = write_npz("good.npz").read_bytes()
    for size in (0, 1, 30, len(whole) // 2, len(whole) - 1):
        (tmp_path / f"cut{size}.npz").write_bytes(whole[:size])
    np.savez(tmp_path / "flat.npz", spk=np.ones((3, 4), np.uint8))
    np.savez(tmp_path / "other.npz", a=np.ones(3), b=np.ones(3))
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "text.h5").write_text("no HDF5")
    source = read_folder("mine", SourceSettings(), tmp_path)
    assert [item.name for item in source.recordings] == ["good.npz"]
    assert len(source.rejected) == 9


def test_geometry_is_the_one_of_most_files_and_a_stray_file_stops_no_other(
    tmp_path: Path, write_npz: Write
) -> None:
    (tmp_path / "a.npz").write_bytes(b"")
    write_npz("b-stray.npz", (9, 8, 6))
    write_npz("c.npz", (9, 6, 8))
    write_npz("d.npz", (5, 6, 8))
    source = read_folder("mine", SourceSettings(), tmp_path)
    assert source.geometry == (6, 8)
    assert [item.name for item in source.recordings] == ["c.npz", "d.npz"]
    assert reasons(source)["b-stray.npz"] == (
        "its frames are 8x6, but those of its source `mine` are 6x8: "
        'recordings of another camera need a folder of their own, with `axes = "TWH"` in its `source.toml`'
    )


def test_of_equally_many_the_first_file_decides_on_the_geometry(tmp_path: Path, write_npz: Write) -> None:
    write_npz("b.npz", (9, 6, 8))
    write_npz("c.npz", (9, 8, 6))
    assert read_folder("mine", SourceSettings(), tmp_path).geometry == (6, 8)


def test_recordings_are_read_as_their_source_describes_the_camera(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(250 * 416 // 8 * 7))
    (tmp_path / "b.bin").write_bytes(bytes(250 * 416 // 8 * 7 + 1))
    source = read_folder("mine", SourceSettings(camera=Camera(preset="vidar-416")), tmp_path)
    assert source.geometry == (250, 400)
    assert source.recordings[0].open().shape == (7, 250, 400)
    assert "250x416" in reasons(source)["b.bin"]
    part = SourceSettings(camera=Camera(preset="vidar-416", region=(0, 0, 64, 80), frame_range=(1, 5)))
    source = read_folder("mine", part, tmp_path)
    assert source.geometry == (64, 80)
    assert source.recordings[0].open().shape == (4, 64, 80) == (source.recordings[0].frames, 64, 80)


@pytest.mark.parametrize("label", ["dog", np.array([1]), np.array(["dog"]), np.array(1.0)])
def test_labels_of_any_form_are_indices_into_the_list(tmp_path: Path, label: Any) -> None:
    np.savez(tmp_path / "a.npz", spk=np.ones((9, 6, 8), np.uint8), label=label)
    (recording,) = read_folder("mine", SourceSettings(labels=("cat", "dog")), tmp_path).recordings
    assert recording.label == 1


@pytest.mark.parametrize("label", ["dog", np.array(["dog"]), np.array([1, 2]), np.array(0.5)])
def test_labels_cost_no_recording_where_none_is_needed(tmp_path: Path, label: Any) -> None:
    np.savez(tmp_path / "a.npz", spk=np.ones((9, 6, 8), np.uint8), label=label)
    (recording,) = read_folder("mine", SourceSettings(), tmp_path).recordings
    assert recording.label is None


def test_a_name_that_is_not_in_the_list_makes_a_recording_unusable(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", spk=np.ones((9, 6, 8), np.uint8), label="cow")
    source = read_folder("mine", SourceSettings(labels=("cat", "dog")), tmp_path)
    assert reasons(source) == {"a.npz": "its label cow is not one of the 2 labels"}


def test_geometry_that_was_told_is_that_of_the_source(tmp_path: Path, write_npz: Write) -> None:
    write_npz("b.npz", (9, 6, 8))
    write_npz("d.npz", (9, 8, 6))
    source = read_folder("mine", SourceSettings(geometry=(8, 6)), tmp_path)
    assert [item.name for item in source.recordings] == ["d.npz"]


def test_geometry_of_headerless_files_can_be_told(tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_bytes(bytes(4 * 8 // 8 * 5))
    source = read_folder("mine", SourceSettings(geometry=(4, 8)), tmp_path)
    assert source.recordings[0].open().shape == (5, 4, 8)


def test_geometry_that_fills_no_bytes_is_refused_for_headerless_files(tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_bytes(bytes(16))
    source = read_folder("mine", SourceSettings(geometry=(3, 5)), tmp_path)
    assert "15 bits" in reasons(source)["a.dat"]


def test_axes_can_be_told(tmp_path: Path, write_npz: Write) -> None:
    write_npz("a.npz", (6, 8, 50))
    source = read_folder("mine", SourceSettings(axes="HWT"), tmp_path)
    assert source.geometry == (6, 8)
    assert source.recordings[0].open().shape == (50, 6, 8)


def test_one_stream_in_two_formats_is_taken_once(tmp_path: Path, write_npz: Write, write_dat: Write) -> None:
    write_dat("a.dat", 41)
    write_npz("a.npz", (41, 250, 400))
    source = read_folder("mine", SourceSettings(), tmp_path)
    assert [item.name for item in source.recordings] == ["a.dat"]
    assert "already belongs to `a.dat`" in reasons(source)["a.npz"]


def test_motvidar_takes_the_streams_of_its_scenes(tmp_path: Path, write_dat: Write) -> None:
    write_dat("spike59/spikes.dat", 41)
    write_dat("spike59/results.dat", 41)
    write_dat("spike59/spikes_gt.txt", 0)
    source = read_folder("motvidar2020", load_catalog()["motvidar2020"], tmp_path)
    assert keys(source) == ["motvidar2020/spike59/spikes/000020"]
    assert source.rejected == ()


def test_momvidar_takes_recordings_at_any_depth(tmp_path: Path, write_dat: Write) -> None:
    write_dat("data/Apple_1.dat", 41)
    write_dat("Clock_2.dat", 41)
    source = read_folder("momvidar2021", load_catalog()["momvidar2021"], tmp_path)
    assert keys(source) == ["momvidar2021/Clock_2/000020", "momvidar2021/data/Apple_1/000020"]


def test_flat_u_caltech_is_split_and_ordered_by_number(tmp_path: Path, write_npz: Write) -> None:
    for name in ("accordion_04999", "1000", "helicopter_00002", "5000", "zebra_05999", "6000"):
        write_npz(f"{name}.npz", label=47)
    source = read_folder("u-caltech", load_catalog()["u-caltech"], tmp_path)
    assert [(item.name, item.split) for item in source.recordings] == [
        ("helicopter_00002.npz", "train"),
        ("1000.npz", "train"),
        ("accordion_04999.npz", "train"),
        ("5000.npz", "test"),
        ("zebra_05999.npz", "test"),
    ]
    assert reasons(source).keys() == {"6000.npz"}


def test_u_cifar_in_folders_takes_the_folders_as_splits(tmp_path: Path, write_npz: Write) -> None:
    for name in ("train/10", "train/9", "test/11"):
        write_npz(f"{name}.npz", (200, 6, 8), label=9)
    source = read_folder("u-cifar", load_catalog()["u-cifar"], tmp_path)
    assert [(s.key, s.centre, s.recording.split, s.recording.label) for s in source.samples] == [
        ("u-cifar/train/9", 100, "train", 9),
        ("u-cifar/train/10", 100, "train", 9),
        ("u-cifar/test/11", 100, "test", 9),
    ]


@pytest.mark.parametrize("label", [-1, 10])
def test_label_outside_the_list_makes_a_recording_unusable(
    tmp_path: Path, write_npz: Write, label: int
) -> None:
    write_npz("train/1.npz", label=label)
    source = read_folder("u-cifar", load_catalog()["u-cifar"], tmp_path)
    assert reasons(source) == {"train/1.npz": f"its label {label} is not one of the 10 labels"}


def test_size_is_that_of_the_usable_recordings(tmp_path: Path, write_dat: Write) -> None:
    sizes = [write_dat(f"{name}.dat", frames).stat().st_size for name, frames in (("a", 2), ("b", 3))]
    write_dat("c.dat", 0)
    assert read_folder("mine", SourceSettings(), tmp_path).size == sum(sizes)


@pytest.mark.real
def test_real_reds_has_thirteen_samples_with_ground_truth(data_root: Path) -> None:
    source = read_reds(data_root / "spike-reds")
    assert keys(source) == [
        "reds/200_part1_key_id151",
        "reds/200_part3_key_id151",
        "reds/203_part1_key_id151",
        *(f"reds/{part}_key_id{key}" for part in ("000_part1", "160_part1") for key in (7, 14, 21, 28, 35)),
    ]
    assert all(source.truth(sample) is not None for sample in source.samples)
    assert source.rejected == ()


@pytest.mark.real
def test_real_recvidar_has_four_samples(data_root: Path) -> None:
    source = read_folder("recvidar2019", load_catalog()["recvidar2019"], data_root / "recvidar2019")
    assert keys(source) == [f"recvidar2019/classA/car-100kmh/000{c:03}" for c in (20, 61, 102, 143)]


@pytest.mark.real
def test_real_u_caltech_has_one_labelled_sample(data_root: Path) -> None:
    source = read_folder("u-caltech", load_catalog()["u-caltech"], data_root / "u-caltech")
    (sample,) = source.samples
    assert (sample.key, sample.centre, source.geometry) == ("u-caltech/helicopter_04144", 100, (250, 250))
    assert source.entry.labels[sample.recording.label or 0] == "helicopter"
