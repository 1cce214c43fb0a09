"""The running mean of weights: less noisy than the weights of the last step."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)


class RunningMean(Generic[M]):
    """The exponential moving average of a module's parameters.

    At the start its memory is short, because the weights still move fast: the decay of step i, from 1, is at
    most i / (i + 10).

    Args:
        module: what is averaged; it is copied as it is now.
        decay: share of the mean that stays in each step, in [0, 1).

    Attributes:
        module: the copy that holds the mean, in eval mode; a checkpoint must hold it too.
    """

    def __init__(self, module: M, decay: float) -> None:
        self.module = copy.deepcopy(module).eval()
        self._decay = decay

    def update(self, module: M, step: int) -> None:
        """Take in the weights after a step, from 1; called without gradients."""
        decay = min(self._decay, step / (step + 10))
        for mean, now in zip(self.module.parameters(), module.parameters(), strict=True):
            mean.lerp_(now, 1 - decay)
