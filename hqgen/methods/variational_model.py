"""What the method `variational` minimises, and numbers that its solvers share.

A pixel that starts with the charge V0 and gathers light fires its n-th spike when the charge reaches n. So
after every step t the charge C(t) = V0 + light of the first t steps is between N(t) and N(t) + 1, where N
counts its spikes. The unknown is u(t) = C(t) - N(t) - 1/2, which the bounds put into a box: |u| <= 1/2. The
light of step t, which has n(t) spikes, is I(t) = u(t + 1) - u(t) + n(t). We look for the
u in the box with the least

    E(u) = sum over (t, y, x) of h(|G I|),    G I = (L I, dI/dx, dI/dy)

where L is r dI/dt at rest and follows the light where it moves (`variational_links`). The differences go
forward and are zero at the far ends, and h is Huber's function: h(s) = s^2 / (2 e) up to e, s - e / 2 above.
`docs/variational.md` has the derivation.

The solvers run the primal-dual iteration of Chambolle and Pock (2011) with a step that is not a number but
the inverse of a matrix along time (Pock and Chambolle 2011 have diagonal ones):

    u' = u - M^-1 (q + D^T G^T p)      v = 2 u' - u      J = D v + n
    q' = soft(q + b v, b / 2)          p' = project((p + s G J) / (1 + s e))

`D` takes differences in time, `soft` moves its argument towards 0 by b / 2, `project` shortens to the
length 1. M = b + s D^T (f Dt^T Dt + 8 + g) D is at least the K^T S K of the saddle-point problem, because the
Laplacian of a picture is at most 8 and L^T L at most f Dt^T Dt + g; so the iteration converges for all
b, s > 0. M is the same for every pixel and has five diagonals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Problem:
    """The constants of the model and of the iteration.

    Args:
        time: r, weight of differences in time against those between neighbouring pixels.
        huber: e, spikes per step; smaller differences of light cost their square.
        slack: by how much the charge may leave the bounds, in spikes.
        box_step: b, dual step for the bounds.
        variation_step: s, dual step for the total variation.
    """

    time: float = 4.0
    huber: float = 0.01
    slack: float = 0.0
    box_step: float = 3.3
    variation_step: float = 33.0


def time_matrix(steps: int, identity: float, light: float, change: float) -> Doubles:
    """The matrix identity + D^T (light + change Dt^T Dt) D: float64 (steps + 1, steps + 1)."""
    differences = np.diff(np.eye(steps + 1), axis=0)
    changes = np.diff(np.eye(steps), axis=0)
    inner = light * np.eye(steps) + change * changes.T @ changes
    matrix: Doubles = identity * np.eye(steps + 1) + differences.T @ inner @ differences
    return matrix


def metric(problem: Problem, steps: int, bounds: tuple[float, float]) -> Doubles:
    """M of the iteration, for the bounds f and g of its links."""
    s, (in_time, in_space) = problem.variation_step, bounds
    return time_matrix(steps, problem.box_step, s * (8 + in_space), s * in_time)


START = 3000.0
"""Smoothness of the start: weight of squared changes of light against squared distances from mid-box."""


def start_matrix(steps: int) -> Doubles:
    """The matrix whose inverse makes the start out of the middle of the box: a smoothing spline."""
    return time_matrix(steps, 1.0, 0.01, START)
