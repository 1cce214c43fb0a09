"""Networks as ONNX files: written from a network, and run by ONNX Runtime.

The graph is the network alone: voxel float32 (N, bins, H, W) -> picture float32 (N, 1, H, W), with N, H and W
open. What its convolutions see beyond the picture is in the graph. The mirrored margin that
`spikeclip reconstruct` adds is not: a caller adds it, as with the network itself. The properties of the model
hold one JSON text, `checkpoint`: the name, bins and padding of the network, and the meta of its checkpoint.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hqgen.errors import UsageError, WeightsError
from hqgen.files import write_atomically

if TYPE_CHECKING:
    from spikeclip.networks.lrn import LRN
    from spikeclip.networks.unet import UNet

SUFFIX = ".onnx"

OPSET = 18
"""Version of ONNX's operators: ONNX Runtime reads it since 1.14, of 2023."""

SMALLEST = {"lrn": 2, "unet": 16}
"""The smallest height and width of a picture; with reflection padding UNet needs twice as many."""

TOLERANCE = 1e-4
"""Largest deviation of the graph from the network, in parts of the largest value."""

_KEY = "checkpoint"
_INPUT, _OUTPUT = "voxel", "picture"


class OnnxNetwork(nn.Module):
    """A network in an ONNX file, run by ONNX Runtime on the CPU: (B, bins, H, W) -> (B, 1, H, W).

    Args:
        path: the file.

    Raises:
        UsageError: ONNX Runtime is not installed.
        WeightsError: missing, damaged, or not a network that `export_onnx` wrote.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        if not self.path.is_file():
            raise WeightsError(f"no ONNX file `{path}`", hint="`spikeclip export` writes one")
        self.session = _session(self.path)
        properties = self.session.get_modelmeta().custom_metadata_map
        try:
            known = json.loads(properties[_KEY])
            self.name, self.bins, self.padding = known["name"], int(known["bins"]), known["padding"]
        except (KeyError, ValueError, TypeError) as error:
            raise WeightsError(
                f"`{path}` does not say which network it holds", hint="write it with `spikeclip export`"
            ) from error

    def forward(self, voxel: Tensor) -> Tensor:
        """Reconstruct a batch of voxels."""
        fed = {_INPUT: voxel.detach().cpu().numpy()}
        return torch.from_numpy(self.session.run([_OUTPUT], fed)[0]).to(voxel.device)


def export_onnx(path: str | Path, network: LRN | UNet, known: Mapping[str, Any]) -> None:
    """Write a network as ONNX, whole or not at all, once ONNX Runtime gives the network's pictures.

    Args:
        path: the file.
        network: in eval mode, on the CPU.
        known: its `name`, `bins` and `padding`, and the `meta` of its checkpoint; what JSON can hold.

    Raises:
        UsageError: onnx, onnxscript or ONNX Runtime is not installed.
        WeightsError: ONNX Runtime does not give the pictures of the network.
    """
    path = Path(path)
    content = _model(network, known).SerializeToString()
    partial = path.with_name(f".{path.name}.unchecked")
    write_atomically(partial, content)
    try:
        _require_parity(network, OnnxNetwork(partial))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _model(network: LRN | UNet, known: Mapping[str, Any]) -> Any:
    try:
        import onnx
        import onnxscript  # noqa: F401 - PyTorch's exporter needs it
    except ImportError as error:
        raise _missing() from error
    least = SMALLEST[network.name] * (2 if network.padding == "reflect" else 1)
    dim = torch.export.Dim
    sizes = {0: dim("batch"), 2: dim("height", min=least), 3: dim("width", min=least)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about its own parts
        program = torch.onnx.export(
            network,
            (torch.zeros(2, network.bins, 48, 64),),
            input_names=[_INPUT],
            output_names=[_OUTPUT],
            dynamic_shapes=(sizes,) if network.name == "unet" else {"input": sizes},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _forget_the_machine(model)
    onnx.helper.set_model_props(model, {_KEY: json.dumps(dict(known))})
    model.doc_string = (
        f"SpikeCLIP network `{network.name}`. Input: spike counts, float32 (N, {network.bins}, H, W), each "
        f"bin the sum of 4 frames. Output: float32 (N, 1, H, W), linear, nominally in [0, 1]."
    )
    onnx.checker.check_model(model)
    return model


def _forget_the_machine(model: Any) -> None:
    """Remove the exporter's notes, in which are paths of this machine."""
    graph = model.graph
    for part in (
        model,
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.initializer,
        *graph.value_info,
    ):
        part.doc_string = ""
        del part.metadata_props[:]


def _require_parity(network: LRN | UNet, exported: OnnxNetwork) -> None:
    generator = torch.Generator().manual_seed(0)
    voxel = torch.randint(0, 5, (1, network.bins, 33, 47), generator=generator).float()
    with torch.no_grad():
        expected, found = network(voxel), exported(voxel)
    deviation, largest = float((expected - found).abs().max()), float(expected.abs().max())
    if not deviation <= TOLERANCE * max(largest, 1.0):
        raise WeightsError(
            "ONNX Runtime does not give the pictures of the network: "
            f"they differ by {deviation:.2g}, and the largest value is {largest:.2g}",
            hint="another version of onnxruntime may be right; please report it",
        )


def _session(path: Path) -> Any:
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state
    except ImportError as error:
        raise _missing() from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors alone
    refusals = (state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf)
    others = (state.NoModel, state.NoSuchFile, state.NotImplemented, state.RuntimeException)
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (*refusals, *others) as error:
        raise WeightsError(
            f"`{path}` is damaged, or not an ONNX file: {str(error).rpartition(':')[2].strip()}",
            hint="write it again with `spikeclip export`",
        ) from error
    names = [[item.name for item in items] for items in (session.get_inputs(), session.get_outputs())]
    if names != [[_INPUT], [_OUTPUT]]:
        raise WeightsError(
            f"`{path}` takes {names[0]} and gives {names[1]}, not [`{_INPUT}`] and [`{_OUTPUT}`]",
            hint="write it with `spikeclip export`",
        )
    return session


def _missing() -> UsageError:
    return UsageError("ONNX files need packages that are not installed", hint="`pip install hqgen[onnx]`")
