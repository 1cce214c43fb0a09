"""Train and run the SpikeCLIP low-light reconstruction network.

The names below are the public interface; each is imported when it is first used, so that `import spikeclip`
costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeclip.api import evaluate, train
    from spikeclip.data.opening import open_low_light
    from spikeclip.data.voxels import voxelize
    from spikeclip.networks import load_network as load
    from spikeclip.reconstruction import reconstruct

__all__ = ["evaluate", "load", "open_low_light", "reconstruct", "train", "voxelize"]

_HOMES = {
    "evaluate": ("spikeclip.api", "evaluate"),
    "load": ("spikeclip.networks", "load_network"),
    "open_low_light": ("spikeclip.data.opening", "open_low_light"),
    "reconstruct": ("spikeclip.reconstruction", "reconstruct"),
    "train": ("spikeclip.api", "train"),
    "voxelize": ("spikeclip.data.voxels", "voxelize"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module `spikeclip` has no attribute `{name}`")
    module, own_name = _HOMES[name]
    return getattr(import_module(module), own_name)


def __dir__() -> list[str]:
    return sorted(__all__)
