"""What a solution of `variational` is measured by: its energy, its bounds, and a bound of all energies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hqgen.methods.variational_model import Doubles, Floats, Problem


def light(charge: NDArray[np.floating], spikes: NDArray[np.uint8]) -> Doubles:
    """I (H, T, W), spikes per step, of the charge u (H, T + 1, W) and the spikes n (H, T, W)."""
    return np.diff(charge.astype(np.float64), axis=1) + spikes


def energy(charge: NDArray[np.floating], spikes: NDArray[np.uint8], links: Floats, problem: Problem) -> float:
    """E of a charge u (H, T + 1, W) with the spikes n (H, T, W) and the links (H, 4, W)."""
    lights = light(charge, spikes)
    parts = (_change(lights, links), _forward(lights, 2), _forward(lights, 0))
    length, e = np.sqrt(sum(part**2 for part in parts)), problem.huber
    near = length**2 / (2 * e) if e > 0 else length
    return float(np.where(length <= e, near, length - e / 2).sum())


def violation(charge: NDArray[np.floating], problem: Problem) -> float:
    """The farthest that a charge u is outside of its box, in spikes."""
    return max(0.0, float(np.abs(charge).max()) - 0.5 - problem.slack)


def lower_bound(
    dual: NDArray[np.floating], spikes: NDArray[np.uint8], links: Floats, problem: Problem
) -> float:
    """What the energy of no charge in the box can be below: the value of the dual problem.

    For every p with |p| <= 1 the least of <p, G I> - e / 2 |p|^2 over the box is
    <G^T p, n> - (1/2 + slack) |D^T G^T p|_1 - e / 2 |p|^2.

    Args:
        dual: p (H, 3, T, W), along time, x and y; its length is at most 1 at every place.
        spikes: n (H, T, W).
        links: L (H, 4, W).
        problem: the constants.
    """
    p = dual.astype(np.float64)
    spread = _change_adjoint(p[:, 0], links)
    spread += _forward_adjoint(p[:, 1], 2) + _forward_adjoint(p[:, 2], 0)
    edge = np.zeros((spread.shape[0], 1, spread.shape[2]))
    slope = np.diff(np.concatenate([edge, spread, edge], axis=1), axis=1)
    value = (spread * spikes).sum() - (0.5 + problem.slack) * np.abs(slope).sum()
    return float(value - problem.huber / 2 * (p**2).sum())


def _forward(values: Doubles, axis: int) -> Doubles:
    """Forward differences along an axis, 0 at its end."""
    end = np.take(values, [-1], axis)
    return np.diff(values, axis=axis, append=end)


def _forward_adjoint(dual: Doubles, axis: int) -> Doubles:
    """The transpose of `_forward`; the values at the end of the axis count as 0."""
    inner = np.take(dual, range(dual.shape[axis] - 1), axis)
    edge = np.zeros_like(np.take(dual, [0], axis))
    return -np.diff(np.concatenate([edge, inner, edge], axis), axis=axis)


def _weights(links: Floats) -> list[tuple[slice, slice, Floats, Floats]]:
    """Corners of a cell: rows, columns, and the weights (H, 1, W) of this step and of the next one there."""
    k0, k1, wx, wy = (links[:, index, None] for index in range(4))
    corners = []
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        moved = (2 * column - 1) * wx + (2 * row - 1) * wy
        change = k1 + k0 if row == column == 0 else k1
        corners.append((slice(row, None), slice(column, None), moved - change, moved + change))
    return corners


def _change(lights: Doubles, links: Floats) -> Doubles:
    """L I; 0 in the last step."""
    change = np.zeros_like(lights)
    for rows, columns, early, late in _weights(links):
        corner = lights[rows, :, columns]
        height, _, width = corner.shape
        change[:height, :-1, :width] += (early[:height, :, :width] * corner[:, :-1]) + (
            late[:height, :, :width] * corner[:, 1:]
        )
    return change


def _change_adjoint(dual: Doubles, links: Floats) -> Doubles:
    """The transpose of `_change`."""
    spread = np.zeros_like(dual)
    for rows, columns, early, late in _weights(links):
        corner = spread[rows, :, columns]
        height, _, width = corner.shape
        corner[:, :-1] += early[:height, :, :width] * dual[:height, :-1, :width]
        corner[:, 1:] += late[:height, :, :width] * dual[:height, :-1, :width]
    return spread
