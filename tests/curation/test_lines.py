"""A file that several append to: whole lines only, and none is lost."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hqgen.curation.lines import Lines
from hqgen.errors import StoreError


def append(lines: Lines, *texts: bytes) -> list[bytes]:
    """Append lines; gives those that were news."""
    with lines.alone() as (news, file):
        lines.append(file, list(texts))
    return news.lines


def test_each_reader_gets_every_line_once(tmp_path: Path) -> None:
    one, other = Lines(tmp_path / "file"), Lines(tmp_path / "file")
    assert one.news() == ([], True)
    append(one, b"first", b"second")
    assert one.news() == ([], False)
    assert append(other, b"third") == [b"first", b"second"]
    assert one.news() == ([b"third"], False)
    assert (tmp_path / "file").read_bytes() == b"first\nsecond\nthird\n"


@pytest.mark.parametrize("torn", [b"thi", b'{"a": 1}', b"\x00\x00\x00"])
def test_a_torn_line_is_left_out_with_a_note_and_eats_no_other(
    tmp_path: Path, torn: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"first\nsecond\n" + torn)
    lines = Lines(path)
    with caplog.at_level(logging.WARNING):
        assert lines.news() == ([b"first", b"second"], True)
        assert lines.news() == ([], False)
    assert [record.getMessage() for record in caplog.records] == [
        f"`{path}`: the last line ({len(torn)} B) was cut off and is left out"
    ]
    append(lines, b"fourth")
    assert path.read_bytes() == b"first\nsecond\nfourth\n"


def test_every_cut_of_a_file_gives_its_whole_lines(tmp_path: Path) -> None:
    path, data = tmp_path / "file", b"first\nsecond\nthird\n"
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        assert Lines(path).news().lines == data[:cut].split(b"\n")[:-1]


def test_another_file_in_its_place_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "file"
    lines = Lines(path)
    append(lines, b"header 1", b"a")
    path.write_bytes(b"header 2\nb\nc\n")
    assert lines.news() == ([b"header 2", b"b", b"c"], True)
    path.unlink()
    assert lines.news() == ([], True)
    append(lines, b"header 3")
    assert path.read_bytes() == b"header 3\n"


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Lines(tmp_path / "file")
    append(lines, b"first")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="cannot be written: No space left on device"):
            append(lines, b"second")
    assert (tmp_path / "file").read_bytes() == b"first\n"
    append(lines, b"third")
    assert (tmp_path / "file").read_bytes() == b"first\nthird\n"


def test_a_place_where_nothing_can_be_written_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    lines = Lines(tmp_path / "gone" / "file")
    with pytest.raises(StoreError, match="cannot be written") as caught, lines.alone():
        pass
    assert "copy the store" in caught.value.hint
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        Lines(tmp_path / "folder").news()


APPENDER = """
import sys
from pathlib import Path
from hqgen.curation.lines import Lines

lines = Lines(Path(sys.argv[1]))
for number in range(100):
    with lines.alone() as (_, file):
        lines.append(file, [f"{sys.argv[2]} {number} ".encode() + b"x" * number])
"""


def test_processes_that_append_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    started = [
        subprocess.Popen([sys.executable, "-c", APPENDER, str(path), name], env=os.environ)
        for name in ("a", "b", "c")
    ]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    lines = [line.split() for line in path.read_text().splitlines()]
    for name in ("a", "b", "c"):
        found = [(int(n), len(rest[0]) if rest else 0) for who, n, *rest in lines if who == name]
        assert found == [(number, number) for number in range(100)]
    assert len(lines) == 300
