"""What a person sees of a training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hqgen.training.base import Point, Report

__all__ = ["narrate"]


@contextmanager
def narrate(console: Console) -> Iterator[Report]:
    """A `report` for `train_base`: a bar on a terminal, a line a point elsewhere."""
    if not console.is_terminal:
        yield lambda point, steps: console.print(line(point, steps), soft_wrap=True, highlight=False)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=None)
        yield lambda point, steps: progress.update(
            task, completed=point.step, total=steps, description=summary(point)
        )


def line(point: Point, steps: int) -> str:
    """`step 500/22000, loss 0.0220, validation 31.58 dB, 4.1 steps/s, 1:26:30 left`."""
    left = timedelta(seconds=round(point.seconds / point.step * (steps - point.step)))
    return f"step {point.step}/{steps}, {summary(point)}, {left} left"


def summary(point: Point) -> str:
    """Loss, validation and rate."""
    rate = point.step / max(point.seconds, 1e-9)
    return f"loss {point.loss:.4f}, validation {point.psnr:.2f} dB, {rate:.1f} steps/s"
