"""The loop of every training: it can be killed at any time and continues where it was.

Step `i` depends on the task, its data and the state after step `i - 1` only: its batch is drawn from the
number of the step, and nothing else is random. So a training that was killed and run again ends in the
weights, the bits included, of one that was not.

On a GPU the host only hands out work: losses stay on the device and are looked at now and then.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from hqgen.errors import TrainingError
from hqgen.files import write_atomically
from hqgen.progress import Observer
from hqgen.training.checkpoint import Checkpoint
from hqgen.training.hardware import Hardware, without_average

B = TypeVar("B")

Losses = dict[str, Tensor]
"""Means over a batch or a part of it, by name; the first one is minimised."""

Stop = Callable[[], bool]
"""Whether to stop, asked after each step."""


@dataclass(frozen=True)
class Point:
    """One point of a learning curve.

    Attributes:
        step: steps done.
        epoch: epochs begun, from 1.
        losses: mean of each loss since the point before; the first is the one that is minimised.
        validation: what was measured of the held-out data; empty but at the end of an epoch.
        seconds: spent in training, of all runs together.
    """

    step: int
    epoch: int
    losses: dict[str, float]
    validation: dict[str, float]
    seconds: float


class Task(Generic[B]):
    """What is trained, and how; the loop knows nothing else of it.

    Attributes:
        name: how progress and messages call it.
        hardware: where it computes.
        learns: what learns; nothing else does.
        optimizer: of its parameters.
        steps: steps of the whole training.
        epoch_steps: steps of an epoch; after each, and after the last step, the held-out data are looked at
            and the state is saved.
        log_every: steps between two points of the learning curve; 0: an epoch.
        checkpoint_every: seconds after which the state is saved within an epoch, too.
        gradient_norm: longer gradients are cut to this length; None: they are not.
        drawers: batches that are drawn ahead at once, each on a thread of its own.
    """

    name: str
    hardware: Hardware
    learns: nn.Module
    optimizer: torch.optim.Optimizer
    steps: int
    epoch_steps: int
    log_every: int = 0
    checkpoint_every: float = math.inf
    gradient_norm: float | None = None
    drawers: int = 1

    def draw(self, step: int) -> B:
        """The share that this process has of the batch of a step, from 0; called on another thread."""
        raise NotImplementedError

    def parts(self, batch: B) -> Sequence[tuple[float, B]]:
        """The parts that a batch is computed in, each with its share of the batch."""
        return [(1.0, batch)]

    def losses(self, network: Any, part: B) -> Losses:
        """The losses of a part, computed with `learns`, or with what wraps it."""
        raise NotImplementedError

    def validate(self) -> dict[str, float]:
        """What is measured of the held-out data, by name; `learns` is in eval mode, without gradients."""
        raise NotImplementedError

    def modules(self) -> dict[str, nn.Module]:
        """All modules that a checkpoint holds."""
        return {"learns": self.learns}

    def begin(self, step: int) -> None:
        """The training begins, or continues, after so many steps."""

    def end(self) -> None:
        """The training ends: complete, stopped or with an error."""

    def before_step(self, step: int) -> None:
        """Set the learning rate of a step, from 0."""

    def after_step(self, step: int) -> None:
        """The weights have changed; so many steps are done."""

    def looked(self, curve: Sequence[Point]) -> None:
        """The learning curve has a new point; on the leading process alone."""

    def enough(self, curve: Sequence[Point]) -> bool:  # noqa: ARG002 - the usual task needs all its steps
        """Whether the training is complete before its last step; asked at the end of each epoch.

        Held-out data are in the curve of the leading process alone. If one process has enough, all have.
        """
        return False

    def finish(self, curve: Sequence[Point]) -> None:
        """Write what was learned; on the leading process alone."""
        raise NotImplementedError


@dataclass
class State:
    """What a training is after a step, apart from weights and the optimiser's moments."""

    step: int = 0
    losses: list[dict[str, float]] = field(default_factory=list)
    """The losses of the steps since the last point of the curve."""
    curve: list[Point] = field(default_factory=list)
    seconds: float = 0.0


def train(task: Task[B], checkpoint: Checkpoint, observer: Observer, stop: Stop) -> tuple[bool, list[Point]]:
    """Train from the last checkpoint, or the start, to the end.

    Args:
        task: what is trained.
        checkpoint: where the state is; it is removed at the end.
        observer: gets the progress.
        stop: once it says so, the step is finished and the state saved.

    Returns:
        whether the training is complete, and the learning curve.

    Raises:
        PlanMismatchError: the checkpoint belongs to another training.
        TrainingError: a loss or a weight is not finite; the last checkpoint was made before.
        WeightsError: the checkpoint is damaged.
    """
    loop = _Loop(task, checkpoint)
    try:
        return loop.run(observer, stop), loop.state.curve
    finally:
        task.end()


class _Loop(Generic[B]):
    def __init__(self, task: Task[B], checkpoint: Checkpoint) -> None:
        self.task, self.checkpoint, self.hardware = task, checkpoint, task.hardware
        self.state = self._restored()
        self.hardware.wait()  # nobody removes the checkpoint before all have read it
        self.shared = self.hardware.shared(task.learns.train())
        self.network = self.hardware.compiled(self.shared)
        self.pending: list[Losses] = []  # on the device, of steps that nobody has looked at
        self.saved_at = self.resumed_at = time.monotonic()

    def run(self, observer: Observer, stop: Stop) -> bool:
        task, state = self.task, self.state
        task.begin(state.step)
        with observer.progress(task.name, task.steps, "steps", state.step) as job:
            # After its last step a training may have been killed before it was finished.
            last = state.step if self._enough() else task.steps
            for batch in drawn_ahead(task.draw, state.step, last, task.drawers):
                self._step(batch)
                job.advance()
                ends = self._epoch_ends()
                looks = ends or (task.log_every > 0 and state.step % task.log_every == 0)
                if looks:
                    self._look()
                # Processes may hear of it at different times, so they agree on it, where they wait anyway.
                stopped = self.hardware.any(stop()) if looks or self.hardware.world == 1 else False
                overdue = looks and time.monotonic() - self.saved_at >= task.checkpoint_every
                if ends or stopped or overdue:
                    self._save()
                if looks:
                    job.tell(summary(state.curve[-1]), landmark=ends)
                if stopped:
                    return False
                if ends and self._enough():
                    break
        if self.hardware.leads:
            task.finish(state.curve)
            self.checkpoint.remove()
        self.hardware.wait()
        return True

    def _step(self, batch: B) -> None:
        """One update of what learns, by this process's share of a batch."""
        task = self.task
        task.before_step(self.state.step)
        task.optimizer.zero_grad()
        parts = task.parts(batch)
        sums: Losses = {}
        for number, (weight, part) in enumerate(parts, start=1):
            with without_average(self.shared, skip=number < len(parts)):
                losses = task.losses(self.network, part)
                (weight * next(iter(losses.values()))).backward()  # type: ignore[no-untyped-call]
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0) + weight * loss.detach()
        if task.gradient_norm is not None:
            nn.utils.clip_grad_norm_(task.learns.parameters(), task.gradient_norm)
        task.optimizer.step()
        self.pending.append(sums)
        self.state.step += 1
        with torch.no_grad():
            task.after_step(self.state.step)

    def _epoch_ends(self) -> bool:
        return self.state.step % self.task.epoch_steps == 0 or self.state.step == self.task.steps

    def _enough(self) -> bool:
        return self.hardware.any(self.task.enough(self.state.curve))

    def _look(self) -> None:
        """Wait for the device and add a point to the curve; at an epoch's end, see what came of it."""
        self._fetch()
        step, rows = self.state.step, self.state.losses
        means = {name: math.fsum(row[name] for row in rows) / len(rows) for name in rows[0]}
        rows.clear()
        validation = self._validated() if self._epoch_ends() and self.hardware.leads else {}
        point = Point(step, math.ceil(step / self.task.epoch_steps), means, validation, self._seconds())
        self.state.curve.append(point)
        if self.hardware.leads:
            self.task.looked(self.state.curve)

    def _fetch(self) -> None:
        """Bring the losses to the host, and make sure that they are numbers."""
        if not self.pending:
            return
        names = list(self.pending[0])
        on_device = torch.stack([torch.stack([row[name] for name in names]) for row in self.pending])
        values = (self.hardware.total(on_device).double() / self.hardware.world).tolist()
        rows = [dict(zip(names, row, strict=True)) for row in values]
        for step, row in enumerate(rows, start=self.state.step - len(rows) + 1):
            self._require_finite({f"the loss `{name}`": value for name, value in row.items()}, step)
        self.state.losses += rows
        self.pending.clear()

    def _validated(self) -> dict[str, float]:
        self.task.learns.eval()
        with torch.no_grad():
            found = self.task.validate()
        self.task.learns.train()
        self._require_finite({f"`{name}` of the held-out data": found[name] for name in found})
        return found

    def _require_finite(self, values: Mapping[str, float], step: int | None = None) -> None:
        wrong = [f"{what} is {value}" for what, value in values.items() if not math.isfinite(value)]
        if not wrong:
            return
        step = self.state.step if step is None else step
        epoch, kept = math.ceil(step / self.task.epoch_steps), self.checkpoint.path
        before = f"`{kept}` was made before that; " if kept.exists() else ""
        raise TrainingError(
            f"training `{self.task.name}`, epoch {epoch}, step {step} of {self.task.steps}: {wrong[0]}",
            hint=f"{before}a smaller learning rate, or no bfloat16, may help",
        )

    def _seconds(self) -> float:
        return self.state.seconds + time.monotonic() - self.resumed_at

    def _restored(self) -> State:
        saved = self.checkpoint.restore()
        if saved is None:
            return State()
        with self.checkpoint.reading():
            for name, module in self.task.modules().items():
                module.load_state_dict(saved.pop(name))
            self.task.optimizer.load_state_dict(saved.pop("optimizer"))
            saved["curve"] = [Point(**point) for point in saved["curve"]]
            return State(**saved)

    def _save(self) -> None:
        """Replace the checkpoint, unless the weights have become useless."""
        self._fetch()
        modules = {name: module.state_dict() for name, module in self.task.modules().items()}
        finite = all(bool(tensor.isfinite().all()) for tensor in modules["learns"].values())
        self._require_finite({} if finite else {"a weight": math.nan})
        if self.hardware.leads:
            state = asdict(replace(self.state, seconds=self._seconds()))
            self.checkpoint.save({**state, **modules, "optimizer": self.task.optimizer.state_dict()})
        self.saved_at = time.monotonic()


def drawn_ahead(draw: Callable[[int], B], first: int, steps: int, drawers: int = 1) -> Iterator[B]:
    """The batches of steps `first` to `steps - 1`; the next `drawers` ones are drawn while one is in use."""
    with ThreadPoolExecutor(drawers) as pool:
        ahead = deque(pool.submit(draw, step) for step in range(first, min(first + drawers, steps)))
        for step in range(first + drawers, steps + drawers):
            if not ahead:
                return
            batch = ahead.popleft().result()
            if step < steps:
                ahead.append(pool.submit(draw, step))
            yield batch


def summary(point: Point) -> str:
    """`epoch 2, total 1.25, prompt -0.5, held-out 1.5`."""
    numbers = {**point.losses, **point.validation}
    return ", ".join([f"epoch {point.epoch}", *(f"{name} {value:.4g}" for name, value in numbers.items())])


def write_curve(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write a learning curve as CSV, its columns named by the first row."""
    lines = (rows[0], *(row.values() for row in rows))
    write_atomically(path, "".join(",".join(str(value) for value in line) + "\n" for line in lines))
