"""The reconstruction networks, voxel (B, bins, H, W) -> picture (B, 1, H, W), and their checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

from hqgen.checkpoints import fill, read_checkpoint_and_meta, read_meta, write_checkpoint
from hqgen.errors import MethodError, UnknownNameError, WeightsError
from spikeclip.networks.locating import located
from spikeclip.networks.lrn import LRN
from spikeclip.networks.onnx_file import OnnxNetwork
from spikeclip.networks.padding import Padding
from spikeclip.networks.scaled import Scaled
from spikeclip.networks.unet import UNet

__all__ = [
    "LRN",
    "NETWORKS",
    "OnnxNetwork",
    "Padding",
    "Scaled",
    "UNet",
    "build",
    "describe",
    "learned_gain",
    "load_network",
    "open_network",
    "save_network",
]

NETWORKS: dict[str, type[LRN | UNet]] = {"lrn": LRN, "unet": UNet}

FORMAT = "spikeclip-network"

# The first tensor of each network; its second side is the number of bins. The name of UNet's ends in that of
# LRN's, so it is looked for first.
FIRST_TENSORS = {"unet": "encoder.0.0.weight", "lrn": "0.0.weight"}


def build(name: str, bins: int = 50, padding: Padding = "zeros") -> LRN | UNet:
    """Build a network with fresh parameters.

    Args:
        name: `lrn` or `unet`.
        bins: channels of the voxel.
        padding: what its convolutions see beyond the picture.

    Raises:
        UnknownNameError: there is no such network, or no such padding.
    """
    if name not in NETWORKS:
        raise UnknownNameError("network", name, NETWORKS)
    if padding not in get_args(Padding):
        raise UnknownNameError("padding", padding, get_args(Padding))
    return NETWORKS[name](bins, padding)


def save_network(path: str | Path, network: nn.Module, meta: Mapping[str, Any]) -> None:
    """Write a network's checkpoint whole or not at all.

    A padding other than the published network's is recorded in `meta`, from where `load_network` takes it.

    Args:
        path: the file.
        network: an LRN or UNet itself, not what DistributedDataParallel or torch.compile made of it.
        meta: what else is known about it; plain values that `torch.load(weights_only=True)` reads.
    """
    state = {key: tensor.detach().cpu() for key, tensor in network.state_dict().items()}
    kind = {"name": network.name, "bins": network.bins}
    padding = {} if network.padding == "zeros" else {"padding": network.padding}
    write_checkpoint(path, {"format": FORMAT, **kind, "meta": {**meta, **padding}, "state_dict": state})


def load_network(path: str | Path, device: str | torch.device = "cpu") -> LRN | UNet:
    """Load a network from a checkpoint, in eval mode; its `name` and `bins` tell what it is.

    The checkpoint is one of `save_network` or a state_dict, bare or wrapped, as the published one of LRN is,
    and either of them may be safetensors;
    its tensors show which network it is. Where its `meta` names no padding, it is `zeros`. No code that the
    file may hold is run.

    Args:
        path: the checkpoint, or what `spikeclip.networks.locating.located` takes.
        device: where the network goes.

    Raises:
        DownloadError: it is a repository, and cannot be downloaded.
        WeightsError: missing, damaged, not a checkpoint, or not of one of the networks.
    """
    path = located(path)
    if path.suffix.lower() == ".onnx":
        raise WeightsError(
            f"`{path}` is an ONNX file, whose weights cannot be changed",
            hint="`spikeclip reconstruct` runs it; elsewhere give the checkpoint that it was made from",
        )
    try:
        state, meta = read_checkpoint_and_meta(path)
        network = _network_of(state, path, meta.get("padding", "zeros"))
        fill(network, state, path)
    except (MethodError, UnknownNameError) as error:
        raise WeightsError(error.message, hint=error.hint) from error
    return network.to(device).eval()


def open_network(path: str | Path) -> LRN | UNet | OnnxNetwork:
    """A network to run, not to train: what `load_network` takes, or an ONNX file.

    Raises:
        HqgenError: see `load_network` and `spikeclip.networks.onnx_file.OnnxNetwork`.
    """
    if Path(path).suffix.lower() == ".onnx":
        return OnnxNetwork(path)
    return load_network(path)


def describe(network: LRN | UNet) -> dict[str, Any]:
    """What `build` needs to make such a network again."""
    return {"name": network.name, "bins": network.bins, "padding": network.padding}


def learned_gain(path: str | Path) -> float | None:
    """The gain of a network that was trained with `learns = "gain"`; None for any other checkpoint.

    Raises:
        WeightsError: as `load_network`.
    """
    try:
        gain = read_meta(located(path)).get("gain")
    except MethodError as error:
        raise WeightsError(error.message, hint=error.hint) from error
    return float(gain) if isinstance(gain, float) else None


def _network_of(state: Mapping[str, Tensor], path: Path, padding: Padding) -> LRN | UNet:
    for name, first in FIRST_TENSORS.items():
        for key, tensor in state.items():
            # Wrappers such as DataParallel put their own name before every tensor's.
            if f".{key}".endswith(f".{first}") and tensor.ndim == 4:
                return build(name, tensor.shape[1], padding)
    raise WeightsError(
        f"`{path}` does not hold a network ({', '.join(f'`{name}`' for name in NETWORKS)}): "
        f"its first tensor is `{next(iter(state))}`",
        hint="give the `network.pth` of a run folder, or a published checkpoint of LRN",
    )
