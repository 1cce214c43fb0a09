"""How a build goes on, on stderr: a bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console

from hqgen.text import byte_size, duration

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, Task
    from rich.text import Text


from typing import Literal, Protocol

__all__ = ["BarObserver", "LineObserver", "Observer", "Unit", "stderr_observer"]

MOST_OFTEN = 10.0
"""Seconds that lie between two lines at least: a short build prints nothing but its end."""

LEAST_OFTEN = 300.0
"""Seconds after which there is a line even if less than a tenth was done: nobody thinks that it hangs."""


def stderr_observer(console: Console | None = None) -> BarObserver | LineObserver:
    """The observer that suits `console`, by default stderr."""
    console = console or Console(stderr=True)
    return BarObserver(console) if console.is_terminal else LineObserver(console)


def _note(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class BarObserver:
    """Draws a bar with rate and remaining time, which goes when its work is done."""

    console: Console

    @contextmanager
    def progress(self, what: str, total: int, unit: Unit, done: int = 0) -> Iterator[Callable[[int], None]]:
        """See `hqgen.builder.prepare.Observer`."""
        with _bar(self.console, unit) as bar:
            task = bar.add_task(what, total=total, completed=done)
            yield lambda amount: bar.advance(task, amount)

    def note(self, text: str) -> None:
        """Print one line, above the bar if there is one."""
        _note(self.console, text)


def _bar(console: Console, unit: Unit) -> Progress:
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
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

    columns: tuple[ProgressColumn, ...] = (TextColumn("{task.description}"), BarColumn(24), Amount(), Rate())
    return Progress(*columns, Remaining(), console=console, transient=True)


@dataclass(frozen=True)
class LineObserver:
    """Prints a line after every tenth of the work, though not oftener or rarer than is good to read.

    Args:
        console: where to.
        clock: seconds that only grow.
    """

    console: Console
    clock: Callable[[], float] = time.monotonic

    def progress(
        self, what: str, total: int, unit: Unit, done: int = 0
    ) -> AbstractContextManager[Callable[[int], None]]:
        """See `hqgen.builder.prepare.Observer`."""
        return self._stretch(_Stretch(what, total, unit, done, self.clock))

    @contextmanager
    def _stretch(self, stretch: _Stretch) -> Iterator[Callable[[int], None]]:
        def advance(amount: int) -> None:
            stretch.done += amount
            if stretch.due():
                _note(self.console, stretch.line())

        try:
            yield advance
        finally:
            if stretch.done > stretch.first:
                _note(self.console, stretch.last_line())

    def note(self, text: str) -> None:
        """Print one line."""
        _note(self.console, text)


@dataclass
class _Stretch:
    """A stretch of work and what was said of it."""

    what: str
    total: int
    unit: Unit
    done: int
    clock: Callable[[], float]
    first: int = field(init=False)
    started: float = field(init=False)
    said_at: float = field(init=False)
    said: int = field(init=False)

    def __post_init__(self) -> None:
        self.first = self.said = self.done
        self.started = self.said_at = self.clock()

    def due(self) -> bool:
        """Whether to print a line now."""
        waited = self.clock() - self.said_at
        tenth = (self.done - self.said) * 10 >= self.total
        due = self.done < self.total and (waited >= LEAST_OFTEN or (tenth and waited >= MOST_OFTEN))
        if due:
            self.said_at, self.said = self.clock(), self.done
        return due

    def line(self) -> str:
        rate = self._rate()
        left = f", {duration((self.total - self.done) / rate)} left" if rate else ""
        return f"{self._head()}, {_rate(rate, self.unit)}{left}"

    def last_line(self) -> str:
        return f"{self._head()} in {duration(self.clock() - self.started)}, {_rate(self._rate(), self.unit)}"

    def _head(self) -> str:
        return f"{self.what}: {_amount(self.done, self.total, self.unit)}"

    def _rate(self) -> float:
        return (self.done - self.first) / max(self.clock() - self.started, 1e-3)


def _amount(done: float, total: float, unit: Unit) -> str:
    if unit == "bytes":
        return f"{byte_size(done)} of {byte_size(total)}"
    return f"{done:.0f}/{total:.0f} {unit}"


def _rate(rate: float, unit: Unit) -> str:
    if unit == "bytes":
        return f"{byte_size(rate)}/s"
    return f"{rate:.1f}/s" if rate >= 1 else f"{rate:.2g}/s"


Unit = Literal["bytes", "samples", "stages"]
"""What a stretch of work is counted in."""


class Observer(Protocol):
    """Is told how a build goes on."""

    def progress(
        self, what: str, total: int, unit: Unit, done: int = 0
    ) -> AbstractContextManager[Callable[[int], None]]:
        """A stretch of work; the function it gives is called with every piece that is done."""

    def note(self, text: str) -> None:
        """One line that the user should see."""
