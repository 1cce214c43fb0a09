from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, load_file, save_file

from hqgen.checkpoints import read_checkpoint, read_meta, write_checkpoint
from hqgen.errors import MethodError
from hqgen.safetensors_file import encode_safetensors, is_safetensors

Plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=6).filter(lambda name: name != "state_dict"), Plain, max_size=4))
def test_what_is_known_beside_the_tensors_comes_back(
    tmp_path_factory: pytest.TempPathFactory, known: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("checkpoint") / "a.safetensors"
    write_checkpoint(path, {"meta": known, "state_dict": {"w": torch.arange(6.0).reshape(2, 3).T}})
    assert read_meta(path) == known
    assert torch.equal(read_checkpoint(path)["w"], torch.arange(6.0).reshape(2, 3).T)
    assert torch.equal(load_file(path)["w"], torch.arange(6.0).reshape(2, 3).T)


def test_equal_content_gives_equal_bytes_in_the_form_of_the_library() -> None:
    content = {"name": "é", "state_dict": {"b": torch.ones(3), "a": torch.zeros(2, dtype=torch.int64)}}
    every = {encode_safetensors(content) for _ in range(20)}
    assert len(every) == 1
    (data,) = every
    assert int.from_bytes(data[:8], "little") % 8 == 0
    assert load(data)["a"].dtype == torch.int64


def test_a_file_of_another_program_has_tensors_and_no_meta(tmp_path: Path) -> None:
    save_file(
        {"w": torch.ones(2)}, tmp_path / "a.safetensors", metadata={"format": "pt", "checkpoint": "[broken"}
    )
    assert read_meta(tmp_path / "a.safetensors") == {}
    assert list(read_checkpoint(tmp_path / "a.safetensors")) == ["w"]


def test_it_is_known_by_its_content_where_the_name_says_nothing(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "a.safetensors", {"state_dict": {"w": torch.ones(2)}})
    (tmp_path / "a.safetensors").rename(tmp_path / "blob")
    assert is_safetensors(tmp_path / "blob")
    assert list(read_checkpoint(tmp_path / "blob")) == ["w"]
    write_checkpoint(tmp_path / "a.pth", {"state_dict": {"w": torch.ones(2)}})
    assert not is_safetensors(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a safetensors file"),
        (b"\x10\x00\x00", "not a safetensors file"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"PK\x03\x04" + bytes(60), "not a safetensors file"),
        ((2**62).to_bytes(8, "little") + b'{"a":1}', "its header has 4,611,686,018,427,387,904 bytes"),
        ((30_000_000).to_bytes(8, "little") + b"{" + b" " * 100, "its header has 30,000,000 bytes"),
        ((500).to_bytes(8, "little") + b"{}", "truncated or damaged"),
        ((2).to_bytes(8, "little") + b"{]", "truncated or damaged"),
    ],
    ids=["empty", "short", "web page", "zip", "huge header", "large header", "cut header", "no JSON"],
)
def test_what_is_not_one_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(MethodError, match=message):
        read_checkpoint(path)


@pytest.mark.parametrize("kept", [9, 40, 0.5, 0.999])
def test_a_truncated_file_is_called_damaged(kept: float, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_checkpoint(path, {"state_dict": {"w": torch.ones(200)}})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept if kept > 1 else kept * len(whole))])
    with pytest.raises(MethodError, match=r"a\.safetensors` is truncated or damaged"):
        read_checkpoint(path)


def test_a_pickle_that_is_called_safetensors_is_not_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "sprung",)

    torch.save({"state_dict": Trap()}, tmp_path / "trap.safetensors")
    with pytest.raises(MethodError, match="not a safetensors file"):
        read_checkpoint(tmp_path / "trap.safetensors")
    assert not (tmp_path / "sprung").exists()


def test_tensors_that_overlap_or_reach_beyond_the_end_are_refused(tmp_path: Path) -> None:
    for offsets in ([0, 400], [4, 8]):
        entry = {"w": {"dtype": "F32", "shape": [1], "data_offsets": offsets}}
        header = json.dumps(entry).encode()
        (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
        with pytest.raises(MethodError, match="truncated or damaged"):
            read_checkpoint(tmp_path / "a.safetensors")
