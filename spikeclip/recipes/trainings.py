"""The trainings of a recipe: one, or those of an ablation for each of its seeds."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hqgen.files import blake3_file
from hqgen.progress import SILENT
from spikeclip.recipes.recipe import Recipe
from spikeclip.recipes.record import RecipeRun, StepRecord
from spikeclip.training.settings import TrainSettings

POLL = 2.0
"""Seconds between two looks at trainings on workers."""

SAY_EVERY = 20.0
"""Seconds between two lines of one log, for each log that is repeated."""


@dataclass(frozen=True)
class Training:
    """One training of a recipe.

    Attributes:
        name: of its row in the table.
        folder: receives it.
        settings: all settings except the network that it starts from.
        after: name of the training whose network it starts from.
    """

    name: str
    folder: Path
    settings: TrainSettings
    after: str | None


def trainings_by_table(recipe: Recipe, out: Path) -> dict[Path, list[Training]]:
    """The trainings that are compared in one table, for each folder that gets a table."""
    tables: dict[Path, dict[str, int]] = {out: {}}
    if recipe.ablation is not None:
        tables = {out / f"seed-{seed}": {"seed": seed} for seed in recipe.ablation.seeds}
    return {
        folder: [
            Training(name, folder / _slug(name), settings.model_copy(update=changes), after)
            for name, after, settings in recipe.trainings()
        ]
        for folder, changes in tables.items()
    }


def _slug(name: str) -> str:
    """The name of a row as the name of a folder."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def train_networks(run: RecipeRun, before: Mapping[str, StepRecord]) -> StepRecord:
    """Train every network, several at the same time where there are workers for them."""
    tables = trainings_by_table(run.recipe, run.out)
    trainings = [training for table in tables.values() for training in table]
    stores, low_light = list(before["hq-store"].made.values()), before["low-light"].made["low-light"]
    submitted: dict[Path, Any] = {}
    for training in trainings:
        start = submitted[training.folder.parent / _slug(training.after)] if training.after else None
        alone = run.workers.client is None
        arguments = (training, stores, low_light, start, alone)
        submitted[training.folder] = run.workers.submit(_train, *arguments, tasks=len(trainings))
    if run.workers.client is not None:
        _follow(run, trainings, list(submitted.values()))
    made = {str(folder.relative_to(run.out)): run.workers.result(item) for folder, item in submitted.items()}
    return StepRecord(made, {name: blake3_file(network) for name, network in made.items()})


def _train(training: Training, stores: list[Path], low_light: Path, start: Path | None, alone: bool) -> Path:
    """One training; gives the file of its network. `alone` in this process it shows its progress."""
    from hqgen.progress import stderr_observer
    from spikeclip.data.lowlight import open_prepared
    from spikeclip.training.run import train

    settings, observer = training.settings, stderr_observer() if alone else SILENT
    observer.note(f"training {training.name}, seed {settings.seed}")
    if start is not None:
        settings = settings.model_copy(update={"initial": start})
    return train(stores, open_prepared(low_light), settings, training.folder, observer=observer).network


def _follow(run: RecipeRun, trainings: Sequence[Training], futures: Sequence[Any]) -> None:
    """Show the progress of the trainings on workers, until all are done or one has failed.

    It is read from their folders, which workers share with this process: a record for each stage, and the
    log, whose newest line is repeated from time to time.
    """
    from distributed import wait

    logs = {training.folder / "log.txt": training.folder.relative_to(run.out) for training in trainings}
    records = [
        training.folder / stage / "record.json"
        for training in trainings
        for stage in training.settings.stages
    ]
    shown, next_look = {log: _last_line(log) for log in logs}, time.monotonic() + SAY_EVERY
    done = sum(record.is_file() for record in records)
    with run.observer.progress("train", len(records), "stages", done) as job:
        while True:
            complete = sum(record.is_file() for record in records)
            job.advance(complete - done)
            done = complete
            waiting = [future for future in futures if not future.done()]
            if not waiting or any(future.status in {"error", "lost", "cancelled"} for future in futures):
                return
            with suppress(TimeoutError):
                wait(waiting, timeout=POLL, return_when="FIRST_COMPLETED")
            if time.monotonic() >= next_look:
                news = {log: line for log in logs if (line := _last_line(log)) not in {"", shown[log]}}
                for log, line in news.items():
                    run.observer.note(f"{logs[log]}: {line}")
                shown, next_look = shown | news, time.monotonic() + SAY_EVERY * max(1, len(news))


def _last_line(log: Path) -> str:
    """The newest line of a log; empty if there is no log."""
    try:
        return log.read_text("utf-8").rstrip().rpartition("\n")[2]
    except OSError:
        return ""
