from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from hqgen.training.schedules import cosine, multistep, trapezium


def test_a_learning_rate_rises_stays_and_falls_to_the_end() -> None:
    parts = [trapezium(step, 10, warm_up=4, cool_down=5) for step in range(10)]
    assert parts == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])
    assert [trapezium(step, 3, 0, 0) for step in range(3)] == [1, 1, 1]


def torchs(kind: type[lr_scheduler.LRScheduler], steps: int, **given: Any) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule, found = kind(optimizer, **given), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no step of the optimiser is done
        for _ in range(steps):
            found.append(float(optimizer.param_groups[0]["lr"]))
            schedule.step()
    return found


def test_cosine_is_pytorchs() -> None:
    expected = torchs(lr_scheduler.CosineAnnealingLR, 12, T_max=12)
    assert [cosine(step, 12) for step in range(12)] == pytest.approx(expected)
    assert cosine(0, 1) == 1


def test_multistep_is_pytorchs() -> None:
    expected = torchs(lr_scheduler.MultiStepLR, 12, milestones=[3, 7], gamma=0.2)
    assert [multistep(step, [3, 7], 0.2) for step in range(12)] == pytest.approx(expected)
    assert multistep(5, [], 0.1) == 1
