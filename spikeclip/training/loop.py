"""The loop that runs every stage: it can be killed at any time and goes on where it was.

Step `i` depends on the plan, the data and the state after step `i - 1` only: its batch is drawn from (seed,
stage, i), and nothing else is random. So a stage that was killed and run again ends in the weights, the bits
included, of one that was not.

On a GPU the host only hands out work: losses stay on the device and are looked at every `log_every` steps.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from hqgen.checkpoints import file_digest
from hqgen.errors import TrainingError
from hqgen.files import write_atomically
from hqgen.pictures import png
from hqgen.progress import Observer
from hqgen.provenance import document_id
from spikeclip.data.batches import Batch
from spikeclip.training.curve import Point, write_curve
from spikeclip.training.folder import Record, RunFolder
from spikeclip.training.hardware import Hardware, without_average
from spikeclip.training.plan import Plan
from spikeclip.training.settings import StageName, TrainSettings

__all__ = ["Board", "Losses", "Stage", "Stop", "run_stage"]

Losses = dict[str, Tensor]
"""Means over a part of a batch, by name; the first one is minimised."""

Stop = Callable[[], bool]
"""Whether to stop, asked after each step."""


@dataclass(frozen=True)
class Stage:
    """One stage: what learns, of what, and what is kept of it.

    Attributes:
        name: its name.
        learns: what learns; nothing else does.
        losses: of a part of a batch, computed with `learns`, or with what wraps it.
        epoch_steps: steps of an epoch.
        draw: this process's share of the batch of a step; called on another thread, ahead of time.
        held_out: the held-out samples, in parts.
        save: writes what was learned.
        show: pictures of a few samples, where the stage changes them.
    """

    name: StageName
    learns: nn.Module
    losses: Callable[[Any, Batch], Losses]
    epoch_steps: int
    draw: Callable[[int], Batch]
    held_out: Callable[[], Iterable[Batch]]
    save: Callable[[Path], None]
    show: Callable[[], Image.Image] | None = None


class Board:
    """A TensorBoard to write to.

    Raises:
        ImportError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder = folder
        self._open = SummaryWriter

    def stage(self, name: str, first: int) -> Any:
        """A writer for one stage; what an interrupted run wrote of steps after `first` is dropped."""
        return self._open(self.folder / name, purge_step=first + 1)


@dataclass
class State:
    """What a stage is after a step, apart from the weights and Adam's moments."""

    step: int = 0
    losses: list[dict[str, float]] = field(default_factory=list)
    """Of the steps since the last point of the curve."""
    curve: list[Point] = field(default_factory=list)
    best_epoch: int = 0
    best: float = math.inf
    seconds: float = 0.0


def run_stage(
    stage: Stage,
    plan: Plan,
    folder: RunFolder,
    settings: TrainSettings,
    hardware: Hardware,
    observer: Observer,
    *,
    stop: Stop = lambda: False,
    board: Board | None = None,
) -> bool:
    """Run a stage from its last checkpoint, or its start, to its end.

    Returns:
        whether it is complete; not so if it was stopped, its state saved.

    Raises:
        PlanMismatchError: the checkpoint is one of another plan.
        TrainingError: a loss or a weight is no finite number; the last checkpoint was made before.
        WeightsError: the checkpoint is damaged.
    """
    return _Loop(stage, plan, folder, settings, hardware, observer, board).run(stop)


class _Loop:
    def __init__(
        self,
        stage: Stage,
        plan: Plan,
        folder: RunFolder,
        settings: TrainSettings,
        hardware: Hardware,
        observer: Observer,
        board: Board | None,
    ) -> None:
        self.stage, self.plan, self.run_folder, self.settings = stage, plan, folder, settings
        self.hardware, self.observer, self.board = hardware, observer, board
        self.folder = folder.stage(stage.name)
        own = settings.of(stage.name)
        self.steps = own.epochs * stage.epoch_steps
        self.optimizer = torch.optim.Adam(stage.learns.parameters(), lr=own.learning_rate)
        self.state = self._restored()
        self.shared = hardware.shared(stage.learns)
        self.module = hardware.compiled(self.shared)
        self.pending: list[Losses] = []  # on the device, of steps that nobody has looked at
        self.saved_at = self.resumed_at = time.monotonic()

    def run(self, stop: Stop) -> bool:
        writer = self.board.stage(self.stage.name, self.state.step) if self.board else None
        with self.observer.progress(self.stage.name, self.steps, "steps", self.state.step) as job:
            for share in drawn_ahead(self.stage.draw, self.state.step, self.steps):
                self._step(share)
                job.advance()
                looks = self._epoch_ends() or self.state.step % self.settings.log_every == 0
                if looks:
                    point = self._look(writer)
                    job.tell(_summary(point), landmark=point.validation is not None)
                # Processes may hear of it at different times, so they agree on it, where they wait anyway.
                stopped = self.hardware.any(stop()) if looks or self.hardware.world == 1 else False
                if self._epoch_ends() or stopped or (looks and self._overdue()):
                    self._save()
                if stopped:
                    return False
        self._complete()
        return True

    def _step(self, share: Batch) -> None:
        """One update of what learns, of this process's share of a batch."""
        self.optimizer.zero_grad(set_to_none=True)
        parts = share.split(self.settings.accumulate)
        sums: Losses = {}
        for number, part in enumerate(parts, start=1):
            with without_average(self.shared, skip=number < len(parts)):
                losses = self.stage.losses(self.module, part)
                weight = len(part) / len(share)
                (weight * next(iter(losses.values()))).backward()  # type: ignore[no-untyped-call]
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0) + weight * loss.detach()
        self.optimizer.step()
        self.pending.append(sums)
        self.state.step += 1

    def _epoch_ends(self) -> bool:
        return self.state.step % self.stage.epoch_steps == 0

    @property
    def _epoch(self) -> int:
        """The epoch of the last step, from 1."""
        return math.ceil(self.state.step / self.stage.epoch_steps)

    def _overdue(self) -> bool:
        return time.monotonic() - self.saved_at >= self.settings.checkpoint_every

    def _look(self, writer: Any) -> Point:
        """Wait for the device and add a point to the curve; at an epoch's end, see what came of it."""
        self._fetch()
        names, count = self.state.losses[0], len(self.state.losses)
        means = {name: math.fsum(row[name] for row in self.state.losses) / count for name in names}
        self.state.losses.clear()
        ends = self._epoch_ends() and self.hardware.leads
        point = Point(
            self.state.step, self._epoch, means, self._validate() if ends else None, self._seconds()
        )
        self.state.curve.append(point)
        if ends:
            self._end_epoch(point, writer)
        if writer:
            values = means if point.validation is None else {**means, "held-out": point.validation}
            for name, value in values.items():
                writer.add_scalar(f"{self.stage.name}/{name}", value, point.step)
        return point

    def _fetch(self) -> None:
        """Bring the losses to the host, and make sure that they are numbers."""
        if not self.pending:
            return
        names = list(self.pending[0])
        on_device = torch.stack([torch.stack([row[name] for name in names]) for row in self.pending])
        rows = (self.hardware.total(on_device).double() / self.hardware.world).tolist()
        first = self.state.step - len(rows)
        for step, row in enumerate(rows, start=first + 1):
            for name, value in zip(names, row, strict=True):
                if not math.isfinite(value):
                    raise self._lost(f"the loss `{name}` is {value}", step)
        self.state.losses += [dict(zip(names, row, strict=True)) for row in rows]
        self.pending.clear()

    def _validate(self) -> float:
        """Mean loss of the held-out samples."""
        total, count = torch.zeros((), device=self.hardware.device), 0
        self.stage.learns.eval()
        with torch.no_grad():
            for part in self.stage.held_out():
                total += len(part) * next(iter(self.stage.losses(self.stage.learns, part).values()))
                count += len(part)
        self.stage.learns.train()
        loss = float(total) / count
        if not math.isfinite(loss):
            raise self._lost(f"the loss of the held-out samples is {loss}", self.state.step)
        return loss

    def _end_epoch(self, point: Point, writer: Any) -> None:
        assert point.validation is not None
        if point.validation < self.state.best:
            self.state.best, self.state.best_epoch = point.validation, point.epoch
            self.stage.save(self.folder.best)
        write_curve(self.folder.path, self.stage.name, self.state.curve)
        if self.stage.show:
            image = self.stage.show()
            name = f"{self.stage.name}-{point.epoch:02d}"
            write_atomically(self.run_folder.pictures / f"{name}.png", png(image))
            if writer:
                writer.add_image(f"{self.stage.name}/pictures", _array(image), point.step, dataformats="HWC")

    def _seconds(self) -> float:
        return self.state.seconds + time.monotonic() - self.resumed_at

    def _lost(self, what: str, step: int) -> TrainingError:
        epoch = math.ceil(step / self.stage.epoch_steps)
        kept = self.folder.checkpoint
        return TrainingError(
            f"stage `{self.stage.name}`, epoch {epoch}, step {step} of {self.steps}: {what}",
            hint=f"`{kept}` was made before that; a smaller learning rate, or no bfloat16, may help"
            if kept.exists()
            else "a smaller learning rate, or no bfloat16, may help",
        )

    def _restored(self) -> State:
        saved = self.folder.restore(self.plan)
        self.hardware.wait()  # nobody removes the checkpoint before all have read it
        if saved is None:
            return State()
        self.stage.learns.load_state_dict(saved.pop("learns"))
        self.optimizer.load_state_dict(saved.pop("optimizer"))
        saved["curve"] = [Point(**point) for point in saved["curve"]]
        return State(**saved)

    def _save(self) -> None:
        """Replace the checkpoint, unless the weights have become useless."""
        self._fetch()
        weights = self.stage.learns.state_dict()
        if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
            raise self._lost("a weight is no finite number", self.state.step)
        if self.hardware.leads:
            state = asdict(replace(self.state, seconds=self._seconds()))
            optimizer = self.optimizer.state_dict()
            self.folder.save(self.plan, {**state, "learns": weights, "optimizer": optimizer})
        self.saved_at = time.monotonic()

    def _complete(self) -> None:
        """Write what was learned; the record is last, so that a kill before it does this again."""
        if self.hardware.leads:
            self.stage.save(self.folder.final)
            self.run_folder.publish(self.stage.name)
            last = self.state.curve[-1]
            record = Record(
                stage=self.stage.name,
                plan_id=document_id(self.plan),
                plan=self.plan,
                final=file_digest(self.folder.final),
                steps=self.steps,
                losses=last.losses,
                best_epoch=self.state.best_epoch,
                validation=self.state.best,
                seconds=round(last.seconds, 1),
                device=str(self.hardware.device),
            )
            self.folder.complete(record)
        self.hardware.wait()


def drawn_ahead(draw: Callable[[int], Batch], first: int, steps: int) -> Iterator[Batch]:
    """The batches of steps `first` to `steps - 1`, the next one drawn while one is in use."""
    if first >= steps:
        return
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(draw, first)
        for step in range(first, steps):
            share = ahead.result()
            if step + 1 < steps:
                ahead = pool.submit(draw, step + 1)
            yield share


def _summary(point: Point) -> str:
    """Losses, by name, and the validation loss where there is one."""
    losses = ", ".join(f"{name} {value:.4g}" for name, value in point.losses.items())
    held_out = "" if point.validation is None else f", held-out {point.validation:.4g}"
    return f"epoch {point.epoch}, {losses}{held_out}"


def _array(image: Image.Image) -> Any:
    import numpy as np

    return np.asarray(image)
