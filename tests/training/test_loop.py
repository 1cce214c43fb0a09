from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hqgen.errors import TrainingError, WeightsError
from hqgen.progress import SILENT
from hqgen.training.checkpoint import Checkpoint
from hqgen.training.hardware import Hardware
from hqgen.training.loop import Losses, Point, Stop, Task, drawn_ahead, train, write_curve
from tests.builder.small import Recorder

CPU = Hardware(torch.device("cpu"))


class Line(Task[Tensor]):
    """Learns the slope 3 of a line, in 10 steps of 4 an epoch."""

    name, hardware = "line", CPU
    steps, epoch_steps, log_every = 10, 4, 3

    def __init__(self) -> None:
        self.learns = line = nn.Linear(1, 1, bias=False)
        self.weight = line.weight
        nn.init.zeros_(self.weight)
        self.optimizer = torch.optim.Adam(line.parameters(), 0.05)
        self.finished: list[Point] = []

    def draw(self, step: int) -> Tensor:
        return torch.rand((6, 1), generator=torch.Generator().manual_seed(step))

    def losses(self, network: Any, part: Tensor) -> Losses:
        return {"loss": (network(part) - 3 * part).square().mean()}

    def validate(self) -> dict[str, float]:
        assert not self.learns.training
        return {"slope": self.weight.item()}

    def finish(self, curve: Sequence[Point]) -> None:
        self.finished = list(curve)


def run(task: Line, folder: Path, stop: Stop = lambda: False) -> tuple[bool, list[Point]]:
    return train(task, Checkpoint(folder / "line.checkpoint", {"seed": 0}), SILENT, stop)


def after(steps: int) -> Stop:
    asked = iter(range(steps))
    return lambda: next(asked, steps) >= steps - 1


def without_time(curve: list[Point]) -> list[tuple[Any, ...]]:
    return [(point.step, point.epoch, point.losses, point.validation) for point in curve]


def test_a_curve_has_a_point_every_few_steps_and_looks_at_held_out_data_at_each_epochs_end(
    tmp_path: Path,
) -> None:
    task, seen = Line(), Recorder()
    complete, curve = train(task, Checkpoint(tmp_path / "line.checkpoint", {}), seen, lambda: False)
    assert complete
    assert curve == task.finished
    assert [(point.step, point.epoch, bool(point.validation)) for point in curve] == [
        (3, 1, False), (4, 1, True), (6, 2, False), (8, 2, True), (9, 3, False), (10, 3, True),
    ]  # fmt: skip
    slopes = [point.validation["slope"] for point in curve if point.validation]
    assert 0 < slopes[0] < slopes[1] < slopes[2] < 3
    assert seen.done == seen.totals == {"line": 10}
    assert seen.told["line"][1] == (
        4,
        f"epoch 1, loss {curve[1].losses['loss']:.4g}, slope {curve[1].validation['slope']:.4g}",
    )
    assert not (tmp_path / "line.checkpoint").exists()


@pytest.mark.parametrize("steps", range(1, 11))
def test_a_stopped_training_goes_on_to_the_weights_of_one_that_ran_through(
    steps: int, tmp_path: Path
) -> None:
    through, stopped, resumed = Line(), Line(), Line()
    _, curve = run(through, tmp_path)
    assert not run(stopped, tmp_path, after(steps))[0]
    assert stopped.finished == []
    complete, found = run(resumed, tmp_path)
    assert complete
    assert torch.equal(resumed.weight, through.weight)
    assert without_time(found) == without_time(curve)


class Satisfied(Line):
    """Has enough once its slope is above 1: after 8 of its 10 steps."""

    def __init__(self) -> None:
        super().__init__()
        self.optimizer = torch.optim.Adam(self.learns.parameters(), 0.15)

    def enough(self, curve: Sequence[Point]) -> bool:
        ends = [point for point in curve if point.validation]
        return bool(ends) and ends[-1].validation["slope"] > 1


def test_training_that_has_enough_is_complete_at_the_end_of_an_epoch(tmp_path: Path) -> None:
    task = Satisfied()
    complete, curve = run(task, tmp_path)
    assert complete
    assert [point.step for point in curve] == [3, 4, 6, 8]
    assert task.finished == curve
    assert not (tmp_path / "line.checkpoint").exists()


@pytest.mark.parametrize("steps", range(1, 9))
def test_stopped_training_that_has_enough_ends_where_it_would_have(steps: int, tmp_path: Path) -> None:
    through, resumed = Satisfied(), Satisfied()
    run(through, tmp_path)
    assert not run(Satisfied(), tmp_path, after(steps))[0]
    assert run(resumed, tmp_path)[0]
    assert torch.equal(resumed.weight, through.weight)
    assert without_time(resumed.finished) == without_time(through.finished)


def test_training_killed_between_its_last_look_and_its_end_is_not_continued(tmp_path: Path) -> None:
    class Killed(Satisfied):
        def finish(self, curve: Sequence[Point]) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Killed(), tmp_path)
    again = Satisfied()
    assert run(again, tmp_path)[0]
    assert [point.step for point in again.finished] == [3, 4, 6, 8]


def test_a_loss_that_is_not_a_number_is_located_and_the_last_checkpoint_kept(tmp_path: Path) -> None:
    class Lost(Line):
        def losses(self, network: Any, part: Tensor) -> Losses:
            found = super().losses(network, part)["loss"]
            return {"loss": found * (torch.nan if part[0] == self.draw(5)[0] else 1)}

    with pytest.raises(TrainingError, match="training `line`, epoch 2, step 6 of 10: the loss `loss` is nan"):
        run(Lost(), tmp_path)
    saved = Checkpoint(tmp_path / "line.checkpoint", {"seed": 0}).restore()
    assert saved is not None
    assert saved["step"] == 4


def test_a_checkpoint_that_does_not_fit_the_task_is_named(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "line.checkpoint", {"seed": 0}).save({"step": 3, "learns": {}, "optimizer": {}})
    with pytest.raises(WeightsError, match="is not a checkpoint, or it is damaged"):
        run(Line(), tmp_path)


def test_a_curve_is_a_table_with_the_columns_of_its_first_row(tmp_path: Path) -> None:
    rows = [{"step": 1, "loss": "0.5"}, {"step": 2, "loss": "0.25"}]
    write_curve(tmp_path / "curve.csv", rows)
    read = list(csv.DictReader((tmp_path / "curve.csv").read_text().splitlines()))
    assert read == [{key: str(value) for key, value in row.items()} for row in rows]


@pytest.mark.parametrize("drawers", [1, 3, 9])
def test_batches_are_given_once_in_order_and_not_drawn_past_the_end(drawers: int) -> None:
    drawn = []

    def draw(step: int) -> int:
        drawn.append(step)
        return step + 1

    assert list(drawn_ahead(draw, 2, 6, drawers)) == [3, 4, 5, 6]
    assert sorted(drawn) == [2, 3, 4, 5]
    assert list(drawn_ahead(draw, 6, 6, drawers)) == []


def test_error_of_a_batch_reaches_the_loop() -> None:
    def draw(step: int) -> int:
        raise ValueError(f"batch {step}")

    with pytest.raises(ValueError, match="batch 0"):
        list(drawn_ahead(draw, 0, 3))
