"""Compiled parts of `hqgen.methods.flow`. Fields and pictures are float32; arrays named last are written."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hqgen.compiled import compiled

Floats = NDArray[np.float32]


@compiled
def sampled(picture: Floats, y: float, x: float) -> float:
    """The picture (H, W) between its pixels, bilinearly; (y, x) is inside of it."""
    height, width = picture.shape
    top, left = int(y), int(x)
    low, right = min(top + 1, height - 1), min(left + 1, width - 1)
    b, a = np.float32(y - top), np.float32(x - left)
    upper = picture[top, left] + a * (picture[top, right] - picture[top, left])
    lower = picture[low, left] + a * (picture[low, right] - picture[low, left])
    value: float = upper + b * (lower - upper)
    return value


@compiled
def enlarge(field: Floats, larger: Floats) -> None:
    """The field (2, h, w) on twice as many pixels a side, (2, H, W), where all ways are twice as long."""
    _, height, width = field.shape
    for axis in range(2):
        for y in range(larger.shape[1]):
            for x in range(larger.shape[2]):
                row = min(max(y / 2 - 0.25, 0.0), height - 1.0)
                column = min(max(x / 2 - 0.25, 0.0), width - 1.0)
                larger[axis, y, x] = 2 * sampled(field[axis], row, column)


@compiled
def fit_blocks(
    blocks: Floats, times: Floats, basis: Floats, speed: Floats, bend: Floats, fit: Floats
) -> None:
    """Fit mean + trend * basis at every pixel to the blocks moved back along the motion.

    Args:
        blocks: (K, H, W); those that a trajectory meets outside of the picture are left out.
        times: (K,), frames after the key frame.
        basis: (K,).
        speed: (2, H, W), pixels per frame.
        bend: (2, H, W), pixels per frame and frame.
        fit: (4, H, W): mean, trend, variance that is left, and by how much smaller that of the trend is.
    """
    count, height, width = blocks.shape
    values, places = np.empty(count, np.float32), np.empty(count, np.float32)
    for y in range(height):
        for x in range(width):
            met = 0
            for k in range(count):
                t = times[k]
                column = x + (speed[0, y, x] + bend[0, y, x] * t / 2) * t
                row = y + (speed[1, y, x] + bend[1, y, x] * t / 2) * t
                if 0 <= column <= width - 1 and 0 <= row <= height - 1:
                    values[met] = sampled(blocks[k], row, column)
                    places[met] = basis[k]
                    met += 1
            _fit_line(places[:met], values[:met], fit[:, y, x])


@compiled
def _fit_line(places: Floats, values: Floats, fit: Floats) -> None:
    """Mean, trend, variance that is left and spread of the places; 0 where there are too few values."""
    fit[:] = 0
    count = len(values)
    if count == 0:
        return
    middle, mean = places.sum() / count, values.sum() / count
    fit[0] = mean
    spread, product, square = np.float32(0), np.float32(0), np.float32(0)
    for k in range(count):
        place, value = places[k] - middle, values[k] - mean
        spread += place * place
        product += place * value
        square += value * value
    if spread > 0 and count > 2:
        fit[1] = product / spread
        fit[2] = max(square - product * product / spread, np.float32(0)) / (count - 2)
        fit[3] = spread


@compiled
def equations(fit: Floats, noise: np.float32, tensor: Floats) -> None:
    """The equation trend + gradient . d = 0 of every pixel, squared, in units of its noise.

    Args:
        fit: (4, H, W) of `fit_blocks`.
        noise: variance of a block.
        tensor: (5, H, W): xx, xy, yy, x trend and y trend.
    """
    mean = fit[0]
    height, width = mean.shape
    for y in range(height):
        up, down = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width):
            left, right = max(x - 1, 0), min(x + 1, width - 1)
            gx = (mean[y, right] - mean[y, left]) / 2
            gy = (mean[down, x] - mean[up, x]) / 2
            trend, weight = fit[1, y, x], fit[3, y, x] / noise
            tensor[0, y, x] = weight * gx * gx
            tensor[1, y, x] = weight * gx * gy
            tensor[2, y, x] = weight * gy * gy
            tensor[3, y, x] = weight * gx * trend
            tensor[4, y, x] = weight * gy * trend


REFRESH = 8
"""Sweeps after which the bonds are measured again: they change less than what they bind."""
OVER = 1.8
"""Over-relaxation."""


@compiled
def relax(
    tensor: Floats, field: Floats, step: Floats, stiffness: np.float32, edge: np.float32, sweeps: int
) -> None:
    """Find the step that satisfies the equations while field + step stays smooth (over-relaxation).

    Args:
        tensor: (5, H, W) of `equations`.
        field: (2, H, W).
        step: (2, H, W), from where it starts; changed.
        stiffness: one over the squared usual change between neighbours.
        edge: one over the squared change that makes an edge.
        sweeps: how many times every pixel is solved.
    """
    _, height, width = field.shape
    bonds = np.zeros((2, height + 1, width + 1), np.float32)
    total = field + step
    for sweep in range(sweeps):
        if sweep % REFRESH == 0:
            _measure_bonds(total, stiffness, edge, bonds)
        for y in range(height):
            for x in range(width):
                _solve(y, x, tensor, field, bonds, total)
    step[:] = total - field


@compiled
def _measure_bonds(total: Floats, stiffness: np.float32, edge: np.float32, bonds: Floats) -> None:
    """How strongly pixels are bound to their left and upper neighbours: (2, H + 1, W + 1), 0 at borders."""
    _, height, width = total.shape
    for y in range(height):
        for x in range(1, width):
            u, v = total[0, y, x] - total[0, y, x - 1], total[1, y, x] - total[1, y, x - 1]
            bonds[0, y, x] = stiffness / np.sqrt(1 + (u * u + v * v) * edge)
    for y in range(1, height):
        for x in range(width):
            u, v = total[0, y, x] - total[0, y - 1, x], total[1, y, x] - total[1, y - 1, x]
            bonds[1, y, x] = stiffness / np.sqrt(1 + (u * u + v * v) * edge)


@compiled
def _solve(y: int, x: int, tensor: Floats, field: Floats, bonds: Floats, total: Floats) -> None:
    """Solve one pixel with its neighbours as they are, and go beyond the solution."""
    _, height, width = field.shape
    left, right, up, down = bonds[0, y, x], bonds[0, y, x + 1], bonds[1, y, x], bonds[1, y + 1, x]
    x0, x1, y0, y1 = max(x - 1, 0), min(x + 1, width - 1), max(y - 1, 0), min(y + 1, height - 1)
    bond = left + right + up + down + np.float32(1e-6)
    u = left * total[0, y, x0] + right * total[0, y, x1] + up * total[0, y0, x] + down * total[0, y1, x]
    v = left * total[1, y, x0] + right * total[1, y, x1] + up * total[1, y0, x] + down * total[1, y1, x]
    xx, xy, yy = tensor[0, y, x], tensor[1, y, x], tensor[2, y, x]
    u += xx * field[0, y, x] + xy * field[1, y, x] - tensor[3, y, x]
    v += xy * field[0, y, x] + yy * field[1, y, x] - tensor[4, y, x]
    a, b = xx + bond, yy + bond
    scale = np.float32(OVER) / (a * b - xy * xy)
    keep = np.float32(1 - OVER)
    total[0, y, x] = keep * total[0, y, x] + scale * (b * u - xy * v)
    total[1, y, x] = keep * total[1, y, x] + scale * (a * v - xy * u)
