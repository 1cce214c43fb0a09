"""The iteration of `variational_model`, compiled, for one core.

Arrays have the axes (row, step, column). A row of all steps is the unit of work: its solve along time runs
over whole rows of pixels, which the compiler turns into vector instructions, and what a row needs stays in
the second cache. One pass over the picture does a whole iteration: when the charge of a row is new, the dual
variables of the row above can follow, because nothing else needs their old values.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hqgen.compiled import compiled
from hqgen.methods.variational_links import bounds
from hqgen.methods.variational_model import Doubles, Floats, Problem, metric, start_matrix

Spikes = NDArray[np.uint8]


class State(NamedTuple):
    """Where the iteration is.

    Attributes:
        charge: u, the charge about the middle of its box, float32 (H, T + 1, W).
        box: q, the dual variable of the bounds, the same shape.
        dual: p, that of the total variation, along time, x and y, float32 (H, 3, T, W).
    """

    charge: Floats
    box: Floats
    dual: Floats


def start(spikes: Spikes) -> State:
    """The smooth start for the spikes n (H, T, W) of every step."""
    height, steps, width = spikes.shape
    charge = np.empty((height, steps + 1, width), np.float32)
    _start(spikes, _factors(start_matrix(steps)), charge)
    return State(charge, np.zeros_like(charge), np.zeros((height, 3, steps, width), np.float32))


def iterate(state: State, spikes: Spikes, links: Floats, problem: Problem, iterations: int) -> State:
    """Run the iteration further.

    Args:
        state: where to begin; not changed.
        spikes: n (H, T, W), spikes in every step.
        links: what a change in time is (H, 4, W): `variational_links`.
        problem: the constants.
        iterations: how many.
    """
    state = State(*(part.copy() for part in state))
    factors = _factors(metric(problem, spikes.shape[1], bounds(links)))
    numbers = np.array(
        [
            problem.box_step,
            problem.box_step * (0.5 + problem.slack),
            problem.variation_step,
            1 / (1 + problem.variation_step * problem.huber),
        ],
        np.float32,
    )
    for _ in range(iterations):
        _iterate(state.charge, state.box, state.dual, spikes, links, factors, numbers)
    return state


def _factors(matrix: Doubles) -> Floats:
    """Cholesky factor of a matrix with five diagonals: (3, n), inverses of its diagonal, then the others."""
    lower = np.linalg.cholesky(matrix)
    factors = np.zeros((3, len(matrix)), np.float32)
    factors[0] = 1 / np.diag(lower)
    factors[1, 1:] = np.diag(lower, -1)
    factors[2, 2:] = np.diag(lower, -2)
    return factors


@compiled
def _start(spikes: Spikes, factors: Floats, charge: Floats) -> None:
    """The charge that a smoothing spline through the middle of the boxes gives."""
    height, steps, width = spikes.shape
    middle = np.empty((steps + 1, width), np.float32)
    for y in range(height):
        middle[0, :] = 0.5
        for t in range(steps):
            for x in range(width):
                middle[t + 1, x] = middle[t, x] + np.float32(spikes[y, t, x])
        for t in range(steps + 1):
            for x in range(width):
                charge[y, t, x] = middle[t, x]
        _solve_along_time(factors, charge[y])
        for t in range(steps + 1):
            for x in range(width):
                charge[y, t, x] -= middle[t, x]


@compiled
def _solve_along_time(factors: Floats, row: Floats) -> None:
    """Replace row (n, W) by the solution of M z = row: forward, then backward through the factors."""
    edges = row.shape[0]
    for t in range(edges):
        before, further = row[max(t - 1, 0)], row[max(t - 2, 0)]  # at the ends their factors are 0
        _eliminate(row[t], before, further, factors[0, t], factors[1, t], factors[2, t])
    last = edges - 1
    for t in range(last, -1, -1):
        one = factors[1, t + 1] if t < last else np.float32(0)
        two = factors[2, t + 2] if t < last - 1 else np.float32(0)
        _eliminate(row[t], row[min(t + 1, last)], row[min(t + 2, last)], factors[0, t], one, two)


@compiled
def _eliminate(
    row: Floats, near: Floats, far: Floats, scale: np.float32, one: np.float32, two: np.float32
) -> None:
    for x in range(row.size):
        row[x] = (row[x] - one * near[x] - two * far[x]) * scale


@compiled
def _iterate(
    charge: Floats, box: Floats, dual: Floats, spikes: Spikes, links: Floats, factors: Floats, numbers: Floats
) -> None:
    """One iteration in one pass; the first three arrays change."""
    height, edges, width = charge.shape
    step = np.empty((edges, width), np.float32)
    current, above = np.empty((edges - 1, width), np.float32), np.empty((edges - 1, width), np.float32)
    no_dual, no_links = np.zeros_like(dual[0]), np.zeros_like(links[0])
    for y in range(height):
        if y > 0:
            _divergence(dual[y], dual[y - 1], links[y], links[y - 1], current)
        else:
            _divergence(dual[y], no_dual, links[y], no_links, current)
        _slope(box[y], current, step)
        _solve_along_time(factors, step)
        _descend(charge[y], box[y], spikes[y], step, numbers, current)
        if y > 0:
            _ascend(dual[y - 1], above, current, links[y - 1], numbers)
        current, above = above, current
    _ascend(dual[height - 1], above, above, links[height - 1], numbers)


@compiled
def _divergence(dual: Floats, above: Floats, links: Floats, links_above: Floats, light: Floats) -> None:
    """G^T p of one row: light (T, W) of its p (3, T, W) and of the p of the row above."""
    steps, width = light.shape
    for t in range(steps):
        current, right, down, over = light[t], dual[1, t], dual[2, t], above[2, t]
        current[0] = -right[0]
        for x in range(1, width):
            current[x] = right[x - 1] - right[x]
        for x in range(width):
            current[x] += over[x] - down[x]
    k0, k1, wx, wy = links[0], links[1], links[2], links[3]
    a1, ax, ay = links_above[1], links_above[2], links_above[3]
    for t in range(steps - 1):
        early, late, p, q = light[t], light[t + 1], dual[0, t], above[0, t]
        for x in range(width):
            both = q[x] * (ay[x] - ax[x]) - p[x] * (wx[x] + wy[x])
            change = p[x] * (k0[x] + k1[x]) + q[x] * a1[x]
            late[x] += both + change
            early[x] += both - change
        for x in range(width - 1):
            both = p[x] * (wx[x] - wy[x]) + q[x] * (ax[x] + ay[x])
            change = p[x] * k1[x] + q[x] * a1[x]
            late[x + 1] += both + change
            early[x + 1] += both - change


@compiled
def _slope(box: Floats, light: Floats, step: Floats) -> None:
    """The step before the solve: q + D^T G^T p of one row."""
    steps, width = light.shape
    for t in range(steps + 1):
        current = step[t]
        for x in range(width):
            current[x] = box[t, x]
        if t > 0:
            for x in range(width):
                current[x] += light[t - 1, x]
        if t < steps:
            for x in range(width):
                current[x] -= light[t, x]


@compiled
def _descend(
    charge: Floats, box: Floats, spikes: Spikes, step: Floats, numbers: Floats, light: Floats
) -> None:
    """New charge and new dual variable of the bounds of one row; light becomes J."""
    edges, width = charge.shape
    rise, reach, zero = numbers[0], numbers[1], np.float32(0)
    for t in range(edges):
        c, q, s = charge[t], box[t], step[t]
        for x in range(width):
            new = c[x] - s[x]
            c[x] = new
            s[x] = new - s[x]
            z = q[x] + rise * s[x]
            q[x] = max(z - reach, zero) + min(z + reach, zero)
    for t in range(edges - 1):
        for x in range(width):
            light[t, x] = step[t + 1, x] - step[t, x] + np.float32(spikes[t, x])


@compiled
def _ascend(dual: Floats, light: Floats, below: Floats, links: Floats, numbers: Floats) -> None:
    """New p (3, T, W) of one row, from the light of this row and of the one below it (T, W)."""
    steps, width = light.shape
    rise, shrink, one = numbers[2], numbers[3], np.float32(1)
    right, change = np.zeros(width, np.float32), np.zeros(width, np.float32)
    for t in range(steps):
        current, under = light[t], below[t]
        for x in range(width - 1):
            right[x] = current[x + 1] - current[x]
        if t < steps - 1:
            _change_along_links(current, under, light[t + 1], below[t + 1], links, change)
        else:
            change[:] = 0
        p, q, r = dual[0, t], dual[1, t], dual[2, t]
        for x in range(width):
            a = (p[x] + rise * change[x]) * shrink
            b = (q[x] + rise * right[x]) * shrink
            c = (r[x] + rise * (under[x] - current[x])) * shrink
            scale = one / max(np.sqrt(a * a + b * b + c * c), one)
            p[x] = a * scale
            q[x] = b * scale
            r[x] = c * scale


@compiled
def _change_along_links(
    current: Floats, under: Floats, later: Floats, later_under: Floats, links: Floats, change: Floats
) -> None:
    """The change in time of one row, from its light and that of the row below, in this step and the next."""
    k0, k1, wx, wy = links[0], links[1], links[2], links[3]
    last = current.size - 1
    for x in range(last):
        m0, m1 = later[x] - current[x], later[x + 1] - current[x + 1]
        m2, m3 = later_under[x] - under[x], later_under[x + 1] - under[x + 1]
        s0, s1 = later[x] + current[x], later[x + 1] + current[x + 1]
        s2, s3 = later_under[x] + under[x], later_under[x + 1] + under[x + 1]
        moving = k1[x] * (m0 + m1 + m2 + m3) + wx[x] * (s1 + s3 - s0 - s2) + wy[x] * (s2 + s3 - s0 - s1)
        change[x] = k0[x] * m0 + moving
    change[last] = k0[last] * (later[last] - current[last])
