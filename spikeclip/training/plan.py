"""What decides the result of a stage, as a document with an id.

Only what changes the weights is in it: data, settings, the stages before. Not in it is how they are computed
(device, compilation, micro-batches, number of processes), which moves them by rounding alone; `bfloat16` is,
since it moves them by more.
"""

from __future__ import annotations

from typing import Any

import hqgen
from hqgen.config import Section
from spikeclip.training.settings import StageName, TrainSettings

VERSION = 1
"""Raised when the same plan gives other weights than before."""

Plan = dict[str, Any]

SHARED = {"network", "bins", "crop", "seed", "augment", "validation"}
"""Settings of the whole training that decide the weights."""

FIRST = SHARED | {
    *("epochs", "batch", "learning_rate", "loss", "context"),
    *("prompt_weight", "class_weight", "tau", "duplicates"),
}
"""Settings that are always in a plan. One that came later is in it only where it is not at its default, so
that the plans of before keep their ids."""


def stage_plan(
    stage: StageName,
    settings: TrainSettings,
    *,
    bfloat16: bool,
    low_light: str,
    start: str | None,
    **supervisors: object,
) -> Plan:
    """The plan of one stage.

    Args:
        stage: its name.
        settings: of the training.
        bfloat16: whether networks run in it.
        low_light: digest of the low-light set.
        start: what the network starts from: id of the plan or digest of the file; None: random weights.
        supervisors: what else the stage learns from: plan ids of `hq_stores`, digest of `clip`, id of the
            plan of the `prompts`.
    """
    table = settings.of(stage)
    return {
        "stage": stage,
        "version": f"{hqgen.__version__}, training {VERSION}",
        **_chosen(settings, SHARED | {"padding"}),
        "bfloat16": bfloat16,
        "low_light": low_light,
        "start": start,
        **_chosen(table, set(type(table).model_fields)),
        **supervisors,
    }


def _chosen(table: Section, names: set[str]) -> Plan:
    """The settings of a table that are in a plan, of those named."""
    dumped = table.model_dump(mode="json", include=names)
    changed = table.model_dump(include=names, exclude_defaults=True)
    return {name: value for name, value in dumped.items() if name in FIRST or name in changed}
