from __future__ import annotations

import pytest
import torch

from spikeclip.data.batches import Batch
from spikeclip.training.loop import drawn_ahead


def batch(size: int) -> Batch:
    rows = torch.arange(size)
    return Batch(rows[:, None, None, None].float(), rows, rows)


def test_batches_are_drawn_once_in_order_and_not_past_the_end() -> None:
    drawn = []

    def draw(step: int) -> Batch:
        drawn.append(step)
        return batch(step + 1)

    assert [len(item) for item in drawn_ahead(draw, 2, 6)] == [3, 4, 5, 6]
    assert drawn == [2, 3, 4, 5]
    assert list(drawn_ahead(draw, 6, 6)) == []


def test_error_of_a_batch_reaches_the_loop() -> None:
    def draw(step: int) -> Batch:
        raise ValueError(f"batch {step}")

    with pytest.raises(ValueError, match="batch 0"):
        list(drawn_ahead(draw, 0, 3))
