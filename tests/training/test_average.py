from __future__ import annotations

import pytest
import torch
from torch import nn

from hqgen.training.average import RunningMean


def test_mean_follows_the_weights_with_a_short_memory_at_first() -> None:
    line = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(line.weight)
    mean, expected = RunningMean(line, 0.6), 0.0
    with torch.no_grad():
        for step in range(1, 40):
            line.weight.fill_(float(step))
            mean.update(line, step)
            decay = min(0.6, step / (step + 10))
            expected = decay * expected + (1 - decay) * step
            assert mean.module.weight.item() == pytest.approx(expected)
    assert 37 < expected < 39
    assert line.weight.item() == 39


def test_mean_is_a_copy_that_does_not_learn_by_itself() -> None:
    line = nn.Linear(1, 1)
    mean = RunningMean(line, 0.9)
    assert not mean.module.training
    with torch.no_grad():
        line.weight += 1
    assert mean.module.weight.item() != line.weight.item()
