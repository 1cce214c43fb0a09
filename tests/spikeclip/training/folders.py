"""Folders of trainings, as a training leaves them, without training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from hqgen.tables import Cell, ResultRow
from hqgen.training.loop import write_curve
from spikeclip.evaluation.table import ResultTable, write_table
from spikeclip.training.folder import RunFolder, ShownSamples, StageRecord, StageSchedule
from spikeclip.training.grid import row
from spikeclip.training.settings import STAGES, StageName

HOSTILE = "<img src=x onerror=alert(1)>"
CLASSES = ("disc", HOSTILE, "ring")
SIDE, STEPS = 32, 4
"""Pixels of a side, and steps of an epoch; the curve has a point every second step."""


def begin(folder: Path, *, stages: Sequence[StageName] = STAGES, **settings: Any) -> RunFolder:
    """A training that has begun, and done nothing."""
    files = RunFolder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    table = {"network": "lrn", "stages": list(stages), **settings}
    (folder / "config.toml").write_text(tomli_w.dumps({"train": table}))
    (folder / "plan.json").write_text("{}")
    say(files, "2026-11-30 10:00:00 UTC, hqgen 1.0")
    return files


def say(files: RunFolder, line: str) -> None:
    """A line of the log."""
    with files.log.open("a") as log:
        log.write(line + "\n")


def announce(files: RunFolder, stage: StageName, epochs: int) -> None:
    """A stage that begins."""
    path = files.stage(stage).path
    path.mkdir(exist_ok=True)
    schedule = StageSchedule(steps=epochs * STEPS, epoch_steps=STEPS, device="cpu")
    files.stage(stage).schedule_path.write_text(schedule.model_dump_json())
    if stage != "prompt":
        files.shown.parent.mkdir(parents=True, exist_ok=True)
        files.shown.write_text(ShownSamples(classes=CLASSES).model_dump_json())
        files.small("tfi").write_bytes(row(pictures(0)))


def pictures(epoch: int) -> np.ndarray:
    """Pictures of the samples: stripes that become wider from epoch to epoch."""
    x = np.arange(SIDE)[None, :] + np.arange(len(CLASSES))[:, None]
    stripes = (x // (1 + epoch) % 2).astype(np.float32)
    return np.repeat(stripes[:, None, :], SIDE, axis=1)


def learn(files: RunFolder, stage: StageName, epochs: int, steps: int) -> None:
    """The stage after so many of the steps of its epochs."""
    announce(files, stage, epochs)
    lines = []
    for step in range(2, steps + 1, 2):
        ends, epoch = step % STEPS == 0, -(-step // STEPS)
        held_out = 1 / step if ends else ""
        lines.append(
            {"step": step, "epoch": epoch, "total": 2 / step, "class": 1.0, "validation": held_out}
            | {"learning-rate": 0.001, "seconds": step / 2}
        )
        if ends and stage != "prompt":
            files.small(stage, epoch).write_bytes(row(pictures(epoch)))
    write_curve(files.stage(stage).curve, lines)


def complete(files: RunFolder, stage: StageName, epochs: int) -> None:
    """The stage after its end."""
    learn(files, stage, epochs, epochs * STEPS)
    record = StageRecord(
        stage=stage,
        plan_id="0",
        plan={"stage": stage},
        final="0",
        steps=epochs * STEPS,
        losses={"total": 0.5},
        best_epoch=epochs,
        validation=0.5,
        seconds=epochs * STEPS / 2,
        device="cpu",
    )
    files.stage(stage).complete(record)


def evaluate(folder: Path) -> None:
    """The table of an evaluation."""
    rows = (ResultRow(HOSTILE, {"acc_raw": Cell(50.0)}), ResultRow("tfi", {"acc_raw": Cell(40.0)}))
    write_table(ResultTable(rows, about={"data": HOSTILE}), folder)
