"""The iteration converges to the least energy: against scipy, and by the gap to the dual problem."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from hqgen.methods.variational_kernels import State, iterate, start
from hqgen.methods.variational_links import at_rest, bounds
from hqgen.methods.variational_model import Floats, Problem, metric
from tests.methods.test_variational_links import random_links
from tests.methods.variational_proof import energy, light, lower_bound, violation

SHAPE = (4, 6, 5)
"""Rows, steps, columns of the small problem."""


def small_spikes(seed: int, rate: float = 0.4, shape: tuple[int, int, int] = SHAPE) -> NDArray[np.uint8]:
    return (np.random.default_rng(seed).random(shape) < rate).astype(np.uint8)


def solve(spikes: NDArray[np.uint8], links: Floats, problem: Problem, iterations: int) -> State:
    return iterate(start(spikes), spikes, links, problem, iterations)


def gradient(lights: NDArray[np.float64], links: Floats) -> NDArray[np.float64]:
    """G I: (3, H, T, W), from its definition."""
    padded = np.pad(lights, ((0, 1), (0, 1), (0, 1)))
    change = np.zeros_like(lights)
    for row in (0, 1):
        for column in (0, 1):
            k0, k1, wx, wy = (links[:, index, None] for index in range(4))
            corner = padded[row : row + lights.shape[0], :, column : column + lights.shape[2]]
            early, late, moved = corner[:, :-1], corner[:, 1:], (2 * column - 1) * wx + (2 * row - 1) * wy
            change += (k1 + (k0 if row == column == 0 else 0)) * (late - early) + moved * (late + early)
    change[:, -1] = 0
    return np.stack([change, *(np.diff(lights, axis=a, append=np.take(lights, [-1], a)) for a in (2, 0))])


def operator(shape: tuple[int, int, int], links: Floats) -> NDArray[np.float64]:
    """The matrix of u -> G D u, by its columns."""
    height, steps, width = shape
    columns = []
    for index in range(height * (steps + 1) * width):
        charge = np.zeros(height * (steps + 1) * width)
        charge[index] = 1
        lights = light(charge.reshape(height, steps + 1, width), np.zeros(shape, np.uint8))
        columns.append(gradient(lights, links).ravel())
    return np.stack(columns, axis=1)


@pytest.mark.parametrize(
    ("links", "slack"), [(at_rest(4, 5, 4.0), 0.0), (at_rest(4, 5, 1.0), 0.1), (random_links(4, 5), 0.0)]
)
def test_the_energy_is_that_of_an_exact_solver(links: Floats, slack: float) -> None:
    problem = Problem(huber=0.05, slack=slack)
    spikes = small_spikes(0)
    height, steps, width = SHAPE
    matrix, e = operator(SHAPE, links), problem.huber
    constant = gradient(spikes.astype(np.float64), links).ravel()

    def value(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        parts = (matrix @ flat + constant).reshape(3, -1)
        length = np.sqrt((parts**2).sum(axis=0))
        inner = np.where(length <= e, length**2 / (2 * e), length - e / 2).sum()
        return float(inner), matrix.T @ (parts / np.maximum(length, e)).ravel()

    reach, size = 0.5 + problem.slack, height * (steps + 1) * width
    exact = minimize(
        value,
        np.zeros(size),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-reach, reach)] * size,
        options={"maxiter": 20000, "maxfun": 40000, "ftol": 1e-13, "gtol": 1e-9, "maxcor": 50},
    )
    assert exact.success
    charge, _, dual = solve(spikes, links, problem, 4000)
    assert violation(charge, problem) < 1e-5
    assert energy(charge, spikes, links, problem) == pytest.approx(exact.fun, rel=1e-4)
    assert lower_bound(dual, spikes, links, problem) == pytest.approx(exact.fun, rel=5e-3)


@pytest.mark.parametrize(("huber", "slack"), [(0.0, 0.0), (0.01, 0.0), (0.01, 0.2)])
def test_the_gap_to_the_dual_problem_closes(huber: float, slack: float) -> None:
    spikes, problem = small_spikes(1, 0.3, (12, 20, 16)), Problem(huber=huber, slack=slack)
    links = at_rest(12, 16, problem.time)
    gaps = []
    for iterations in (20, 200, 2000):
        charge, _, dual = solve(spikes, links, problem, iterations)
        boxed = np.clip(charge, -0.5 - slack, 0.5 + slack)
        upper = energy(boxed, spikes, links, problem)
        gaps.append((upper - lower_bound(dual, spikes, links, problem)) / upper)
    assert gaps[0] > 3 * gaps[1] > 0
    assert 0 <= gaps[2] < 0.01
    assert gaps[2] < gaps[1]


@given(seed=st.integers(0, 2**32 - 1), slack=st.floats(0, 0.5), huber=st.just(0.0) | st.floats(0.001, 0.5))
def test_no_charge_in_the_box_is_below_the_bound(seed: int, slack: float, huber: float) -> None:
    rng, problem = np.random.default_rng(seed), Problem(slack=slack, huber=huber)
    height, steps, width = SHAPE
    spikes = small_spikes(seed)
    charge = rng.uniform(-0.5 - slack, 0.5 + slack, (height, steps + 1, width))
    dual = rng.normal(size=(height, 3, steps, width))
    dual /= np.maximum(1, np.sqrt((dual**2).sum(axis=1, keepdims=True)))
    assert violation(charge, problem) == 0
    links = random_links(height, width)
    assert lower_bound(dual, spikes, links, problem) <= energy(charge, spikes, links, problem) + 1e-9


@pytest.mark.parametrize("links", [at_rest(4, 5, 0.5), at_rest(4, 5, 4.0), random_links(4, 5)])
def test_the_metric_covers_the_operator(links: Floats) -> None:
    problem = Problem()
    height, steps, width = SHAPE
    matrix = operator(SHAPE, links)
    covered = problem.box_step * np.eye(matrix.shape[1]) + problem.variation_step * matrix.T @ matrix
    along_time = metric(problem, steps, bounds(links))
    whole = np.einsum("tu,yv,xw->ytxvuw", along_time, np.eye(height), np.eye(width))
    rest = whole.reshape(covered.shape) - covered
    assert np.linalg.eigvalsh(rest).min() > -1e-6 * np.abs(covered).max()
