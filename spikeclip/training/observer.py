"""How a training goes on, on stderr: a bar a stage on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console

from hqgen.text import duration
from spikeclip.training.curve import Point

__all__ = ["BarObserver", "Both", "LineObserver", "Observer", "Silent", "Steps", "stderr_observer"]

MOST_OFTEN = 10.0
"""Seconds that lie between two lines at least, apart from those at the end of an epoch."""


class Steps(Protocol):
    """Takes what becomes of the steps of one stage."""

    def advance(self) -> None:
        """One more step was handed to the device."""

    def point(self, point: Point) -> None:
        """The losses are known up to here."""


class Observer(Protocol):
    """Is told how a training goes on."""

    def stage(self, name: str, done: int, steps: int) -> AbstractContextManager[Steps]:
        """A stage runs, of whose `steps` steps `done` are done."""

    def note(self, text: str) -> None:
        """Something that a person should know, in one line."""


def stderr_observer(console: Console | None = None) -> Observer:
    """The observer that suits `console`, by default stderr."""
    console = console or Console(stderr=True)
    return BarObserver(console) if console.is_terminal else LineObserver(console)


def summary(point: Point) -> str:
    """Losses, by name, and the validation loss where there is one."""
    losses = ", ".join(f"{name} {value:.4g}" for name, value in point.losses.items())
    return losses if point.validation is None else f"{losses}, held-out {point.validation:.4g}"


class Both:
    """Tells two observers."""

    def __init__(self, one: Observer, other: Observer) -> None:
        self.one, self.other = one, other

    @contextmanager
    def stage(self, name: str, done: int, steps: int) -> Iterator[Steps]:
        """See `Observer`."""
        with self.one.stage(name, done, steps) as one, self.other.stage(name, done, steps) as other:
            yield _BothSteps(one, other)

    def note(self, text: str) -> None:
        """See `Observer`."""
        self.one.note(text)
        self.other.note(text)


@dataclass(frozen=True)
class _BothSteps:
    one: Steps
    other: Steps

    def advance(self) -> None:
        """See `Steps`."""
        self.one.advance()
        self.other.advance()

    def point(self, point: Point) -> None:
        """See `Steps`."""
        self.one.point(point)
        self.other.point(point)


class Silent:
    """Says nothing, neither of a stage nor of its steps."""

    @contextmanager
    def stage(self, name: str, done: int, steps: int) -> Iterator[Steps]:  # noqa: ARG002
        """See `Observer`."""
        yield self

    def note(self, text: str) -> None:
        """See `Observer`."""

    def advance(self) -> None:
        """See `Steps`."""

    def point(self, point: Point) -> None:
        """See `Steps`."""


@dataclass(frozen=True)
class BarObserver:
    """Draws a bar with losses, rate and remaining time."""

    console: Console

    @contextmanager
    def stage(self, name: str, done: int, steps: int) -> Iterator[Steps]:
        """See `Observer`."""
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        class Bar:
            def advance(self) -> None:
                progress.advance(task)

            def point(self, point: Point) -> None:
                progress.update(task, losses=f"epoch {point.epoch}, {summary(point)}")

        columns = (
            TextColumn("{task.description}"),
            BarColumn(24),
            MofNCompleteColumn(),
            TaskProgressColumn(),
        )
        more = (TimeRemainingColumn(compact=True), TextColumn("{task.fields[losses]}"))
        with Progress(*columns, *more, console=self.console) as progress:
            task = progress.add_task(name, total=steps, completed=done, losses="")
            yield Bar()

    def note(self, text: str) -> None:
        """See `Observer`."""
        _print(self.console, text)


@dataclass(frozen=True)
class LineObserver:
    """Prints a line at the end of each epoch, and now and then between.

    Args:
        console: where to.
        clock: seconds that only grow.
    """

    console: Console
    clock: Callable[[], float] = time.monotonic

    @contextmanager
    def stage(self, name: str, done: int, steps: int) -> Iterator[Steps]:
        """See `Observer`."""
        yield _Lines(self, name, done, steps, self.clock())

    def note(self, text: str) -> None:
        """See `Observer`."""
        _print(self.console, text)


class _Lines:
    def __init__(self, observer: LineObserver, name: str, done: int, steps: int, started: float) -> None:
        self.observer, self.name, self.first, self.steps = observer, name, done, steps
        self.started = self.said = started

    def advance(self) -> None:
        """See `Steps`."""

    def point(self, point: Point) -> None:
        """See `Steps`."""
        now = self.observer.clock()
        if point.validation is None and now - self.said < MOST_OFTEN:
            return
        self.said = now
        rate = (point.step - self.first) / max(now - self.started, 1e-9)
        left = duration((self.steps - point.step) / max(rate, 1e-9))
        head = f"{self.name}: step {point.step}/{self.steps}, epoch {point.epoch}"
        self.observer.note(f"{head}, {summary(point)}, {rate:.3g} steps/s, {left} left")


def _print(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
