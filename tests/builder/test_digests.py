from __future__ import annotations

import os
from pathlib import Path

import pytest
from blake3 import blake3

from hqgen.builder.digests import digest_recordings, remembered_digests
from hqgen.sources.recordings import DemoRecording, FileRecording, SourceRecording


def recording(folder: Path, name: str) -> FileRecording:
    size = (folder / name).stat().st_size if (folder / name).exists() else 0
    return FileRecording(folder, name, None, None, 1, size, (2, 4))


@pytest.fixture
def files(tmp_path: Path) -> list[SourceRecording]:
    for number in range(3):
        (tmp_path / f"{number}.dat").write_bytes(bytes([number]))
    return [recording(tmp_path, f"{number}.dat") for number in range(3)]


def test_digests_are_those_of_the_bytes(files: list[SourceRecording], tmp_path: Path) -> None:
    seen: list[int] = []
    digests, failed = digest_recordings(files, tmp_path / "cache.json", advance=seen.append)
    assert [digests[file] for file in files] == [blake3(bytes([n])).hexdigest() for n in range(3)]
    assert not failed
    assert seen == [1, 1, 1]


def test_a_file_that_has_not_changed_is_not_read_again(
    files: list[SourceRecording], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache.json"
    first, _ = digest_recordings(files, cache, advance=lambda size: None)
    (tmp_path / "1.dat").write_bytes(b"!")
    os.utime(tmp_path / "1.dat", ns=(0, 0))
    read: list[str] = []
    digest = FileRecording.digest

    def count(self: FileRecording) -> str:
        read.append(self.name)
        return digest(self)

    monkeypatch.setattr(FileRecording, "digest", count)
    second, _ = digest_recordings(files, cache, advance=lambda size: None)
    assert read == ["1.dat"]
    assert second[files[1]] != first[files[1]]
    assert remembered_digests(files, cache) == second


def test_a_file_that_cannot_be_read_has_a_reason_and_stops_no_other(
    files: list[SourceRecording], tmp_path: Path
) -> None:
    (tmp_path / "1.dat").unlink()
    digests, failed = digest_recordings(files, tmp_path / "cache.json", advance=lambda size: None)
    assert set(digests) == {files[0], files[2]}
    assert "No such file" in failed[files[1]]
    assert remembered_digests(files, tmp_path / "cache.json") is None


@pytest.mark.parametrize("content", ["", "[]", '{"a": 3}', '{"a": [1, 2]}'])
def test_a_damaged_cache_is_said_and_made_anew(
    files: list[SourceRecording], tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = tmp_path / "cache.json"
    cache.write_text(content)
    digests, _ = digest_recordings(files, cache, advance=lambda size: None)
    assert len(digests) == 3
    assert "cannot be read" in caplog.text
    assert remembered_digests(files, cache) == digests


def test_recordings_without_files_are_digested_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DemoRecording, "digest", lambda self: "d")
    demo = DemoRecording("scene", 1, 1)
    digests, _ = digest_recordings([demo], tmp_path / "cache.json", advance=lambda size: None)
    assert digests == {demo: "d"} == remembered_digests([demo], tmp_path / "cache.json")
