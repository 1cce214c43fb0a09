"""A stage of the training, as a task of the training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from hqgen.files import sha256_file, write_atomically
from hqgen.pictures import png
from hqgen.plot import curves
from hqgen.provenance import document_id
from hqgen.training.hardware import Hardware
from hqgen.training.loop import Losses, Point, Task, curve_table
from spikeclip.data.batches import Batch, Batches
from spikeclip.training.folder import RunFolder, StageRecord
from spikeclip.training.plan import Plan
from spikeclip.training.settings import StageName, TrainSettings

__all__ = ["Stage"]


@dataclass
class Stage(Task[Batch]):
    """One stage: what learns, of what, and what is kept of it.

    Attributes:
        name: its name.
        plan: all that decides its result.
        learns: what learns; nothing else does.
        losses_of: of a part of a batch, computed with `learns`, or with what wraps it.
        batches: the training batches.
        held_out: the held-out samples, in batches.
        write: writes what was learned.
        folder: of the training.
        settings: of the training.
        hardware: where it computes.
        show: pictures of a few samples, where the stage changes them.
        board: opens the TensorBoard of a stage at a step, if there is one.
    """

    name: StageName
    plan: Plan
    learns: nn.Module
    losses_of: Callable[[Any, Batch], Losses]
    batches: Batches
    held_out: Callable[[], Iterable[Batch]]
    write: Callable[[Path], None]
    folder: RunFolder
    settings: TrainSettings
    hardware: Hardware
    show: Callable[[], Image.Image] | None = None
    board: Callable[[str, int], Any] | None = None

    def __post_init__(self) -> None:
        settings = self.settings.of(self.name)
        self.optimizer = torch.optim.Adam(self.learns.parameters(), lr=settings.learning_rate)
        self.epoch_steps = self.batches.steps_per_epoch
        self.steps = settings.epochs * self.epoch_steps
        self.log_every, self.checkpoint_every = self.settings.log_every, self.settings.checkpoint_every
        self.files, self.writer = self.folder.stage(self.name), None

    def begin(self, step: int) -> None:
        """Open the TensorBoard."""
        self.writer = self.board(self.name, step) if self.board else None

    def draw(self, step: int) -> Batch:
        """The share that this process has of a batch."""
        return self.batches.batch(step)

    def parts(self, batch: Batch) -> Sequence[tuple[float, Batch]]:
        """Its micro-batches."""
        return [(len(part) / len(batch), part) for part in batch.split(self.settings.accumulate)]

    def losses(self, network: Any, part: Batch) -> Losses:
        """The losses of a micro-batch."""
        return self.losses_of(network, part)

    def validate(self) -> dict[str, float]:
        """Mean loss of the held-out samples."""
        total, count = torch.zeros((), device=self.hardware.device), 0
        for batch in self.held_out():
            total += len(batch) * next(iter(self.losses(self.learns, batch).values()))
            count += len(batch)
        return {HELD_OUT: float(total) / count}

    def looked(self, curve: Sequence[Point]) -> None:
        """Keep what is the best so far, and show the progress."""
        point = curve[-1]
        if point.validation:
            if _best(curve) is point:
                self.write(self.files.best)
            self._draw(curve)
            self._show(point)
        if self.writer:
            for name, value in {**point.losses, **point.validation}.items():
                self.writer.add_scalar(f"{self.name}/{name}", value, point.step)

    def _draw(self, curve: Sequence[Point]) -> None:
        panels: dict[str, dict[str, list[tuple[float, float]]]] = {
            f"{self.name}: {name}": {name: [(point.step, point.losses[name]) for point in curve]}
            for name in curve[0].losses
        }
        held_out: list[tuple[float, float]] = [
            (point.step, point.validation[HELD_OUT]) for point in curve if point.validation
        ]
        next(iter(panels.values()))["held-out samples"] = held_out
        write_atomically(self.files.path / "curve.csv", curve_table([_row(point) for point in curve]))
        write_atomically(self.files.path / "curve.svg", curves(panels, "step"))

    def _show(self, point: Point) -> None:
        if self.show is None:
            return
        image = self.show()
        write_atomically(self.folder.pictures / f"{self.name}-{point.epoch:02d}.png", png(image))
        if self.writer:
            pixels = np.asarray(image)
            self.writer.add_image(f"{self.name}/pictures", pixels, point.step, dataformats="HWC")

    def finish(self, curve: Sequence[Point]) -> None:
        """Write what was learned; the record is last, so that a kill before it does this again."""
        self.write(self.files.final)
        self.folder.publish(self.name)
        best, last = _best(curve), curve[-1]
        record = StageRecord(
            stage=self.name,
            plan_id=document_id(self.plan),
            plan=self.plan,
            final=sha256_file(self.files.final),
            steps=self.steps,
            losses=last.losses,
            best_epoch=best.epoch,
            validation=best.validation[HELD_OUT],
            seconds=round(last.seconds, 1),
            device=str(self.hardware.device),
        )
        self.files.complete(record)


HELD_OUT = "held-out"


def _row(point: Point) -> dict[str, object]:
    losses = {name: f"{value:.6g}" for name, value in point.losses.items()}
    validation = f"{point.validation[HELD_OUT]:.6g}" if point.validation else ""
    rest = {"validation": validation, "seconds": f"{point.seconds:.1f}"}
    return {"step": point.step, "epoch": point.epoch, **losses, **rest}


def _best(curve: Sequence[Point]) -> Point:
    """The end of the first epoch with the smallest loss of the held-out samples."""
    return min((point for point in curve if point.validation), key=lambda point: point.validation[HELD_OUT])
