from __future__ import annotations

from pathlib import Path

import pytest

from hqgen.files import write_atomically


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
