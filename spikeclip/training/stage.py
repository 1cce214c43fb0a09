"""A stage of the training, as a task of the training loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from hqgen.files import sha256_file, write_atomically
from hqgen.pictures import png
from hqgen.plot import curves
from hqgen.provenance import document_id
from hqgen.training.average import RunningMean
from hqgen.training.followers import Follower, TensorBoard, WeightsAndBiases
from hqgen.training.loop import Losses, Point, Task, write_curve
from hqgen.training.schedules import cosine, multistep
from spikeclip.data.batches import Batch, Target
from spikeclip.data.hq_crops import HQCrops
from spikeclip.training.folder import RunFolder, ShownSamples, StageRecord, StageSchedule
from spikeclip.training.grid import Images, row
from spikeclip.training.plan import Plan
from spikeclip.training.report import write_report
from spikeclip.training.samples import Samples
from spikeclip.training.settings import StageName

CURVE_EVERY = 5.0
"""Seconds after which the learning curve is written within an epoch, too, for those who watch."""


@dataclass
class Stage(Task[Batch]):
    """One stage: what learns, of what, and what is kept of it.

    Attributes:
        plan: all that decides its result.
        learns: what learns; nothing else does.
        losses_of: of a part of a batch, computed with `learns`, or with what wraps it.
        save: writes what was learned by a plan.
        samples: of the training, with its settings and the hardware.
        folder: of the training.
        rows: of the pictures that show what `learns` makes of a few samples, those above its own; None: it
            makes no pictures.
        target: the pictures that batches hold for the loss.
        hq: HQ crops of the batches, and of the held-out samples.
    """

    plan: Plan
    learns: nn.Module
    losses_of: Callable[[Any, Batch], Losses]
    save: Callable[[nn.Module, Plan, Path], None]
    samples: Samples
    folder: RunFolder
    rows: Mapping[str, Images] | None = None
    target: Target | None = None
    hq: tuple[HQCrops | None, HQCrops | None] = (None, None)

    def __post_init__(self) -> None:
        self.name: StageName = self.plan["stage"]
        self.settings, self.hardware = self.samples.settings, self.samples.hardware
        self.batches = self.samples.batches(self.name, target=self.target, hq=self.hq[0])
        table = self.settings.of(self.name)
        self.optimizer = torch.optim.Adam(self.learns.parameters(), lr=table.learning_rate)
        self.mean = RunningMean(self.learns, table.ema) if table.ema else None
        self.epoch_steps = self.batches.steps_per_epoch
        self.steps = table.epochs * self.epoch_steps
        self.log_every, self.checkpoint_every = self.settings.log_every, self.settings.checkpoint_every
        self.files = self.folder.stage(self.name)
        self.followers: list[Follower] = []
        self.curve_written = -CURVE_EVERY

    def begin(self, step: int) -> None:
        """Say what is going to happen, and start the programs that show the training."""
        if self.hardware.leads:
            self._announce()
        folder, settings = self.folder.path, self.settings
        if settings.tensorboard and self.hardware.leads:
            self.followers.append(TensorBoard(folder / "tensorboard" / self.name, self.name, step))
        if settings.wandb and self.hardware.leads:
            self.followers.append(WeightsAndBiases(folder, self.name, self.plan))

    def end(self) -> None:
        """Let them write what they hold."""
        for follower in self.followers:
            follower.close()

    def _announce(self) -> None:
        schedule = StageSchedule(
            steps=self.steps, epoch_steps=self.epoch_steps, device=str(self.hardware.device)
        )
        write_atomically(self.files.schedule_path, schedule.model_dump_json() + "\n")
        if self.rows is None:
            return
        shown = ShownSamples(classes=tuple(self.samples.shown_classes))
        write_atomically(self.folder.shown, shown.model_dump_json() + "\n")
        for name, images in {"tfi": self.samples.tfi, **self.rows}.items():
            write_atomically(self.folder.small(name), row(images))

    def before_step(self, step: int) -> None:
        """Set the learning rate."""
        self.optimizer.param_groups[0]["lr"] = self.learning_rate(step)

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step, from 0."""
        table, part = self.settings.of(self.name), 1.0
        if table.schedule == "cosine":
            part = cosine(step, self.steps)
        elif table.schedule == "multistep":
            part = multistep(step, [round(place * self.steps) for place in table.milestones], table.drop)
        return table.learning_rate * part

    @property
    def kept(self) -> nn.Module:
        """What is judged, shown and kept: what learns, or the running mean of it."""
        return self.mean.module if self.mean else self.learns

    def modules(self) -> dict[str, nn.Module]:
        """What learns, and the running mean of it."""
        return super().modules() | ({"mean": self.mean.module} if self.mean else {})

    def after_step(self, step: int) -> None:
        """Take the weights into their running mean."""
        if self.mean:
            self.mean.update(self.learns, step)

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
        for batch in self.samples.held_out(self.name, target=self.target, hq=self.hq[1]):
            total += len(batch) * next(iter(self.losses(self.kept, batch).values()))
            count += len(batch)
        return {HELD_OUT: float(total) / count}

    def looked(self, curve: Sequence[Point]) -> None:
        """Keep what is the best so far, and show the progress."""
        point = curve[-1]
        if point.validation:
            if _best(curve) is point:
                self.save(self.kept, self.plan, self.files.best)
            self._draw(curve)
        elif time.monotonic() - self.curve_written >= CURVE_EVERY:
            self._write(curve)
        picture = self._picture(point) if point.validation else None
        values = {
            f"{self.name}/{name}": value for name, value in {**point.losses, **point.validation}.items()
        }
        for follower in self.followers:
            follower.show(point.step, values, picture)
        if point.validation:
            write_report(self.folder.path, running=True)

    def _draw(self, curve: Sequence[Point]) -> None:
        lines = {
            name: {name: [(point.step, point.losses[name]) for point in curve]} for name in curve[0].losses
        }
        ends = _ends(curve)
        lines[next(iter(lines))]["held-out samples"] = [(end.step, end.validation[HELD_OUT]) for end in ends]
        panels = {f"{self.name}: {name}": panel for name, panel in lines.items()}
        self._write(curve)
        write_atomically(self.files.drawing, curves(panels, "step"))

    def _write(self, curve: Sequence[Point]) -> None:
        write_curve(self.files.curve, [self._line(point) for point in curve])
        self.curve_written = time.monotonic()

    def _line(self, point: Point) -> dict[str, object]:
        losses = {name: f"{value:.6g}" for name, value in point.losses.items()}
        rest = {
            "validation": f"{point.validation[HELD_OUT]:.6g}" if point.validation else "",
            "learning-rate": f"{self.learning_rate(point.step - 1):.6g}",
            "seconds": f"{point.seconds:.1f}",
        }
        return {"step": point.step, "epoch": point.epoch, **losses, **rest}

    def _picture(self, point: Point) -> Image.Image | None:
        """What the network makes of a few samples at the end of an epoch; kept as a file too."""
        if self.rows is None:
            return None
        images = self.samples.images(self.kept)
        image = self.samples.grid({**self.rows, self.name: images})
        write_atomically(self.folder.picture(self.name, point.epoch), png(image))
        write_atomically(self.folder.small(self.name, point.epoch), row(images))
        return image

    def enough(self, curve: Sequence[Point]) -> bool:
        """Whether the held-out loss has not become smaller for `patience` epochs."""
        patience, ends = self.settings.of(self.name).patience, _ends(curve)
        return patience is not None and bool(ends) and ends[-1].epoch - _best(curve).epoch >= patience

    def finish(self, curve: Sequence[Point]) -> None:
        """Write what was learned; the record is last, so that a kill before it does this again."""
        if self.settings.of(self.name).patience is None:
            self.save(self.kept, self.plan, self.files.final)
        else:
            write_atomically(self.files.final, self.files.best.read_bytes())
        published = self.folder.prompts if self.name == "prompt" else self.folder.network
        write_atomically(published, self.files.final.read_bytes())
        best, last = _best(curve), curve[-1]
        record = StageRecord(
            stage=self.name,
            plan_id=document_id(self.plan),
            plan=self.plan,
            final=sha256_file(self.files.final),
            steps=last.step,
            losses=last.losses,
            best_epoch=best.epoch,
            validation=best.validation[HELD_OUT],
            seconds=round(last.seconds, 1),
            device=str(self.hardware.device),
        )
        self.files.complete(record)


HELD_OUT = "held-out"


def _best(curve: Sequence[Point]) -> Point:
    """The end of the first epoch with the smallest loss of the held-out samples."""
    return min(_ends(curve), key=lambda point: point.validation[HELD_OUT])


def _ends(curve: Sequence[Point]) -> list[Point]:
    """The ends of the epochs."""
    return [point for point in curve if point.validation]
