"""The golden references: published networks run once, with weights that a formula makes.

The rule of the formula stands in every golden's JSON (`fill`), and in `shared/golden/README.md`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hqgen.spikes.packed import PackedSpikes, Window


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Put `prefix` before every name."""
    return {prefix + name: value for name, value in state.items()}


CONTAINERS: dict[str, Callable[[dict[str, Tensor]], object]] = {
    "plain": lambda state: state,
    "data parallel": lambda state: prefixed(state, "module."),
    "compiled data parallel": lambda state: prefixed(state, "module._orig_mod."),
    "state_dict": lambda state: {"epoch": 3, "state_dict": prefixed(state, "module.")},
    "model": lambda state: {"model": state, "optimizer": {"lr": 0.1}},
    "params": lambda state: {"params": state, "iter": 1},
    "nested": lambda state: {"model": {"state_dict": prefixed(state, "net.")}},
}
"""The forms in which a state_dict is published."""


@dataclass(frozen=True)
class Golden:
    """One golden: its description, and its inputs and expected outputs by name."""

    meta: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    @property
    def tolerance(self) -> float:
        """Largest absolute deviation from the expected output."""
        return float(self.meta["tolerance_abs"])

    @property
    def parameter_count(self) -> int:
        """Parameters of the published network, of all its branches."""
        count = self.meta["parameter_count"]
        return int(count["total"] if isinstance(count, dict) else count)

    @property
    def tensors(self) -> list[tuple[str, tuple[int, ...]]]:
        """Names and shapes of the published state_dict, in its order."""
        return [(name, tuple(shape)) for name, shape, _ in self.meta["state_dict"]]

    def spikes(self, name: str = "spike") -> Tensor:
        """An input as a batch of one, float32 (1, T, H, W)."""
        return torch.from_numpy(self.arrays[name].astype(np.float32))[None]

    def window(self, name: str = "spike") -> Window:
        """An input as a method gets it, around its middle frame."""
        return Window(PackedSpikes.pack(self.arrays[name]), len(self.arrays[name]) // 2)

    def filled(self, network: nn.Module) -> nn.Module:
        """Give `network` the formula's weights and put it in eval mode.

        The golden's `overrides` are sentences: `NetworkCase.filled` applies them afterwards.
        """
        network.load_state_dict(formula_state(network, self.meta["fill"]))
        return network.eval()


def load_golden(shared: Path, name: str) -> Golden:
    """Read `golden/NAME.json` and `golden/NAME.npz`."""
    meta = json.loads((shared / "golden" / f"{name}.json").read_text())
    with np.load(shared / "golden" / f"{name}.npz") as arrays:
        return Golden(meta, dict(arrays))


def formula_state(network: nn.Module, fill: dict[str, Any]) -> dict[str, Tensor]:
    """The state_dict of `network` with the values of the rule `fill`."""
    state = network.state_dict()
    names = sorted(set(state) - set(fill.get("excluded", ())))
    floating = [name for name in names if state[name].is_floating_point()]
    for k, name in enumerate(floating):
        state[name] = _formula_tensor(name, state[name].shape, k, fill)
    return state


def _formula_tensor(name: str, shape: torch.Size, k: int, fill: dict[str, Any]) -> Tensor:
    if name.endswith("running_var"):
        return torch.ones(shape)
    if name.endswith("running_mean"):
        return torch.zeros(shape)
    scale = fill["gain"] / np.sqrt(np.prod(shape[1:])) if len(shape) >= 2 else fill["vec"]
    values = scale * np.sin(0.7 * k + 0.37 * np.arange(shape.numel()) + 0.1)
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)
