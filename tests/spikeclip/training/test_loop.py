from __future__ import annotations

import pytest
import torch

from spikeclip.training.loop import Part, drawn_ahead


def part(size: int) -> Part:
    rows = torch.arange(size)
    return Part(rows[:, None, None, None].float(), rows, torch.arange(99), hq=rows.float())


@pytest.mark.parametrize(
    ("size", "count", "sizes"), [(8, 4, [2] * 4), (7, 3, [3, 3, 1]), (2, 5, [1, 1]), (3, 1, [3])]
)
def test_split_keeps_every_sample_once_and_the_labels_of_the_whole_batch(
    size: int, count: int, sizes: list[int]
) -> None:
    parts = part(size).split(count)
    assert [len(item) for item in parts] == sizes
    assert torch.equal(torch.cat([item.label for item in parts]), torch.arange(size))
    for item in parts:
        assert torch.equal(item.voxel.flatten().long(), item.label)
        assert item.hq is not None
        assert torch.equal(item.hq.long(), item.label)
        assert item.target is None
        assert len(item.batch_label) == 99


def test_batches_are_drawn_once_in_order_and_not_past_the_end() -> None:
    drawn = []

    def draw(step: int) -> Part:
        drawn.append(step)
        return part(step + 1)

    assert [len(item) for item in drawn_ahead(draw, 2, 6)] == [3, 4, 5, 6]
    assert drawn == [2, 3, 4, 5]
    assert list(drawn_ahead(draw, 6, 6)) == []


def test_error_of_a_batch_reaches_the_loop() -> None:
    def draw(step: int) -> Part:
        raise ValueError(f"batch {step}")

    with pytest.raises(ValueError, match="batch 0"):
        list(drawn_ahead(draw, 0, 3))
