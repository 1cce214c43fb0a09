from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hqgen.errors import UsageError, WeightsError
from spikeclip.networks import build, describe, load_network, open_network
from spikeclip.networks.onnx_file import OnnxNetwork, export_onnx
from tests.methods.golden import Golden, formula_state, load_golden

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def exported(folder: Path, name: str, bins: int, padding: str = "zeros") -> tuple[Path, torch.nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = build(name, bins, padding).eval()  # type: ignore[arg-type]
    path = folder / f"{name}.onnx"
    export_onnx(path, network, {**describe(network), "meta": {"plan_id": "abc"}})
    return path, network


@pytest.fixture(scope="module")
def lrn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    return exported(tmp_path_factory.mktemp("onnx"), "lrn", 50)


def assert_parity(path: Path, network: torch.nn.Module, sizes: list[tuple[int, int, int]]) -> None:
    runnable = OnnxNetwork(path)
    for count, height, width in sizes:
        voxel = torch.randint(0, 5, (count, runnable.bins, height, width)).float()
        with torch.no_grad():
            expected = network(voxel)
        found = runnable(voxel)
        assert found.shape == (count, 1, height, width)
        assert torch.allclose(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def test_lrn_gives_the_same_pictures_at_any_size_and_batch(lrn: tuple[Path, torch.nn.Module]) -> None:
    assert_parity(*lrn, [(1, 2, 2), (3, 17, 40), (2, 64, 48)])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "padding"), [("lrn", "reflect"), ("unet", "zeros"), ("unet", "reflect")])
def test_other_networks_give_the_same_pictures_at_any_size(name: str, padding: str, tmp_path: Path) -> None:
    """UNet interpolates to the size of what it joins, so its sides need not be multiples of 16."""
    assert_parity(*exported(tmp_path, name, 5, padding), [(1, 33, 47), (2, 64, 48)])


def test_the_model_says_what_it_is_and_nothing_of_the_machine(lrn: tuple[Path, torch.nn.Module]) -> None:
    path, _ = lrn
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert "200" not in model.doc_string
    assert "float32 (N, 50, H, W)" in model.doc_string
    sides = [dim.dim_param or dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    assert sides == ["batch", 50, "height", "width"]
    assert str(Path(torch.__file__).parents[2]).encode() not in path.read_bytes()
    assert b"/spikeclip/" not in path.read_bytes()
    runnable = OnnxNetwork(path)
    assert (runnable.name, runnable.bins, runnable.padding) == ("lrn", 50, "zeros")


def test_open_network_takes_it_and_load_network_says_why_not(lrn: tuple[Path, torch.nn.Module]) -> None:
    path, _ = lrn
    assert isinstance(open_network(path), OnnxNetwork)
    with pytest.raises(WeightsError, match=r"is an ONNX file, whose weights cannot be changed"):
        load_network(path)


def test_other_files_are_refused(lrn: tuple[Path, torch.nn.Module], tmp_path: Path) -> None:
    whole = lrn[0].read_bytes()
    for name, content in {"empty": b"", "text": b"abc", "cut": whole[: len(whole) // 2]}.items():
        (tmp_path / f"{name}.onnx").write_bytes(content)
        with pytest.raises(WeightsError, match="is damaged, or not an ONNX file"):
            OnnxNetwork(tmp_path / f"{name}.onnx")
    with pytest.raises(WeightsError, match="no ONNX file"):
        OnnxNetwork(tmp_path / "absent.onnx")
    model = onnx.load(lrn[0])
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "plain.onnx")
    with pytest.raises(WeightsError, match="does not say which network it holds"):
        OnnxNetwork(tmp_path / "plain.onnx")
    one = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    two = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [one], [two])
    opset = onnx.helper.make_opsetid("", 18)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10), tmp_path / "other.onnx")
    with pytest.raises(
        WeightsError, match=r"takes \['x'\] and gives \['y'\], not \[`voxel`\] and \[`picture`\]"
    ):
        OnnxNetwork(tmp_path / "other.onnx")


def test_a_graph_that_gives_other_pictures_is_not_kept(
    lrn: tuple[Path, torch.nn.Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikeclip.networks.onnx_file._model", lambda *_: onnx.load(lrn[0]))
    with pytest.raises(
        WeightsError, match="ONNX Runtime does not give the pictures of the network: they differ"
    ):
        export_onnx(tmp_path / "a.onnx", build("lrn").eval(), {})  # of other weights than the graph
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UsageError, match="not installed") as caught:
        exported(tmp_path, "lrn", 3)
    assert caught.value.hint == "`pip install hqgen[onnx]`"


@pytest.mark.real
def test_a_published_lrn_gives_the_golden_picture_as_safetensors_and_as_onnx(
    shared: Path, tmp_path: Path
) -> None:
    """The authors' tensor names and the formula's values: the published weights are not in the golden."""
    from spikeclip.publishing.export import export

    golden: Golden = load_golden(shared, "lrn")
    torch.save(formula_state(build("lrn"), golden.meta["fill"]), tmp_path / "LRN_CALTECH.pth")
    safe = export(tmp_path / "LRN_CALTECH.pth", tmp_path / "a.safetensors")
    graph = export(safe, tmp_path / "a.onnx")
    spikes = golden.arrays["spike_uhsr"].astype(np.float32)
    voxel = torch.from_numpy(spikes.reshape(50, 4, *spikes.shape[1:]).sum(1))[None]
    for file in (safe, graph):
        with torch.no_grad():
            picture = open_network(file)(voxel)[0, 0].numpy()
        assert np.abs(picture - golden.arrays["out_uhsr"]).max() < golden.tolerance
