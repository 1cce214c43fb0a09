"""Downloads from a server on this machine: whole, resumed, tried again, refused."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

from hqgen.download import PAUSES, PIECE, RemoteFile, download, git_sha1, is_offline
from hqgen.errors import DownloadError
from hqgen.progress import LineObserver
from tests.web import Fault, Web

CONTENT = bytes(range(256)) * 2000
CUT = 18 * PIECE


@pytest.fixture
def web(server: Web) -> Web:
    server.files, server.faults, server.asked = {}, {}, []
    server.tagged = server.ranges = True
    return server


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HQGEN_OFFLINE", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "a.pth"


def get(address: str, target: Path, **known: object) -> list[float]:
    """Download without waiting; returns the pauses."""
    pauses: list[float] = []
    download(RemoteFile(address=address, **known), target, pause=pauses.append)  # type: ignore[arg-type]
    return pauses


def left(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir()}


def cut_after(target: Path, address: str, count: int, web: Web) -> None:
    """What is left after a download whose every try ended after `count` bytes."""
    path = address.removeprefix(web.address)
    web.faults[path] = [Fault(cut=count), *[Fault(status=503)] * len(PAUSES)]
    with pytest.raises(DownloadError, match=r"503.*"):
        get(address, target)
    assert target.with_name("a.pth.part").stat().st_size == count
    web.asked.clear()


def test_a_file_arrives_whole_in_its_place_with_progress(web: Web, target: Path) -> None:
    told = StringIO()
    remote = RemoteFile(
        address=web.put("/a.pth", CONTENT),
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
    download(remote, target, observer=LineObserver(Console(file=told, width=200)))
    assert target.read_bytes() == CONTENT
    assert left(target) == {"a.pth"}
    assert "downloading a.pth: 512.0 kB of 512.0 kB" in told.getvalue()


def test_a_redirect_is_followed(web: Web, target: Path) -> None:
    final = web.put("/there.bin", CONTENT)
    address = web.put("/a.pth", b"-", Fault(status=302, headers=(("Location", final),)))
    get(address, target)
    assert target.read_bytes() == CONTENT


def test_a_download_that_breaks_off_is_continued_in_the_same_run(web: Web, target: Path) -> None:
    address = web.put("/a.pth", CONTENT, Fault(cut=CUT), Fault(cut=PIECE))
    assert get(address, target) == list(PAUSES[:2])
    assert target.read_bytes() == CONTENT
    assert [part for _, part in web.asked] == [None, f"bytes={CUT}-", f"bytes={CUT + PIECE}-"]


def test_the_next_run_downloads_only_what_is_missing(web: Web, target: Path) -> None:
    address = web.put("/a.pth", CONTENT)
    cut_after(target, address, CUT, web)
    get(address, target)
    assert target.read_bytes() == CONTENT
    assert [part for _, part in web.asked] == [f"bytes={CUT}-"]
    assert left(target) == {"a.pth"}


def test_a_file_that_has_changed_since_then_is_downloaded_from_its_beginning(web: Web, target: Path) -> None:
    address = web.put("/a.pth", CONTENT)
    cut_after(target, address, CUT, web)
    web.files["/a.pth"] = CONTENT[::-1]
    get(address, target)
    assert target.read_bytes() == CONTENT[::-1]


def test_a_part_of_another_address_is_not_continued(web: Web, target: Path) -> None:
    cut_after(target, web.put("/a.pth", CONTENT), CUT, web)
    get(web.put("/b.pth", CONTENT[::-1]), target)
    assert target.read_bytes() == CONTENT[::-1]


def test_a_server_that_sends_no_parts_sends_all_again(web: Web, target: Path) -> None:
    web.ranges = False
    get(web.put("/a.pth", CONTENT, Fault(cut=CUT)), target)
    assert target.read_bytes() == CONTENT


def test_without_a_version_a_part_is_continued_only_if_a_digest_is_known(web: Web, target: Path) -> None:
    web.tagged = False
    address = web.put("/a.pth", CONTENT, Fault(cut=CUT))
    get(address, target)
    assert [part for _, part in web.asked] == [None, None]
    web.put("/a.pth", CONTENT, Fault(cut=CUT))
    get(address, target, sha256=hashlib.sha256(CONTENT).hexdigest())
    assert web.asked[-1] == ("/a.pth", f"bytes={CUT}-")
    assert target.read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_only_moved(web: Web, target: Path) -> None:
    address = web.put("/a.pth", CONTENT)
    cut_after(target, address, CUT, web)
    target.with_name("a.pth.part").write_bytes(CONTENT)
    get(address, target)
    assert target.read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_thrown_away(web: Web, target: Path) -> None:
    address = web.put("/a.pth", CONTENT)
    cut_after(target, address, CUT, web)
    target.with_name("a.pth.part").write_bytes(CONTENT + b"more")
    get(address, target)
    assert target.read_bytes() == CONTENT


def test_a_busy_server_is_asked_again_when_it_says(web: Web, target: Path) -> None:
    busy = [Fault(status=429, headers=(("Retry-After", "7"),)), Fault(status=503)]
    assert get(web.put("/a.pth", CONTENT, *busy), target) == [7, PAUSES[1]]


def test_a_server_that_is_busy_for_long_or_again_and_again_is_given_up(web: Web, target: Path) -> None:
    address = web.put("/a.pth", CONTENT, Fault(status=429, headers=(("Retry-After", "7200"),)))
    with pytest.raises(DownloadError, match="answers 429 Too Many Requests; it asks to wait 2 h"):
        get(address, target)
    web.put("/a.pth", CONTENT, *[Fault(status=500)] * 9)
    with pytest.raises(DownloadError, match="answers 500"):
        get(address, target)
    assert len(web.asked) == 1 + 1 + len(PAUSES)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_not_asked_again(web: Web, target: Path, status: int) -> None:
    with pytest.raises(DownloadError, match=f"answers {status}"):
        get(web.put("/a.pth", CONTENT, Fault(status=status)), target)
    assert len(web.asked) == 1
    assert not target.exists()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(body=b"<p>Sign in</p>", headers=(("Content-Type", "text/html; charset=utf-8"),)),
        Fault(body=b"\n<!DOCTYPE html><title>Quota</title>"),
    ],
)
def test_a_web_page_instead_of_the_file_is_an_error(web: Web, target: Path, fault: Fault) -> None:
    with pytest.raises(DownloadError, match="answers with a web page"):
        get(web.put("/a.pth", CONTENT, fault), target)
    assert not target.exists()


@pytest.mark.parametrize(
    ("name", "value"), [("size", 3), ("sha256", "0" * 64), ("git_sha1", "0" * 40)], ids=str
)
def test_a_file_of_another_size_or_digest_is_thrown_away(
    web: Web, target: Path, name: str, value: object
) -> None:
    target.parent.mkdir()
    target.write_text("older")
    with pytest.raises(DownloadError, match=f"not the expected file: its {name} is .*, not {value}"):
        get(web.put("/a.pth", CONTENT), target, **{name: value})
    assert target.read_text() == "older"
    assert left(target) == {"a.pth"}


def test_the_digest_of_git_is_that_of_git(tmp_path: Path) -> None:
    (tmp_path / "hello").write_text("hello\n")
    assert git_sha1(tmp_path / "hello") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_a_file_of_the_expected_size_and_digests_is_taken(web: Web, target: Path) -> None:
    sha256 = hashlib.sha256(b"hello\n").hexdigest()
    named = {"sha256": sha256, "git_sha1": "ce013625030ba8dba906f756967f9e9ca394464a"}
    get(web.put("/a.pth", b"hello\n"), target, size=6, **named)
    assert target.read_text() == "hello\n"


def test_no_server_no_name_and_no_room_are_one_line_each(tmp_path: Path, target: Path, web: Web) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DownloadError, match="the connection was refused"):
        get(f"http://127.0.0.1:{port}/a.pth", target)
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match="cannot write"):
        get(web.put("/a.pth", CONTENT), tmp_path / "file" / "a.pth")


@pytest.mark.parametrize("name", ["HQGEN_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_no_socket_is_opened(
    web: Web, target: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setenv(name, "1")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert is_offline()
    with pytest.raises(DownloadError, match=r"a\.pth` must be downloaded, which `--offline` forbids"):
        get(web.put("/a.pth", CONTENT), target)
    monkeypatch.setenv(name, "0")
    assert not is_offline()


@pytest.mark.parametrize(
    "fields", [{"address": "ftp://a/b"}, {"address": "https://a/b c"}, {"sha256": "A" * 64}, {"size": 0}]
)
def test_a_description_that_makes_no_sense_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RemoteFile.model_validate({"address": "https://example.org/a"} | fields)


class FullDisk:
    """A file on a disk with room for so many more bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def __enter__(self) -> FullDisk:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def tell(self) -> int:
        return int(self.file.tell())

    def write(self, piece: bytes) -> None:
        self.room -= len(piece)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.file.write(piece)


def test_a_full_disk_ends_the_download_and_the_next_one_continues(
    web: Web, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, usual = web.put("/a.pth", CONTENT), Path.open

    def opened(path: Path, *mode: Any, **how: Any) -> Any:
        file = usual(path, *mode, **how)
        return FullDisk(file, CUT) if path.suffix == ".part" and mode == ("wb",) else file

    with monkeypatch.context() as full:
        full.setattr(Path, "open", opened)
        with pytest.raises(DownloadError, match=os.strerror(errno.ENOSPC)) as caught:
            get(address, target)
    assert "make room" in caught.value.hint
    assert left(target) == {"a.pth.part", "a.pth.part.tag"}
    assert len(web.asked) == 1  # a full disk is not a fault of the server: no other try
    web.asked.clear()
    assert get(address, target) == []
    assert target.read_bytes() == CONTENT
    assert web.asked == [("/a.pth", f"bytes={CUT}-")]
