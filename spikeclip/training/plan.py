"""What decides the result of a stage, as a document with an id.

Only what changes the weights is in it: data, settings, the stages before. Not in it is how they are computed
(device, compilation, micro-batches, number of processes), which moves them by rounding alone; `bfloat16` is,
since it moves them by more.
"""

from __future__ import annotations

from typing import Any

import hqgen
from spikeclip.training.settings import StageName, TrainSettings

VERSION = 1
"""Raised when the same plan gives other weights than before."""

Plan = dict[str, Any]


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
    shared = ("network", "bins", "crop", "seed", "augment", "validation")
    return {
        "stage": stage,
        "version": f"{hqgen.__version__}, training {VERSION}",
        **{name: getattr(settings, name) for name in shared},
        "bfloat16": bfloat16,
        "low_light": low_light,
        "start": start,
        **settings.of(stage).model_dump(mode="json"),
        **supervisors,
    }
