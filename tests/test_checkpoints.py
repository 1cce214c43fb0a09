from __future__ import annotations

import argparse
import hashlib
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hqgen.checkpoints import load_weights, read_checkpoint, read_meta
from hqgen.errors import MethodError
from tests.methods.golden import CONTAINERS
from tests.small_network import Small, saved


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_usual_containers_load(
    container: str, legacy: bool, small_state: dict[str, Tensor], tmp_path: Path
) -> None:
    content = CONTAINERS[container](small_state)
    path = saved(content, tmp_path / "c.pth", _use_new_zipfile_serialization=not legacy)
    network = Small()
    load_weights(network, path)
    for name, value in network.state_dict().items():
        assert torch.equal(value, small_state[name]), name


def test_prefix_of_the_networks_own_names_stays(tmp_path: Path) -> None:
    network = nn.ModuleDict({"model": nn.Linear(2, 2)})
    load_weights(network, saved(network.state_dict(), tmp_path / "own.pth"))


def test_whole_network_is_refused_with_the_line_that_converts_it(
    tmp_path: Path, small_state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Small()
    original.load_state_dict(small_state)
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


def test_pickled_options_beside_the_weights_are_refused(
    tmp_path: Path, small_state: dict[str, Tensor]
) -> None:
    path = saved({"state_dict": small_state, "args": argparse.Namespace(lr=1)}, tmp_path / "args.pth")
    with pytest.raises(MethodError, match=r"argparse\.Namespace"):
        read_checkpoint(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MethodError, match=r"no weights file `.*absent\.pth`"):
        load_weights(Small(), tmp_path / "absent.pth")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.999])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_truncated_file_is_called_damaged(
    tmp_path: Path, small_state: dict[str, Tensor], kept: float, legacy: bool
) -> None:
    path = saved(small_state, tmp_path / "cut.pth", _use_new_zipfile_serialization=not legacy)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(MethodError, match=r"cut\.pth` is truncated or damaged"):
        load_weights(Small(), path)


@pytest.mark.parametrize("content", [b"", b"weights?", b"\x93NUMPY\x01\x00", b"\x89HDF\r\n"])
def test_other_file_is_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.pth"
    path.write_bytes(content)
    with pytest.raises(MethodError, match=f"not a PyTorch checkpoint.*{len(content)} bytes"):
        load_weights(Small(), path)


@pytest.mark.parametrize("content", [{"epoch": 3}, [1, 2], {"meta": "none"}])
def test_meta_of_a_checkpoint_that_has_none_is_empty(tmp_path: Path, content: object) -> None:
    assert read_meta(saved(content, tmp_path / "a.pth")) == {}
    assert read_meta(saved({"meta": {"stage": "fine"}}, tmp_path / "b.pth")) == {"stage": "fine"}


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [1, 2], torch.zeros(3), {"state_dict": {}}])
def test_checkpoint_without_a_state_dict_says_what_it_holds(tmp_path: Path, content: object) -> None:
    with pytest.raises(MethodError, match="holds no state_dict, but"):
        load_weights(Small(), saved(content, tmp_path / "none.pth"))


def test_wrong_digest_gives_both(small_checkpoint: Path) -> None:
    digest = hashlib.sha256(small_checkpoint.read_bytes()).hexdigest()
    load_weights(Small(), small_checkpoint, digest.upper())
    with pytest.raises(MethodError, match=f"sha256 is {digest}, not {'0' * 64}"):
        load_weights(Small(), small_checkpoint, "0" * 64)


def test_wrong_shape_names_the_tensor_and_both_shapes(tmp_path: Path, small_state: dict[str, Tensor]) -> None:
    small_state["tail.weight"] = torch.zeros(1, 8, 3, 3)
    message = r"`tail\.weight` has the shape \(1, 8, 3, 3\), expected \(1, 4, 3, 3\)$"
    with pytest.raises(MethodError, match=message):
        load_weights(Small(), saved(small_state, tmp_path / "shape.pth"))


def test_missing_and_surplus_tensors_are_named(tmp_path: Path, small_state: dict[str, Tensor]) -> None:
    surplus = {**small_state, "head.weight": torch.zeros(2)}
    with pytest.raises(MethodError, match=r"`head\.weight` \(2,\) is not expected"):
        load_weights(Small(), saved(surplus, tmp_path / "surplus.pth"))
    del small_state["conv.bias"], small_state["tail.bias"]
    with pytest.raises(MethodError, match=r"`conv\.bias` \(4,\) is missing \(and 1 more tensors differ\)"):
        load_weights(Small(), saved(small_state, tmp_path / "missing.pth"))


def test_weights_that_are_not_finite_are_refused(tmp_path: Path, small_state: dict[str, Tensor]) -> None:
    small_state["conv.weight"][0, 0, 0, 0] = float("nan")
    with pytest.raises(MethodError, match=r"`conv\.weight` holds values that are not finite"):
        load_weights(Small(), saved(small_state, tmp_path / "nan.pth"))


def test_unfit_checkpoint_leaves_the_network_as_it_was(
    tmp_path: Path, small_state: dict[str, Tensor]
) -> None:
    network = Small()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    del small_state["tail.bias"]
    with pytest.raises(MethodError):
        load_weights(network, saved(small_state, tmp_path / "unfit.pth"))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.real
def test_published_checkpoint_loads_safely(shared: Path) -> None:
    path = shared / "weights" / "SSIR_e80.pth"
    assert len(read_checkpoint(path)) == 61


def test_a_web_page_and_a_torchscript_archive_are_named_as_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "page.pth").write_text("\n<!DOCTYPE html><title>Quota exceeded</title>")
    with pytest.raises(MethodError, match=r"page\.pth` is a web page, not a PyTorch checkpoint"):
        read_checkpoint(tmp_path / "page.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(torch.nn.Linear(3, 3))
        torch.jit.save(scripted, str(tmp_path / "code.pt"))
    with pytest.raises(MethodError, match=r"code\.pt` is a TorchScript archive, which holds code") as caught:
        read_checkpoint(tmp_path / "code.pt")
    assert "torch.jit.load('code.pt').state_dict()" in caught.value.hint
