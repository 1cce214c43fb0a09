"""The reconstruction networks, voxel (B, bins, H, W) -> picture (B, 1, H, W), and their checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

from hqgen.checkpoints import load_weights, read_checkpoint, read_meta, write_checkpoint
from hqgen.errors import MethodError, UnknownNameError, WeightsError
from spikeclip.networks.lrn import LRN
from spikeclip.networks.padding import Padding
from spikeclip.networks.unet import UNet

__all__ = ["LRN", "NETWORKS", "Padding", "UNet", "build", "load_network", "save_network"]

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

    The checkpoint is one of `save_network` or a state_dict, bare or wrapped, as the published one of LRN is;
    its tensors show which network it is. Where its `meta` names no padding, it is `zeros`. No code that the
    file may hold is run.

    Args:
        path: the checkpoint.
        device: where the network goes.

    Raises:
        WeightsError: missing, damaged, not a checkpoint, or not of one of the networks.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(
            f"no checkpoint `{path}`", hint="`spikeclip train` writes one, `network.pth`, into its run folder"
        )
    try:
        network = _network_of(read_checkpoint(path), path, read_meta(path).get("padding", "zeros"))
        load_weights(network, path)
    except (MethodError, UnknownNameError) as error:
        raise WeightsError(error.message, hint=error.hint) from error
    return network.to(device).eval()


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
