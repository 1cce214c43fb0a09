"""What the folder of a training says about it: how far it is, how it learns, what it shows.

Only files are read, so it does not matter who asks: the training itself, or somebody who watches it. Files
that are missing are normal, because a training may just have begun. Files that are damaged are named in
`TrainingStatus.problems`; the rest is still read.
"""

from __future__ import annotations

import csv
import math
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from hqgen.errors import HqgenError
from hqgen.files import is_held
from hqgen.text import why
from spikeclip.evaluation.table import ResultTable
from spikeclip.training.folder import RunFolder, ShownSamples, StageRecord, StageSchedule
from spikeclip.training.settings import STAGES, StageName

T = TypeVar("T")

State = Literal["absent", "running", "stopped", "complete"]

LOG_BYTES, LOG_LINES = 16_384, 15
"""How much of the end of the log is read, and shown."""

RECENT = 20
"""Points at the end of a curve that say how fast the training is now."""

COLUMNS = {"step", "epoch", "validation", "learning-rate", "seconds"}
"""Columns of a learning curve that are not losses."""

_DAMAGED = (OSError, ValueError, KeyError, TypeError, csv.Error, HqgenError)


@dataclass(frozen=True)
class CurvePoint:
    """One point of a learning curve.

    Attributes:
        step: steps done.
        epoch: epochs begun, from 1.
        losses: means since the point before, by name; the first is the one that is minimised.
        held_out: loss of the held-out samples; None within an epoch.
        learning_rate: of the last step; None in curves of older versions.
        seconds: spent in training, of all runs together.
    """

    step: int
    epoch: int
    losses: Mapping[str, float]
    held_out: float | None
    learning_rate: float | None
    seconds: float


@dataclass(frozen=True)
class StageStatus:
    """One stage.

    Attributes:
        name: of the stage.
        points: its learning curve; empty before its first point.
        schedule: what it is going to do; None before it begins.
        record: what it ended with; None before that.
    """

    name: StageName
    points: Sequence[CurvePoint]
    schedule: StageSchedule | None
    record: StageRecord | None

    @property
    def begun(self) -> bool:
        """Whether it has begun."""
        return bool(self.points) or self.schedule is not None or self.record is not None

    @property
    def step(self) -> int:
        """Steps done."""
        return self.points[-1].step if self.points else 0

    @property
    def steps(self) -> int | None:
        """Steps of the whole stage; None where nobody knows yet."""
        known = self.record or self.schedule
        return known.steps if known else None

    @property
    def epochs(self) -> int | None:
        """Epochs of the whole stage; None where nobody knows yet."""
        if self.record is not None and self.points:
            return self.points[-1].epoch
        if self.schedule is None:
            return None
        return math.ceil(self.schedule.steps / self.schedule.epoch_steps)

    @property
    def ends(self) -> list[CurvePoint]:
        """The ends of its epochs."""
        return [point for point in self.points if point.held_out is not None]

    @property
    def best(self) -> CurvePoint | None:
        """The end of the first epoch with the smallest loss of the held-out samples."""
        return min(self.ends, key=lambda point: point.held_out or 0.0, default=None)

    @property
    def seconds(self) -> float:
        """Spent in training, of all runs together."""
        return self.points[-1].seconds if self.points else 0.0

    @property
    def rate(self) -> float | None:
        """Steps per second: of a complete stage in the mean, else of the last points."""
        recent = self.points if self.record else self.points[-RECENT:]
        if not recent:
            return None
        steps, seconds = recent[-1].step, recent[-1].seconds
        if len(recent) > 1:
            steps, seconds = steps - recent[0].step, seconds - recent[0].seconds
        return steps / seconds if seconds > 0 else None

    @property
    def left(self) -> float | None:
        """Seconds until its end at that rate; None where nobody knows."""
        if self.record is not None or self.steps is None or not self.rate:
            return None
        return (self.steps - self.step) / self.rate

    @property
    def device(self) -> str:
        """Where it computes; empty before it begins."""
        known = self.record or self.schedule
        return known.device if known else ""


@dataclass(frozen=True)
class Frame:
    """Pictures of all samples side by side, as a WebP file.

    Attributes:
        name: what they show, as `fine, epoch 3` or `tfi`.
        file: the name of the file in `pictures/small`, without its ending.
        path: the file.
        version: changes whenever the file does.
    """

    name: str
    file: str
    path: Path
    version: str


@dataclass(frozen=True)
class TrainingStatus:
    """A training as its folder has it.

    Attributes:
        folder: of the training.
        state: `absent`: there is no training yet.
        stages: in their order; those that have not begun, too.
        settings: of the last run, the table `[train]`.
        classes: of the samples that are shown.
        log: the last lines of the log.
        error: what ended the last run, if an error did; else empty.
        tables: of `spikeclip evaluate`, by their places in the folder.
        problems: what cannot be read, and why.
    """

    folder: RunFolder
    state: State
    stages: Sequence[StageStatus]
    settings: Mapping[str, Any]
    classes: Sequence[str]
    log: Sequence[str]
    error: str
    tables: Mapping[str, ResultTable]
    problems: Sequence[str]

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.path.resolve().name

    @property
    def current(self) -> StageStatus | None:
        """The stage that runs, or was the last to run; None where none has begun."""
        begun = [stage for stage in self.stages if stage.begun]
        return begun[-1] if begun else None

    @cached_property
    def frames(self) -> list[Frame]:
        """What the network made of the samples after each epoch, in the order of time."""
        made = (
            self._frame(f"{stage.name}, epoch {end.epoch}", self.folder.small(stage.name, end.epoch))
            for stage in self.stages
            for end in stage.ends
        )
        return [frame for frame in made if frame]

    @cached_property
    def references(self) -> list[Frame]:
        """What the frames can be compared with: TFI first, then where a stage started from."""
        made = (self._frame(text, self.folder.small(name)) for name, text in REFERENCES.items())
        return [frame for frame in made if frame]

    @staticmethod
    def _frame(name: str, path: Path) -> Frame | None:
        try:
            found = path.stat()
        except OSError:
            return None
        return Frame(name, path.stem, path, f"{found.st_mtime_ns:x}-{found.st_size:x}")


REFERENCES = {"tfi": "TFI", "start": "start of fine", "coarse": "end of coarse"}


def is_training(folder: Path) -> bool:
    """Whether a folder is that of a training that has begun."""
    return (folder / "plan.json").is_file() and (folder / "config.toml").is_file()


def read_status(folder: Path, *, running: bool | None = None) -> TrainingStatus:
    """Read the folder of a training.

    Args:
        folder: it need not exist.
        running: whether the training runs; None: as the lock of the folder says.
    """
    files, problems = RunFolder(folder), list[str]()
    settings = _read(folder / "config.toml", _settings, problems) or {}
    named = settings.get("stages")
    names = [name for name in STAGES if not isinstance(named, list) or name in named] if settings else []
    stages = [_stage(files, name, problems) for name in names]
    shown = _read(files.shown, lambda path: ShownSamples.model_validate_json(path.read_bytes()), problems)
    log = _read(files.log, _last_lines, problems) or []
    runs = is_held(files.lock) if running is None else running
    return TrainingStatus(
        folder=files,
        state=_state(runs, stages, bool(log)),
        stages=stages,
        settings=settings,
        classes=shown.classes if shown else (),
        log=log[-LOG_LINES:],
        error=log[-1].removeprefix("error: ") if log and log[-1].startswith("error: ") else "",
        tables=read_tables(folder, problems),
        problems=problems,
    )


def read_tables(folder: Path, problems: list[str]) -> dict[str, ResultTable]:
    """The tables of `spikeclip evaluate` in a folder and those right below it, by their places."""
    places = sorted(
        [*folder.glob("table.json"), *folder.glob("*/table.json")], key=lambda path: len(path.parts)
    )
    found = {}
    for path in places:
        table = _read(path, lambda path: ResultTable.from_json(path.read_text("utf-8")), problems)
        if table is not None:
            found[str(path.relative_to(folder))] = table
    return found


def _state(runs: bool, stages: Sequence[StageStatus], logged: bool) -> State:
    if runs:
        return "running"
    if stages and all(stage.record for stage in stages):
        return "complete"
    return "stopped" if stages or logged else "absent"


def _stage(folder: RunFolder, name: StageName, problems: list[str]) -> StageStatus:
    files = folder.stage(name)
    return StageStatus(
        name,
        _read(files.curve, _points, problems) or [],
        _read(
            files.schedule_path, lambda path: StageSchedule.model_validate_json(path.read_bytes()), problems
        ),
        _read(files.record_path, lambda path: StageRecord.model_validate_json(path.read_bytes()), problems),
    )


def _read(path: Path, read: Callable[[Path], T], problems: list[str]) -> T | None:
    """What a file says; None where it is missing, or damaged, which is noted."""
    try:
        return read(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except _DAMAGED as error:
        reason = error.message if isinstance(error, HqgenError) else why(error)
        problems.append(f"`{path}` cannot be read: {reason.splitlines()[0] if reason else repr(error)}")
        return None


def _settings(path: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))["train"]
    return table


def _points(path: Path) -> list[CurvePoint]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(_parsed(csv.DictReader(file, strict=True)))


def _parsed(rows: csv.DictReader[str]) -> Iterator[CurvePoint]:
    for row in rows:
        losses = {name: float(value) for name, value in row.items() if name not in COLUMNS}
        held_out, rate = row["validation"], row.get("learning-rate")
        point = CurvePoint(
            step=int(row["step"]),
            epoch=int(row["epoch"]),
            losses=losses,
            held_out=float(held_out) if held_out else None,
            learning_rate=float(rate) if rate else None,
            seconds=float(row["seconds"]),
        )
        if not all(map(math.isfinite, (*losses.values(), point.held_out or 0.0, point.seconds))):
            raise ValueError(f"a loss of step {point.step} is not a finite number")
        yield point


def _last_lines(path: Path) -> list[str]:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - LOG_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return lines[1:] if size > LOG_BYTES else lines
