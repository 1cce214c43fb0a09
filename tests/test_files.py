from __future__ import annotations

import os
from pathlib import Path

import pytest

from hqgen.errors import StoreError
from hqgen.files import blake3_bytes, blake3_file, held, make_way, sha256_file, write_atomically


def test_what_breaks_half_way_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a" / "document.json"
    write_atomically(path, ["old"])

    def breaks() -> object:
        yield "new"
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        write_atomically(path, breaks())  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert [item.name for item in path.parent.iterdir()] == ["document.json"]


@pytest.mark.parametrize("content", [b"a\xc3\xa9", "a\u00e9", ["a", "\u00e9"]])
def test_bytes_text_and_pieces_of_text(tmp_path: Path, content: bytes | str | list[str]) -> None:
    write_atomically(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == b"a\xc3\xa9"


def test_a_digest_is_that_of_b3sum_however_it_is_read(tmp_path: Path) -> None:
    """Expected: the first test vectors of the BLAKE3 specification, inputs of length 0 and 1."""
    file = tmp_path / "file"
    for content, begin in [(b"", "af1349b9f5f9a1a6"), (b"\0", "2d3adedff11b61f1")]:
        file.write_bytes(content)
        assert blake3_bytes(content).startswith(begin)
        assert blake3_file(file) == blake3_bytes(content)
    long = bytes(range(256)) * 10_000  # more than two pieces
    file.write_bytes(long)
    assert blake3_file(file) == blake3_bytes(long)


def test_a_sha256_is_that_of_sha256sum_and_follows_the_file(tmp_path: Path) -> None:
    """Expected: the SHA-256 of nothing and of `abc`, as FIPS 180-2 gives them."""
    for content, begin in [(b"", "e3b0c44298fc1c14"), (b"abc", "ba7816bf8f01cfea")]:
        (tmp_path / "file").write_bytes(content)
        assert sha256_file(tmp_path / "file").startswith(begin)


def test_a_held_place_is_named_with_its_holder_and_free_afterwards(tmp_path: Path) -> None:
    lock = tmp_path / "folder" / "lock"
    with (
        held(lock, tmp_path, "build", StoreError),
        pytest.raises(
            StoreError, match=rf"another build is writing to `{tmp_path}` \(process {os.getpid()} on"
        ),
        held(lock, tmp_path, "build", StoreError),
    ):
        pass
    with held(lock, tmp_path, "build", StoreError):
        pass
    (tmp_path / "file").touch()
    with (
        pytest.raises(StoreError, match="cannot be written"),
        held(tmp_path / "file/lock", tmp_path, "build", StoreError),
    ):
        pass


def test_the_way_is_made_inside_a_folder_of_ours_only(tmp_path: Path) -> None:
    ours, file = tmp_path / "ours", tmp_path / "ours/a/b/file"
    file.mkdir(parents=True)
    make_way(file, within=ours)
    assert not file.exists()
    (ours / "a/b").rmdir()
    (ours / "a/b").touch()
    make_way(file, within=ours)
    assert not (ours / "a/b").exists()
    (tmp_path / "other").touch()
    with pytest.raises(ValueError, match="not in the subpath"):
        make_way(tmp_path / "other/file", within=ours)
    assert (tmp_path / "other").exists()


def test_a_folder_with_content_is_not_in_the_way_but_an_error(tmp_path: Path) -> None:
    (tmp_path / "file/inside").mkdir(parents=True)
    with pytest.raises(OSError, match="not empty"):
        make_way(tmp_path / "file", within=tmp_path)
