"""How far the picture has moved between two short windows of a recording, from their spike counts alone.

The counts of the first window are cut into blocks, and each block is looked for in the second one by block
matching. Cells of 4x4 pixels are added up first: a cell holds many spikes even in dim light, and the pattern
of a colour filter cancels out. The noise is measured on the pixels: it changes freely from one pixel to the
next, while a picture is smooth. So

- a block is *still* where no other place is better than its own one by more than noise explains,
- it is *gone* where the best place within reach leaves more than half of its picture unexplained,
- else it has *moved* to the nearest place that is as good as the best one, as far as noise can tell. The
  curvature of the difference around it gives the error in each direction (Anandan, IJCV 1989): it is large
  along an edge, and where there is little to see. Only what is beyond three such errors counts as motion.

All sums are whole numbers, so every machine finds the same motion.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hqgen.compiled import compiled
from hqgen.spikes.kernels import Bytes, count_spikes
from hqgen.spikes.packed import PackedSpikes

BLOCK = 32
"""Pixels a side of a block."""
CELL = 4
"""Pixels a side of a cell."""
SHARE = 0.05
"""Part of the blocks that must have moved by as much as the picture is said to have moved."""

SIDE = BLOCK // CELL
"""Cells a side of a block."""
SCATTER = math.sqrt(2) / SIDE
"""Standard deviation of a block's difference by noise alone, divided by its mean."""
SURE = 6.0
"""Standard deviations of noise that make a difference sure: the best of many places is better by chance."""
ERRORS = 3.0
"""Standard errors of a place that may be noise alone."""

Sums = NDArray[np.int32]


def displacement(before: PackedSpikes, after: PackedSpikes, reach: int) -> float:
    """Pixels by which the picture has moved between two windows of equally many frames.

    A twentieth of the blocks has moved at least so far. So a small thing that moves before a still background
    counts, and a single block that was measured wrong does not.

    Args:
        before: (T, H, W), around the first key frame; T at most 255.
        after: (T, H, W), around the second one.
        reach: the largest motion that is looked for along each axis, pixels; at least 1.

    Returns:
        0 or more; at least `reach` where the picture has moved farther, or has become another one.

    Raises:
        ValueError: the windows differ in shape or are too long, or the frames are too small for the reach.
    """
    blocks = block_displacements(before, after, reach)
    return float(np.sort(blocks, axis=None)[-math.ceil(SHARE * blocks.size)])


def smallest_side(reach: int) -> int:
    """Pixels that each side of a frame needs for a reach."""
    return BLOCK + 2 * reach + CELL


def block_displacements(before: PackedSpikes, after: PackedSpikes, reach: int) -> NDArray[np.float64]:
    """Pixels by which each block has moved: float64 (rows, columns) of blocks, from the top left one.

    Arguments and errors as for `displacement`.
    """
    if before.shape != after.shape or len(before) > np.iinfo(np.uint8).max:
        raise ValueError(f"two windows of up to 255 frames are compared, not {before.shape}, {after.shape}")
    room = [side - 2 * reach - CELL for side in before.shape[1:]]
    if min(room) < BLOCK:
        raise ValueError(f"frames of {before.height}x{before.width} are too small for a reach of {reach}")
    one, other = _counts(before), _counts(after)
    moved = np.empty((room[0] // BLOCK, room[1] // BLOCK))
    _match_blocks(one, other, _cells(one), _cells(other), reach, _nearest_first(reach), moved)
    return moved


def _counts(spikes: PackedSpikes) -> Bytes:
    return np.ascontiguousarray(count_spikes(spikes), np.uint8)  # a type and order, so a compilation, for all


def _cells(counts: Bytes) -> Sums:
    """Sums of cells that begin at every pixel: [y % 4, x % 4, y // 4, x // 4] of the pixel (y, x)."""
    height, width = counts.shape
    cells = np.empty((CELL, CELL, height // CELL - 1, width // CELL - 1), np.int32)
    _add_up(counts, cells)
    return cells


def _nearest_first(reach: int) -> NDArray[np.int64]:
    """Places around a block, (N, 2) as (y, x), from its own place to the corners."""
    side = np.arange(-reach, reach + 1)
    places = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    return places[np.argsort((places**2).sum(axis=1), kind="stable")]


@compiled
def _add_up(counts: Bytes, cells: Sums) -> None:
    """Write the sums of `_cells`."""
    _, _, rows, columns = cells.shape
    high = np.empty(CELL * (columns + 1), np.int32)
    for y in range(CELL * rows):
        for x in range(high.size):
            high[x] = np.int32(counts[y, x]) + counts[y + 1, x] + counts[y + 2, x] + counts[y + 3, x]
        for phase in range(CELL):
            row = cells[y % CELL, phase, y // CELL]
            for j in range(columns):
                x = CELL * j + phase
                row[j] = high[x] + high[x + 1] + high[x + 2] + high[x + 3]


@compiled
def _match_blocks(
    one: Bytes,
    other: Bytes,
    one_cells: Sums,
    other_cells: Sums,
    reach: int,
    places: NDArray[np.int64],
    moved: NDArray[np.float64],
) -> None:
    """Write how far each block has moved; see `block_displacements`."""
    costs = np.empty((2 * reach + 1, 2 * reach + 1), np.float64)
    for row in range(moved.shape[0]):
        for column in range(moved.shape[1]):
            top, left = reach + row * BLOCK, reach + column * BLOCK
            block = _block(one_cells, top, left)
            still = _difference(block, _block(other_cells, top, left))
            if still <= (1 + SCATTER) * _noise(one, other, top, left, 0, 0):
                moved[row, column] = 0
                continue
            y, x = _search(block, other_cells, top, left, places, costs)
            best = costs[reach + y, reach + x]
            noise = _noise(one, other, top, left, y, x)
            picture = _variation(block) + _variation(_block(other_cells, top + y, left + x))
            if best > (1 + SURE * SCATTER) * noise + max(picture - noise, 0.0) / 2:
                moved[row, column] = reach
            elif still <= best + SURE * SCATTER * noise:
                moved[row, column] = 0
            else:
                y, x = _nearest(costs, places, best + SURE / 2 * SCATTER * noise)
                if max(abs(y), abs(x)) == reach:
                    moved[row, column] = reach
                else:
                    around = costs[reach + y - 1 : reach + y + 2, reach + x - 1 : reach + x + 2]
                    moved[row, column] = _beyond_error(around, y, x, noise / SIDE**2)


@compiled
def _block(cells: Sums, top: int, left: int) -> Sums:
    """The cells (8, 8) of the block at a pixel."""
    i, j = top // CELL, left // CELL
    return cells[top % CELL, left % CELL, i : i + SIDE, j : j + SIDE]


@compiled
def _search(
    block: Sums, cells: Sums, top: int, left: int, places: NDArray[np.int64], costs: NDArray[np.float64]
) -> tuple[int, int]:
    """The place that costs least, of several the nearest; writes the cost of each."""
    reach = costs.shape[0] // 2
    best, y, x = np.inf, 0, 0
    for k in range(places.shape[0]):
        dy, dx = places[k, 0], places[k, 1]
        cost = _difference(block, _block(cells, top + dy, left + dx))
        costs[reach + dy, reach + dx] = cost
        if cost < best:
            best, y, x = cost, dy, dx
    return y, x


@compiled
def _difference(block: Sums, other: Sums) -> float:
    """Sum of squared differences of two blocks, apart from that of their brightness."""
    total, square = np.int32(0), np.int64(0)
    for i in range(SIDE):
        line = np.int32(0)  # the squares of 8 cells of 255 frames fit
        for j in range(SIDE):
            step = np.int32(block[i, j] - other[i, j])
            total = np.int32(total + step)
            line = np.int32(line + np.int32(step * step))
        square += line
    return square - total * np.float64(total) / SIDE**2


@compiled
def _variation(block: Sums) -> float:
    """Sum of squared differences of a block from its mean."""
    total, square = np.int64(0), np.int64(0)
    for i in range(SIDE):
        for j in range(SIDE):
            total += block[i, j]
            square += np.int64(block[i, j]) * block[i, j]
    return square - total * np.float64(total) / SIDE**2


@compiled
def _noise(one: Bytes, other: Bytes, top: int, left: int, y: int, x: int) -> float:
    """The difference of a block and a place by noise alone, as neighbouring pixels show it."""
    square = np.int64(0)
    for i in range(top, top + BLOCK):
        up, low = one[i, left : left + BLOCK + 1], one[i + 1, left : left + BLOCK + 1]
        v, u = i + y, left + x
        other_up, other_low = other[v, u : u + BLOCK + 1], other[v + 1, u : u + BLOCK + 1]
        line = np.int32(0)
        for j in range(BLOCK):
            first = np.int32(up[j]) - np.int32(up[j + 1]) - np.int32(low[j]) + np.int32(low[j + 1])
            second = (
                np.int32(other_up[j])
                - np.int32(other_up[j + 1])
                - np.int32(other_low[j])
                + np.int32(other_low[j + 1])
            )
            step = np.int32(first - second)
            line = np.int32(line + np.int32(step * step))
        square += line
    return square / 4.0  # four pixels in each term; and as many terms as pixels in all cells of a block


@compiled
def _nearest(costs: NDArray[np.float64], places: NDArray[np.int64], limit: float) -> tuple[int, int]:
    """The nearest place that does not cost more than the limit."""
    reach = costs.shape[0] // 2
    for k in range(places.shape[0]):
        y, x = places[k]
        if costs[reach + y, reach + x] <= limit:
            return y, x
    return 0, 0


@compiled
def _beyond_error(costs: NDArray[np.float64], y: int, x: int, variance: float) -> float:
    """Length of the way to the lowest point of the costs (3, 3) around a place, less its error.

    The costs are taken as a parabola; both are measured along its main axes.
    """
    slope_y, slope_x = (costs[2, 1] - costs[0, 1]) / 2, (costs[1, 2] - costs[1, 0]) / 2
    yy = costs[2, 1] - 2 * costs[1, 1] + costs[0, 1]
    xx = costs[1, 2] - 2 * costs[1, 1] + costs[1, 0]
    xy = (costs[2, 2] - costs[2, 0] - costs[0, 2] + costs[0, 0]) / 4
    angle = math.atan2(2 * xy, xx - yy) / 2
    square = 0.0
    for u, v in ((math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))):
        curvature = u * u * xx + 2 * u * v * xy + v * v * yy
        if curvature > 0:
            step = -(u * slope_x + v * slope_y) / curvature
            way = abs(u * x + v * y + min(max(step, -1.0), 1.0))
            square += max(way - ERRORS * math.sqrt(2 * variance / curvature), 0.0) ** 2
    return math.sqrt(square)
