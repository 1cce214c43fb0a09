from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3

from hqgen.errors import RecordingError
from hqgen.sources.catalog import SourceSettings, load_catalog
from hqgen.sources.recordings import FileRecording
from hqgen.sources.source import read_demo, read_folder
from hqgen.sources.truth import DemoTruth


def only_recording(folder: Path) -> FileRecording:
    (recording,) = read_folder("mine", SourceSettings(), folder).recordings
    assert isinstance(recording, FileRecording)
    return recording


def test_file_recording_opens_to_its_shape(tmp_path: Path, write_dat: Callable[[str, int], Path]) -> None:
    write_dat("a/b.dat", 43)
    recording = only_recording(tmp_path)
    assert recording.path == tmp_path / "a" / "b.dat"
    assert recording.open().shape == (recording.frames, *recording.geometry) == (43, 250, 400)


def test_digest_is_that_of_the_files_bytes(tmp_path: Path) -> None:
    content = bytes(range(250)) * 100
    (tmp_path / "a.dat").write_bytes(content)
    recording = only_recording(tmp_path)
    assert recording.digest() == blake3(content).hexdigest()
    assert recording.size == len(content)


@pytest.mark.parametrize("act", [FileRecording.open, FileRecording.digest])
def test_file_that_is_gone_is_an_error(
    tmp_path: Path, write_dat: Callable[[str, int], Path], act: Callable[[FileRecording], object]
) -> None:
    path = write_dat("a.dat", 2)
    recording = only_recording(tmp_path)
    path.unlink()
    with pytest.raises(RecordingError, match=r"a\.dat"):
        act(recording)


def test_file_that_became_longer_is_an_error(tmp_path: Path, write_dat: Callable[[str, int], Path]) -> None:
    write_dat("a.dat", 2)
    recording = only_recording(tmp_path)
    write_dat("a.dat", 3)
    with pytest.raises(RecordingError, match="has 3 frames, but had 2"):
        recording.open()


def test_file_recording_survives_pickling(tmp_path: Path, write_dat: Callable[[str, int], Path]) -> None:
    write_dat("a.dat", 2)
    recording = only_recording(tmp_path)
    assert pickle.loads(pickle.dumps(recording)) == recording


def test_demo_goes_through_the_same_mechanism() -> None:
    source = read_demo(load_catalog()["demo"])
    recording = pickle.loads(pickle.dumps(source.recordings[0]))
    opened = recording.open()
    assert opened.shape == (61, 250, 400) == (recording.frames, *source.geometry)
    assert recording.size == opened.spikes().data.nbytes
    assert recording.digest() == source.recordings[0].digest()
    assert len({recording.digest() for recording in source.recordings}) == len(source.recordings)


def test_demo_has_one_sample_a_scene_at_its_centre() -> None:
    source = read_demo(load_catalog()["demo"])
    assert {sample.centre for sample in source.samples} == {30}
    assert [sample.key for sample in source.samples] == [f"demo/{item.name}" for item in source.recordings]
    assert all(source.truth(sample) == DemoTruth(sample.recording.name) for sample in source.samples)
