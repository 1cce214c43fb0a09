from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from torch import Tensor, nn

from hqgen.errors import MethodError
from hqgen.files import sha256_file, weights_folder
from hqgen.methods import weights as module
from hqgen.methods.learned.network import NetworkMethod
from hqgen.methods.registration import add_weights, check_weights
from hqgen.methods.weights import find_weights, list_weights
from tests.small_network import Small, saved


@dataclass(frozen=True)
class Tiny(NetworkMethod):
    name: ClassVar[str] = "tiny"
    rank: ClassVar[int] = 999
    citation: ClassVar[str] = "none"
    weights_licence: ClassVar[str] = "MIT"

    def network(self) -> nn.Module:
        return Small()

    def infer(self, network: nn.Module, spikes: Tensor) -> Tensor:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def nothing_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package ships no weights in these tests."""
    monkeypatch.setattr(module, "SHIPPED", tmp_path / "shipped")


def test_added_weights_are_listed_found_and_pass_the_check(
    small_checkpoint: Path, weights_home: Path
) -> None:
    entry = add_weights(small_checkpoint, Tiny(), source="https://example.org/tiny", brightness="brightness")
    assert list_weights() == [entry]
    assert find_weights("tiny") == entry
    assert entry.file.parent == weights_home
    assert entry.file.read_bytes() == small_checkpoint.read_bytes()
    assert (entry.licence, entry.source, entry.brightness) == (
        "MIT",
        "https://example.org/tiny",
        "brightness",
    )
    assert entry.sha256 == sha256_file(small_checkpoint)
    check_weights(Tiny())


def test_what_add_leaves_out_comes_from_the_method_and_the_file(small_checkpoint: Path) -> None:
    entry = add_weights(small_checkpoint, Tiny(), licence="CC0")
    assert (entry.licence, entry.source, entry.brightness) == ("CC0", "tiny.pth", "rate")


def test_registry_holds_names_relative_to_its_folder(
    small_checkpoint: Path, weights_home: Path, tmp_path: Path
) -> None:
    add_weights(small_checkpoint, Tiny())
    weights_home.rename(tmp_path / "moved")
    (entry,) = list_weights(tmp_path / "moved")
    assert entry.file.is_file()


def test_refused_file_changes_nothing(
    small_checkpoint: Path, weights_home: Path, small_state: dict[str, Tensor]
) -> None:
    entry = add_weights(small_checkpoint, Tiny())
    before = sorted(path.name for path in weights_home.iterdir())
    del small_state["conv.bias"]
    unfit = saved(small_state, small_checkpoint.with_name("unfit.pth"))
    with pytest.raises(MethodError, match=r"unfit\.pth` does not fit"):
        add_weights(unfit, Tiny())
    with pytest.raises(MethodError, match="sha256"):
        add_weights(small_checkpoint, Tiny(), sha256="0" * 64)
    with pytest.raises(MethodError, match="no weights file"):
        add_weights(small_checkpoint.with_name("absent.pth"), Tiny())
    assert sorted(path.name for path in weights_home.iterdir()) == before
    assert list_weights() == [entry]


def test_adding_again_replaces_the_entry_and_keeps_others(
    small_checkpoint: Path, tmp_path: Path, small_state: dict[str, Tensor]
) -> None:
    @dataclass(frozen=True)
    class Other(Tiny):
        name: ClassVar[str] = "other"

    other, first = add_weights(small_checkpoint, Other()), add_weights(small_checkpoint, Tiny())
    small_state["tail.bias"] += 1
    second = add_weights(saved(small_state, tmp_path / "newer.pth"), Tiny())
    assert second.sha256 != first.sha256
    assert list_weights() == [other, second]


def test_shipped_weights_are_found_and_the_users_win(
    small_checkpoint: Path, tmp_path: Path, small_state: dict[str, Tensor]
) -> None:
    shipped = add_weights(small_checkpoint, Tiny(), folder=tmp_path / "shipped")
    assert find_weights("tiny") == shipped
    assert Tiny().unavailable() is None
    small_state["tail.bias"] += 1
    mine = add_weights(saved(small_state, tmp_path / "mine.pth"), Tiny())
    assert find_weights("tiny") == mine
    assert list_weights() == [mine]


def test_weights_changed_after_adding_fail_the_check(small_checkpoint: Path) -> None:
    entry = add_weights(small_checkpoint, Tiny())
    entry.file.write_bytes(entry.file.read_bytes() + b"x")
    with pytest.raises(MethodError, match="sha256"):
        check_weights(Tiny())
    entry.file.unlink()
    with pytest.raises(MethodError, match="no weights file"):
        check_weights(Tiny())


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"weights": [{"name": "tiny"}]}', '{"weights": {"a": 1}}', "\x00"]
)
def test_damaged_registry_is_named(weights_home: Path, text: str) -> None:
    weights_home.mkdir()
    (weights_home / "weights.json").write_text(text)
    with pytest.raises(MethodError, match=r"registry of weights `.*weights\.json`"):
        list_weights()


def test_folder_that_cannot_be_made_is_an_error(small_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MethodError, match="cannot write the weights folder"):
        add_weights(small_checkpoint, Tiny(), folder=tmp_path / "file" / "below")


def test_folder_is_the_argument_then_the_variable_then_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, weights_home: Path
) -> None:
    assert weights_folder("given") == Path("given")
    assert weights_folder() == weights_home
    monkeypatch.delenv("HQGEN_WEIGHTS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights_folder() == tmp_path / "hqgen" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    assert weights_folder() == tmp_path / "person" / ".cache" / "hqgen" / "weights"


def test_registry_is_plain_json(small_checkpoint: Path, weights_home: Path) -> None:
    add_weights(small_checkpoint, Tiny())
    (line,) = json.loads((weights_home / "weights.json").read_text())["weights"]
    assert set(line) == {"name", "file", "sha256", "licence", "source", "brightness"}
    assert line["file"] == f"tiny-{line['sha256'][:12]}.pth"
