"""The iteration of `variational_model` in PyTorch: for a GPU, and as the plain form of the compiled one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from hqgen.devices import exact_arithmetic
from hqgen.methods.variational_kernels import Spikes, State
from hqgen.methods.variational_links import bounds
from hqgen.methods.variational_model import Floats, Problem, metric


def iterate(
    state: State, spikes: Spikes, links: Floats, problem: Problem, iterations: int, device: str
) -> State:
    """As `variational_kernels.iterate`, on `device`; equal to it but for the rounding of float32.

    M^-1 is a full matrix here: multiplying by it is one kernel, where a solve would be one for every step.
    """
    with exact_arithmetic():
        charge, box, dual, fired, along = (
            torch.from_numpy(each).to(device).float() for each in (*state, spikes, links)
        )
        matrix = np.linalg.inv(metric(problem, spikes.shape[1], bounds(links)))
        inverse = torch.from_numpy(matrix.astype(np.float32)).to(device)
        for _ in range(iterations):
            step = inverse @ (box + _adjoint_of_diff(_divergence(dual, along)))
            charge = charge - step
            ahead = charge - step
            box = box + problem.box_step * ahead
            box = torch.nn.functional.softshrink(box, problem.box_step * (0.5 + problem.slack))
            light = ahead.diff(dim=1) + fired
            dual = _project(dual + problem.variation_step * _gradient(light, along), problem)
        return State(*(each.cpu().numpy() for each in (charge, box, dual)))


def _weights(links: Tensor) -> Iterator[tuple[int, int, Tensor, Tensor]]:
    """Corners of a cell: row, column, and the weights (H, 1, W) of this step and of the next one there."""
    k0, k1, wx, wy = (links[:, index, None] for index in range(4))
    for row in (0, 1):
        for column in (0, 1):
            moved = (2 * column - 1) * wx + (2 * row - 1) * wy
            change = k1 if row or column else k1 + k0
            height, width = links.shape[0] - row, links.shape[2] - column
            yield row, column, (moved - change)[:height, :, :width], (moved + change)[:height, :, :width]


def _gradient(light: Tensor, links: Tensor) -> Tensor:
    """G: (H, T, W) to (H, 3, T, W)."""
    change, right, down = (torch.zeros_like(light) for _ in range(3))
    for row, column, early, late in _weights(links):
        corner = light[row:, :, column:]
        height, _, width = corner.shape
        change[:height, :-1, :width] += early * corner[:, :-1] + late * corner[:, 1:]
    right[:, :, :-1] = light.diff(dim=2)
    down[:-1] = light.diff(dim=0)
    return torch.stack([change, right, down], dim=1)


def _divergence(dual: Tensor, links: Tensor) -> Tensor:
    """The transpose of `_gradient`."""
    light = torch.zeros_like(dual[:, 0])
    for row, column, early, late in _weights(links):
        corner = light[row:, :, column:]
        height, _, width = corner.shape
        change = dual[:height, 0, :-1, :width]
        corner[:, :-1] += early * change
        corner[:, 1:] += late * change
    right, down = dual[:, 1, :, :-1], dual[:-1, 2]
    light[:, :, 1:] += right
    light[:, :, :-1] -= right
    light[1:] += down
    light[:-1] -= down
    return light


def _adjoint_of_diff(light: Tensor) -> Tensor:
    """D^T: (H, T, W) to (H, T + 1, W)."""
    return -torch.nn.functional.pad(light, (0, 0, 1, 1)).diff(dim=1)


def _project(dual: Tensor, problem: Problem) -> Tensor:
    shrunk = dual / (1 + problem.variation_step * problem.huber)
    return shrunk / shrunk.square().sum(dim=1, keepdim=True).sqrt().clamp(min=1)
