"""A network in another form of file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hqgen.checkpoints import read_meta
from hqgen.errors import UsageError
from hqgen.files import writing
from spikeclip.networks import describe, load_network, save_network
from spikeclip.networks.locating import located
from spikeclip.networks.onnx_file import export_onnx

if TYPE_CHECKING:
    from spikeclip.networks import LRN, UNet

FORMS = (".safetensors", ".onnx", ".pth")
"""How the names of files end that a network can be written to."""


def export(network: str | Path, out: str | Path) -> Path:
    """Write a network as safetensors, ONNX or a checkpoint of PyTorch; what is known about it stays with it.

    Args:
        network: what `spikeclip.load` takes.
        out: the file; its ending names the form. An older file is replaced.

    Returns:
        `out`.

    Raises:
        UsageError: no form ends so, `out` cannot be written, or ONNX's packages are missing.
        WeightsError: the network is missing or of the wrong form.
    """
    path = Path(out)
    if path.suffix.lower() not in FORMS:
        raise UsageError(
            f"`{path}` does not name a form in which a network can be written",
            hint=f"end its name with {', '.join(f'`{form}`' for form in FORMS)}",
        )
    source = located(network)
    write_network(path, load_network(source), read_meta(source))
    return path


def write_network(path: Path, network: LRN | UNet, meta: dict[str, Any]) -> None:
    """Write a network with its meta; the ending of the name tells the form."""
    with writing(path):
        if path.suffix.lower() == ".onnx":
            export_onnx(path, network, {**describe(network), "meta": meta})
        else:
            save_network(path, network, meta)
