from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from hqgen.checkpoints import load_weights, read_checkpoint
from hqgen.errors import MethodError
from hqgen.files import sha256_file
from hqgen.methods import weights as module
from hqgen.methods.learned.network import NetworkMethod
from hqgen.methods.registration import add_weights, check_weights
from hqgen.methods.weights import find_weights, list_weights, weights_folder
from tests.methods.golden import CONTAINERS


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(5, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.tail = nn.Conv2d(4, 1, 3)


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
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of weights; the package ships none in these tests."""
    monkeypatch.setenv("HQGEN_WEIGHTS", str(tmp_path / "home"))
    monkeypatch.setattr(module, "SHIPPED", tmp_path / "shipped")
    return tmp_path / "home"


@pytest.fixture
def trained() -> dict[str, Tensor]:
    torch.manual_seed(3)
    return Small().state_dict()


@pytest.fixture
def checkpoint(tmp_path: Path, trained: dict[str, Tensor]) -> Path:
    return saved(trained, tmp_path / "tiny.pth")


def saved(content: object, path: Path, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_usual_containers_load(
    container: str, legacy: bool, trained: dict[str, Tensor], tmp_path: Path
) -> None:
    content = CONTAINERS[container](trained)
    path = saved(content, tmp_path / "c.pth", _use_new_zipfile_serialization=not legacy)
    network = Small()
    load_weights(network, path)
    for name, value in network.state_dict().items():
        assert torch.equal(value, trained[name]), name


def test_prefix_of_the_networks_own_names_stays(tmp_path: Path) -> None:
    network = nn.ModuleDict({"model": nn.Linear(2, 2)})
    load_weights(network, saved(network.state_dict(), tmp_path / "own.pth"))


def test_whole_network_is_refused_with_the_line_that_converts_it(
    tmp_path: Path, trained: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Small()
    original.load_state_dict(trained)
    path = saved(nn.DataParallel(original), tmp_path / "whole.pth")
    with pytest.raises(MethodError, match=r"pickled `torch\.nn\S+DataParallel`") as error:
        load_weights(Small(), path)
    line = error.value.hint.split("`")[1]
    monkeypatch.chdir(tmp_path)
    exec(line)
    load_weights(Small(), tmp_path / "whole.state.pth")


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_no_code_in_a_checkpoint_is_run(tmp_path: Path, legacy: bool) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    path = saved({"state_dict": Trap()}, tmp_path / "trap.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(MethodError, match="pickled"):
        read_checkpoint(path)
    assert not (tmp_path / "sprung").exists()


def test_pickled_options_beside_the_weights_are_refused(tmp_path: Path, trained: dict[str, Tensor]) -> None:
    path = saved({"state_dict": trained, "args": argparse.Namespace(lr=1)}, tmp_path / "args.pth")
    with pytest.raises(MethodError, match=r"argparse\.Namespace"):
        read_checkpoint(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MethodError, match=r"no weights file `.*absent\.pth`"):
        load_weights(Small(), tmp_path / "absent.pth")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.999])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_truncated_file_is_called_damaged(
    tmp_path: Path, trained: dict[str, Tensor], kept: float, legacy: bool
) -> None:
    path = saved(trained, tmp_path / "cut.pth", _use_new_zipfile_serialization=not legacy)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(MethodError, match=r"cut\.pth` is truncated or damaged"):
        load_weights(Small(), path)


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>", b"\x93NUMPY\x01\x00", b"\x89HDF\r\n"])
def test_other_file_is_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.pth"
    path.write_bytes(content)
    with pytest.raises(MethodError, match=f"not a PyTorch checkpoint.*{len(content)} bytes"):
        load_weights(Small(), path)


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [1, 2], torch.zeros(3), {"state_dict": {}}])
def test_checkpoint_without_a_state_dict_says_what_it_holds(tmp_path: Path, content: object) -> None:
    with pytest.raises(MethodError, match="holds no state_dict, but"):
        load_weights(Small(), saved(content, tmp_path / "none.pth"))


def test_wrong_digest_gives_both(checkpoint: Path) -> None:
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    load_weights(Small(), checkpoint, digest.upper())
    with pytest.raises(MethodError, match=f"sha256 is {digest}, not {'0' * 64}"):
        load_weights(Small(), checkpoint, "0" * 64)


def test_wrong_shape_names_the_tensor_and_both_shapes(tmp_path: Path, trained: dict[str, Tensor]) -> None:
    trained["tail.weight"] = torch.zeros(1, 8, 3, 3)
    message = r"`tail\.weight` has the shape \(1, 8, 3, 3\), expected \(1, 4, 3, 3\)$"
    with pytest.raises(MethodError, match=message):
        load_weights(Small(), saved(trained, tmp_path / "shape.pth"))


def test_missing_and_surplus_tensors_are_named(tmp_path: Path, trained: dict[str, Tensor]) -> None:
    surplus = {**trained, "head.weight": torch.zeros(2)}
    with pytest.raises(MethodError, match=r"`head\.weight` \(2,\) is not expected"):
        load_weights(Small(), saved(surplus, tmp_path / "surplus.pth"))
    del trained["conv.bias"], trained["tail.bias"]
    with pytest.raises(MethodError, match=r"`conv\.bias` \(4,\) is missing \(and 1 more tensors differ\)"):
        load_weights(Small(), saved(trained, tmp_path / "missing.pth"))


def test_weights_that_are_not_finite_are_refused(tmp_path: Path, trained: dict[str, Tensor]) -> None:
    trained["conv.weight"][0, 0, 0, 0] = float("nan")
    with pytest.raises(MethodError, match=r"`conv\.weight` holds values that are not finite"):
        load_weights(Small(), saved(trained, tmp_path / "nan.pth"))


def test_unfit_checkpoint_leaves_the_network_as_it_was(tmp_path: Path, trained: dict[str, Tensor]) -> None:
    network = Small()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    del trained["tail.bias"]
    with pytest.raises(MethodError):
        load_weights(network, saved(trained, tmp_path / "unfit.pth"))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_added_weights_are_listed_found_and_pass_the_check(checkpoint: Path, home: Path) -> None:
    entry = add_weights(checkpoint, Tiny(), source="https://example.org/tiny", brightness="brightness")
    assert list_weights() == [entry]
    assert find_weights("tiny") == entry
    assert entry.file.parent == home
    assert entry.file.read_bytes() == checkpoint.read_bytes()
    assert (entry.licence, entry.source, entry.brightness) == (
        "MIT",
        "https://example.org/tiny",
        "brightness",
    )
    assert entry.sha256 == sha256_file(checkpoint)
    check_weights(Tiny())


def test_what_add_leaves_out_comes_from_the_method_and_the_file(checkpoint: Path) -> None:
    entry = add_weights(checkpoint, Tiny(), licence="CC0")
    assert (entry.licence, entry.source, entry.brightness) == ("CC0", "tiny.pth", "rate")


def test_registry_holds_names_relative_to_its_folder(checkpoint: Path, home: Path, tmp_path: Path) -> None:
    add_weights(checkpoint, Tiny())
    home.rename(tmp_path / "moved")
    (entry,) = list_weights(tmp_path / "moved")
    assert entry.file.is_file()


def test_refused_file_changes_nothing(checkpoint: Path, home: Path, trained: dict[str, Tensor]) -> None:
    entry = add_weights(checkpoint, Tiny())
    before = sorted(path.name for path in home.iterdir())
    del trained["conv.bias"]
    unfit = saved(trained, checkpoint.with_name("unfit.pth"))
    with pytest.raises(MethodError, match=r"unfit\.pth` does not fit"):
        add_weights(unfit, Tiny())
    with pytest.raises(MethodError, match="sha256"):
        add_weights(checkpoint, Tiny(), sha256="0" * 64)
    with pytest.raises(MethodError, match="no weights file"):
        add_weights(checkpoint.with_name("absent.pth"), Tiny())
    assert sorted(path.name for path in home.iterdir()) == before
    assert list_weights() == [entry]


def test_adding_again_replaces_the_entry_and_keeps_others(
    checkpoint: Path, tmp_path: Path, trained: dict[str, Tensor]
) -> None:
    @dataclass(frozen=True)
    class Other(Tiny):
        name: ClassVar[str] = "other"

    other, first = add_weights(checkpoint, Other()), add_weights(checkpoint, Tiny())
    trained["tail.bias"] += 1
    second = add_weights(saved(trained, tmp_path / "newer.pth"), Tiny())
    assert second.sha256 != first.sha256
    assert list_weights() == [other, second]


def test_shipped_weights_are_found_and_the_users_win(
    checkpoint: Path, tmp_path: Path, trained: dict[str, Tensor]
) -> None:
    shipped = add_weights(checkpoint, Tiny(), folder=tmp_path / "shipped")
    assert find_weights("tiny") == shipped
    assert Tiny().unavailable() is None
    trained["tail.bias"] += 1
    mine = add_weights(saved(trained, tmp_path / "mine.pth"), Tiny())
    assert find_weights("tiny") == mine
    assert list_weights() == [mine]


def test_weights_changed_after_adding_fail_the_check(checkpoint: Path) -> None:
    entry = add_weights(checkpoint, Tiny())
    entry.file.write_bytes(entry.file.read_bytes() + b"x")
    with pytest.raises(MethodError, match="sha256"):
        check_weights(Tiny())
    entry.file.unlink()
    with pytest.raises(MethodError, match="no weights file"):
        check_weights(Tiny())


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"weights": [{"name": "tiny"}]}', '{"weights": {"a": 1}}', "\x00"]
)
def test_damaged_registry_is_named(home: Path, text: str) -> None:
    home.mkdir()
    (home / "weights.json").write_text(text)
    with pytest.raises(MethodError, match=r"registry of weights `.*weights\.json`"):
        list_weights()


def test_folder_that_cannot_be_made_is_an_error(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MethodError, match="cannot write the weights folder"):
        add_weights(checkpoint, Tiny(), folder=tmp_path / "file" / "below")


def test_folder_is_the_argument_then_the_variable_then_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path
) -> None:
    assert weights_folder("given") == Path("given")
    assert weights_folder() == home
    monkeypatch.delenv("HQGEN_WEIGHTS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights_folder() == tmp_path / "hqgen" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    assert weights_folder() == tmp_path / "person" / ".cache" / "hqgen" / "weights"


def test_registry_is_plain_json(checkpoint: Path, home: Path) -> None:
    add_weights(checkpoint, Tiny())
    (line,) = json.loads((home / "weights.json").read_text())["weights"]
    assert set(line) == {"name", "file", "sha256", "licence", "source", "brightness"}
    assert line["file"] == f"tiny-{line['sha256'][:12]}.pth"


@pytest.mark.real
def test_published_checkpoint_loads_safely(shared: Path) -> None:
    path = shared / "weights" / "SSIR_e80.pth"
    assert len(read_checkpoint(path)) == 61
