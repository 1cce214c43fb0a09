from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hqgen.errors import RecordingError, SourceError, UsageError
from hqgen.progress import SILENT
from hqgen.spikes.camera import Camera
from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.recording import ArrayRecording, write_dat
from hqgen.training.crops import Crops, Found, find_recordings
from tests.builder.small import Recorder
from tests.spikes.test_formats import write_counter


def random_spikes(frames: int, height: int, width: int, rate: float = 0.3, seed: int = 0) -> PackedSpikes:
    return PackedSpikes.pack(np.random.default_rng(seed).random((frames, height, width)) < rate)


def write(path: Path, spikes: PackedSpikes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, spk=spikes.frames())


def find(path: Path, observer: Recorder | None = None) -> Found:
    camera = Camera(height=16, width=24)
    return find_recordings(path, camera=camera, frames=9, patch=16, observer=observer or SILENT)


def test_recordings_of_all_formats_and_sizes_are_found_in_subfolders(tmp_path: Path) -> None:
    write(tmp_path / "b" / "one.npz", random_spikes(12, 20, 30, 0.2))
    write_dat(tmp_path / "a.dat", random_spikes(9, 16, 24, 0.4))
    np.save(tmp_path / "c.npy", random_spikes(10, 16, 17, 0.3).frames())
    (tmp_path / "notes.txt").write_text("no recording")
    found = find(tmp_path)
    assert [recording.shape for recording in found.recordings] == [(9, 16, 24), (12, 20, 30), (10, 16, 17)]
    assert list(found.digests) == ["a.dat", "b/one.npz", "c.npy"]
    assert found.rate == pytest.approx(0.3, abs=0.02)


def test_a_single_file_is_a_set_of_one(tmp_path: Path) -> None:
    write(tmp_path / "one.npz", random_spikes(12, 20, 30))
    assert list(find(tmp_path / "one.npz").digests) == ["one.npz"]


def test_what_teaches_nothing_is_left_out_and_told(tmp_path: Path) -> None:
    write(tmp_path / "dark.npz", random_spikes(12, 20, 30, 0))
    write(tmp_path / "good.npz", random_spikes(12, 20, 30))
    write(tmp_path / "short.npz", random_spikes(8, 20, 30))
    write(tmp_path / "small.npz", random_spikes(12, 15, 30))
    seen = Recorder()
    assert list(find(tmp_path, seen).digests) == ["good.npz"]
    told = " ".join(seen.notes)
    for part in ("it has no spikes", "it has 8 frames, and 9 are needed", "15x30, and 16x16 pixels"):
        assert part in told


@pytest.mark.parametrize("rate", [0, 1])
def test_saturated_recordings_are_used_and_dark_ones_are_not(rate: float, tmp_path: Path) -> None:
    write(tmp_path / "one.npz", random_spikes(12, 20, 30, rate))
    if rate:
        assert find(tmp_path).rate == 1
    else:
        with pytest.raises(SourceError, match=r"none of the 1 recordings .* can be used; .* has no spikes"):
            find(tmp_path)


def test_a_folder_without_recordings_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(SourceError, match="there are no recordings in"):
            find(path)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 cut off"])
def test_a_damaged_recording_is_named(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(data)
    with pytest.raises(RecordingError, match=r"broken\.npz"):
        find(tmp_path)


def test_a_misread_recording_is_refused_with_the_flag_that_helps(tmp_path: Path) -> None:
    write_counter(tmp_path / "counter.dat")
    with pytest.raises(UsageError, match=r"counter\.dat` is not read as it was .*--camera vidar-416"):
        find_recordings(tmp_path, camera=Camera(), frames=41, patch=16, observer=SILENT)


def test_batches_depend_on_seed_and_number_only_and_hold_spikes() -> None:
    recordings = [ArrayRecording(random_spikes(9, 20, 30)), ArrayRecording(random_spikes(30, 33, 16))]
    crops = Crops(list(recordings), 9, 0)
    batch = crops.batch(3, 2, 3, 16)
    assert batch.shape == (6, 9, 16, 16)
    assert set(np.unique(batch)) == {0, 1}
    np.testing.assert_array_equal(batch, crops.batch(3, 2, 3, 16))
    assert (batch != crops.batch(4, 2, 3, 16)).any()
    assert (batch != Crops(list(recordings), 9, 1).batch(3, 2, 3, 16)).any()
