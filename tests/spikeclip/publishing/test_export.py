from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from hqgen.checkpoints import read_meta
from hqgen.errors import UsageError, WeightsError
from spikeclip.networks import build, load_network, save_network
from spikeclip.publishing.export import export
from spikeclip.reconstruction import reconstruct
from tests.spikeclip.small import labelled_frames

META = {"stage": "fine", "plan_id": "0123456789abcdef", "crop": 224}


@pytest.fixture
def network(tmp_path: Path) -> Path:
    save_network(tmp_path / "network.pth", build("lrn", 50, "reflect"), META)
    return tmp_path / "network.pth"


def test_what_is_known_of_a_network_goes_with_it_from_form_to_form(network: Path, tmp_path: Path) -> None:
    safe = export(network, tmp_path / "a.safetensors")
    back = export(safe, tmp_path / "b.pth")
    assert back.read_bytes() == network.read_bytes()
    assert read_meta(safe) == {**META, "padding": "reflect"}
    loaded = load_network(safe)
    assert (loaded.name, loaded.bins, loaded.padding) == ("lrn", 50, "reflect")
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in load_file(safe).items())


@pytest.mark.parametrize("wrapper", ["", "module."])
def test_safetensors_of_the_authors_names_are_read_as_the_published_checkpoint(
    wrapper: str, tmp_path: Path
) -> None:
    state = build("lrn").state_dict()
    save_file({f"{wrapper}{name}": tensor for name, tensor in state.items()}, tmp_path / "lrn.safetensors")
    loaded = load_network(tmp_path / "lrn.safetensors")
    assert (loaded.name, loaded.bins, loaded.padding) == ("lrn", 50, "zeros")
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.state_dict().items())


def test_safetensors_of_another_network_or_shape_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"visual.conv1.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(WeightsError, match=r"does not hold a network \(`lrn`, `unet`\)"):
        load_network(path)
    save_file({**build("lrn").state_dict(), "1.0.weight": torch.zeros(32, 64, 3, 3)}, path)
    with pytest.raises(WeightsError, match=r"`1\.0\.weight` has the shape \(32, 64, 3, 3\)"):
        load_network(path)


def test_a_padding_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    save_network(tmp_path / "a.safetensors", build("lrn", 3), {"padding": "circular"})
    with pytest.raises(WeightsError, match="unknown padding `circular`"):
        load_network(tmp_path / "a.safetensors")


def test_all_forms_reconstruct_the_same_picture_and_onnx_on_the_cpu_alone(
    network: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    np.savez(tmp_path / "scene.npz", spk=labelled_frames(0, 1))
    made = []
    for form in ("safetensors", "onnx"):
        file = export(network, tmp_path / f"a.{form}")
        (found,) = reconstruct(file, [tmp_path / "scene.npz"], tmp_path / form, raw=True, device="cpu")
        assert found.raw is not None
        made.append(np.load(found.raw))
    assert made[0].shape == (1, 40, 40)
    assert np.abs(made[0] - made[1]).max() < 1e-5
    with pytest.raises(UsageError, match="is an ONNX file, which runs on the CPU"):
        reconstruct(tmp_path / "a.onnx", [tmp_path / "scene.npz"], tmp_path, device="cuda")


def test_a_form_that_does_not_exist_is_a_usage_error(network: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.tflite` does not name a form") as caught:
        export(network, tmp_path / "a.tflite")
    assert "`.safetensors`, `.onnx`, `.pth`" in caught.value.hint


def test_a_file_that_cannot_be_written_is_a_usage_error(network: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="cannot be written"):
        export(network, tmp_path / "file" / "a.safetensors")
