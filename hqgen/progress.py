"""Progress: a bar on a terminal, plain lines in a log, silence by default."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hqgen.text import byte_size, duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, Task
    from rich.text import Text

MOST_OFTEN = 10.0
"""Seconds between two lines at least, landmarks apart."""

LEAST_OFTEN = 300.0
"""Seconds after which there is a line even if less than a tenth was done: nobody thinks that it hangs."""

Unit = Literal["bytes", "pictures", "samples", "stages", "steps"]
"""What a job is counted in."""


class Job:
    """A piece of work in progress; this one shows nothing."""

    def advance(self, amount: int = 1) -> None:
        """So much more is done."""

    def tell(self, text: str, *, landmark: bool = False) -> None:
        """What is known by now, such as losses; a landmark, such as the end of an epoch, is always shown."""


class Observer:
    """Gets the progress of work; this one shows nothing."""

    def progress(self, what: str, total: int, unit: Unit, done: int = 0) -> AbstractContextManager[Job]:  # noqa: ARG002
        """A job begins, of whose `total` units `done` are done; it ends with the block."""
        return nullcontext(Job())

    def note(self, text: str) -> None:
        """One line that the user should see."""


SILENT = Observer()


def stderr_observer(console: Console | None = None) -> Observer:
    """The observer that suits `console`, by default stderr."""
    from rich.console import Console

    console = console or Console(stderr=True)
    return BarObserver(console) if console.is_terminal else LineObserver(console)


@dataclass(frozen=True)
class Both(Observer):
    """Tells two observers."""

    one: Observer
    other: Observer

    @contextmanager
    def progress(self, what: str, total: int, unit: Unit, done: int = 0) -> Iterator[Job]:
        """See `Observer`."""
        jobs = (observer.progress(what, total, unit, done) for observer in (self.one, self.other))
        with next(jobs) as one, next(jobs) as other:
            yield _BothJobs(one, other)

    def note(self, text: str) -> None:
        """See `Observer`."""
        self.one.note(text)
        self.other.note(text)


@dataclass(frozen=True)
class _BothJobs(Job):
    one: Job
    other: Job

    def advance(self, amount: int = 1) -> None:
        self.one.advance(amount)
        self.other.advance(amount)

    def tell(self, text: str, *, landmark: bool = False) -> None:
        self.one.tell(text, landmark=landmark)
        self.other.tell(text, landmark=landmark)


@dataclass(frozen=True)
class LineObserver(Observer):
    """Prints a line after every tenth of a job, though not oftener or rarer than is good to read.

    Args:
        console: where to.
        clock: seconds that only grow.
    """

    console: Console
    clock: Callable[[], float] = time.monotonic

    @contextmanager
    def progress(self, what: str, total: int, unit: Unit, done: int = 0) -> Iterator[Job]:
        """See `Observer`."""
        job = _Lines(self, what, total, unit, done)
        try:
            yield job
        finally:
            if job.done > job.first:
                self.note(job.last_line())

    def note(self, text: str) -> None:
        """Print one line."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


class _Lines(Job):
    """What was done of a job, and what was said of it."""

    def __init__(self, observer: LineObserver, what: str, total: int, unit: Unit, done: int) -> None:
        self.observer, self.what, self.total, self.unit = observer, what, total, unit
        self.first = self.said = self.done = done
        self.started = self.said_at = observer.clock()
        self.news = ""

    def advance(self, amount: int = 1) -> None:
        self.done += amount
        waited = self.observer.clock() - self.said_at
        tenth = not self.news and (self.done - self.said) * 10 >= self.total
        if self.done < self.total and (waited >= LEAST_OFTEN or (tenth and waited >= MOST_OFTEN)):
            self._say()

    def tell(self, text: str, *, landmark: bool = False) -> None:
        self.news = f", {text}"
        if landmark or self.observer.clock() - self.said_at >= MOST_OFTEN:
            self._say()

    def _say(self) -> None:
        self.said_at, self.said = self.observer.clock(), self.done
        rate = self._rate()
        left = f", {duration((self.total - self.done) / rate)} left" if rate else ""
        self.observer.note(f"{self._head()}{self.news}, {_rate(rate, self.unit)}{left}")

    def last_line(self) -> str:
        seconds = self.observer.clock() - self.started
        return f"{self._head()} in {duration(seconds)}, {_rate(self._rate(), self.unit)}"

    def _head(self) -> str:
        return f"{self.what}: {_amount(self.done, self.total, self.unit)}"

    def _rate(self) -> float:
        return (self.done - self.first) / max(self.observer.clock() - self.started, 1e-3)


@dataclass(frozen=True)
class BarObserver(LineObserver):
    """Draws a bar with rate and remaining time; the bar goes at the end, and its newest numbers stay."""

    @contextmanager
    def progress(self, what: str, total: int, unit: Unit, done: int = 0) -> Iterator[Job]:
        """See `Observer`."""
        lines = _Lines(self, what, total, unit, done)
        with _bar(self.console, unit) as bar:
            yield _Bar(bar, lines)
        if lines.news:
            self.note(f"{lines.last_line()}{lines.news}")


class _Bar(Job):
    def __init__(self, bar: Progress, lines: _Lines) -> None:
        self.bar, self.lines = bar, lines
        self.task = bar.add_task(lines.what, total=lines.total, completed=lines.done, news="")

    def advance(self, amount: int = 1) -> None:
        self.lines.done += amount
        self.bar.advance(self.task, amount)

    def tell(self, text: str, *, landmark: bool = False) -> None:  # noqa: ARG002 - a bar shows all
        self.lines.news = f", {text}"
        self.bar.update(self.task, news=text)


def _bar(console: Console, unit: Unit) -> Progress:
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
    from rich.table import Column
    from rich.text import Text

    class Amount(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(_amount(task.completed, task.total or 0, unit))

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else _rate(speed, unit), style="dim")

    class Remaining(ProgressColumn):
        max_refresh = 0.5

        def render(self, task: Task) -> Text:
            left = task.time_remaining
            return Text("" if left is None else f"{duration(left)} left", style="dim")

    length = 24 if console.width >= 100 else 12
    columns: tuple[ProgressColumn, ...] = (
        TextColumn("{task.description}"),
        BarColumn(length, table_column=Column(min_width=length, no_wrap=True)),
        *(kind(Column(no_wrap=True)) for kind in (Amount, Rate, Remaining)),
        TextColumn("{task.fields[news]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
    )
    return Progress(*columns, console=console, transient=True, expand=True)


def _amount(done: float, total: float, unit: Unit) -> str:
    if unit == "bytes":
        return f"{byte_size(done)} of {byte_size(total)}"
    return f"{done:.0f}/{total:.0f} {unit}"


def _rate(rate: float, unit: Unit) -> str:
    if unit == "bytes":
        return f"{byte_size(rate)}/s"
    return f"{rate:.1f}/s" if rate >= 1 else f"{rate:.2g}/s"
