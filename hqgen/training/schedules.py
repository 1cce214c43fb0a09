"""Schedules: the part of the learning rate that a step gets, in (0, 1]; steps count from 0.

Each is a function of the step alone, so that a training that continues needs no state of its schedule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def trapezium(step: int, steps: int, warm_up: int, cool_down: int) -> float:
    """A linear rise, a plateau, a linear fall to the end.

    Up to the fall nothing depends on the length of the training, so a longer one starts as a shorter one did.
    """
    return min((step + 1) / max(warm_up, 1), 1, (steps - step) / max(cool_down, 1))


def cosine(step: int, steps: int) -> float:
    """A fall as half a cosine over `steps` steps, after the last of which it would be 0.

    This is PyTorch's `CosineAnnealingLR` with `T_max=steps` and `eta_min=0`; Loshchilov and Hutter 2017.
    """
    return 0.5 + 0.5 * math.cos(math.pi * step / steps)


def multistep(step: int, milestones: Sequence[int], factor: float) -> float:
    """A fall by `factor` at each of the steps `milestones`, as PyTorch's `MultiStepLR`."""
    return float(factor ** sum(milestone <= step for milestone in milestones))
