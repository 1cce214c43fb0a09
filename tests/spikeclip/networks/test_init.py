from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hqgen.errors import UnknownNameError, WeightsError
from spikeclip.networks import build, load_network, save_network


@pytest.mark.parametrize(("name", "bins"), [("lrn", 50), ("lrn", 7), ("unet", 5)])
def test_a_saved_network_comes_back_as_it_was(name: str, bins: int, tmp_path: Path) -> None:
    network = build(name, bins)
    save_network(tmp_path / "run" / "network.pth", network, {"stage": "fine"})
    loaded = load_network(tmp_path / "run" / "network.pth")
    assert (loaded.name, loaded.bins, loaded.training) == (name, bins, False)
    voxel = torch.rand(1, bins, 16, 16)
    with torch.no_grad():
        assert torch.equal(loaded(voxel), network(voxel))


@pytest.mark.parametrize("name", ["lrn", "unet"])
def test_padding_stays_with_the_network_and_adds_no_tensor(name: str, tmp_path: Path) -> None:
    network = build(name, 3, "reflect")
    save_network(tmp_path / "a.pth", network, {"stage": "fine"})
    assert torch.load(tmp_path / "a.pth", weights_only=True)["meta"] == {
        "stage": "fine",
        "padding": "reflect",
    }
    loaded = load_network(tmp_path / "a.pth")
    assert loaded.padding == "reflect"
    assert list(loaded.state_dict()) == list(build(name, 3).state_dict())
    voxel = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(loaded(voxel), network(voxel))


def test_network_without_a_padding_in_its_file_has_zeros(tmp_path: Path) -> None:
    torch.save(build("lrn", 3, "reflect").state_dict(), tmp_path / "published.pth")
    save_network(tmp_path / "a.pth", build("lrn", 3), {})
    assert "padding" not in torch.load(tmp_path / "a.pth", weights_only=True)["meta"]
    for file in ("published.pth", "a.pth"):
        assert load_network(tmp_path / file).padding == "zeros"


def test_padding_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    save_network(tmp_path / "a.pth", build("lrn", 3), {"padding": "wrap"})
    with pytest.raises(WeightsError, match="unknown padding `wrap`"):
        load_network(tmp_path / "a.pth")


def test_what_is_known_of_a_network_stays_with_it(tmp_path: Path) -> None:
    save_network(tmp_path / "a.pth", build("lrn"), {"plan": "abc", "epoch": 3})
    content = torch.load(tmp_path / "a.pth", weights_only=True)
    assert (content["name"], content["bins"], content["meta"]) == ("lrn", 50, {"plan": "abc", "epoch": 3})


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    network = build("lrn", 3)
    for file in ("a.pth", "b.pth"):
        save_network(tmp_path / file, network, {})
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()


def test_an_unknown_network_is_refused_with_the_legal_names() -> None:
    with pytest.raises(UnknownNameError, match="`unett`") as caught:
        build("unett")
    assert "did you mean `unet`? known: lrn, unet" in caught.value.hint


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no checkpoint"):
        load_network(tmp_path / "absent.pth")


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>"], ids=["empty", "web page"])
def test_a_file_that_is_no_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(WeightsError, match="not a PyTorch checkpoint"):
        load_network(tmp_path / "a.pth")


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    save_network(tmp_path / "a.pth", build("lrn"), {})
    whole = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="truncated or damaged"):
        load_network(tmp_path / "a.pth")


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save({"visual.conv1.weight": torch.zeros(3, 3)}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"does not hold a network \(`lrn`, `unet`\).*`visual\.conv1"):
        load_network(tmp_path / "a.pth")


def test_a_network_of_other_widths_is_refused_with_the_tensor_that_differs(tmp_path: Path) -> None:
    state = build("lrn").state_dict()
    state["1.0.weight"] = torch.zeros(32, 64, 3, 3)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"`1\.0\.weight` has the shape \(32, 64, 3, 3\)"):
        load_network(tmp_path / "a.pth")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    state = build("lrn").state_dict()
    state["4.bias"] = torch.tensor([torch.nan])
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="not finite"):
        load_network(tmp_path / "a.pth")


def test_a_pickled_network_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save(build("lrn"), tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="could run any code"):
        load_network(tmp_path / "a.pth")
