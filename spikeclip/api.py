"""The verbs of a script: what the commands of `spikeclip` do, as functions that return what was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hqgen.progress import SILENT, Observer

if TYPE_CHECKING:
    from torch import nn

    from spikeclip.data.lowlight import LowLightSet
    from spikeclip.evaluation.table import ResultTable
    from spikeclip.training.folder import RunFolder
    from spikeclip.training.settings import StageName


def train(
    hq_stores: str | Path | Sequence[str | Path],
    low_light: LowLightSet,
    out: str | Path = "run",
    *,
    stage: StageName | None = None,
    observer: Observer = SILENT,
    **settings: Any,
) -> RunFolder:
    """Train the network, as `spikeclip train` does; called again, it continues from the last checkpoint.

    Args:
        hq_stores: HQ stores of `hqgen.build`; only stage `prompt` needs them.
        low_light: the low-light set; its split `train` is trained on.
        out: folder of the training.
        stage: `coarse`, `prompt` or `fine` alone; None for all that are not complete.
        observer: gets the progress; `hqgen.progress.stderr_observer()` shows it.
        settings: any of `spikeclip.training.settings.TrainSettings`, such as `crop=64`,
            `clip={"model": "small"}`, `fine={"epochs": 6}`; the others are the paper's.

    Returns:
        The folder of the training: `network` is the file of the trained network.

    Raises:
        HqgenError: see `spikeclip.training.run.train`.
        UsageError: a setting that does not exist, or has a wrong value.
    """
    from spikeclip.training.run import train
    from spikeclip.training.settings import train_settings

    stores = [hq_stores] if isinstance(hq_stores, str | Path) else hq_stores
    return train(
        [Path(store) for store in stores],
        low_light,
        train_settings(settings, where="spikeclip.train"),
        Path(out),
        only=stage,
        observer=observer,
    )


def evaluate(
    networks: Mapping[str, str | Path | nn.Module],
    low_light: LowLightSet,
    *,
    observer: Observer = SILENT,
    **settings: Any,
) -> ResultTable:
    """Compare networks and methods as the paper's tables do, as `spikeclip evaluate` does.

    Args:
        networks: files that `spikeclip.load` takes, or networks, by the name of their row.
        low_light: the data.
        observer: gets the progress; `hqgen.progress.stderr_observer()` shows it.
        settings: any of `spikeclip.evaluation.settings.EvaluateSettings`, such as `crop=64`,
            `clip={"model": "small"}`, `methods="tfp:window=21,tfi"`, `samples=100`.

    Returns:
        The table; `spikeclip.evaluation.table.write_table` writes it as JSON, Markdown and LaTeX.

    Raises:
        HqgenError: see `spikeclip.evaluation.comparison.evaluate`.
        UsageError: a setting that does not exist, or has a wrong value.
    """
    from hqgen.config import validated
    from hqgen.devices import resolve_device
    from spikeclip.clip.frozen import load_clip
    from spikeclip.evaluation.comparison import evaluate
    from spikeclip.evaluation.settings import EvaluateSettings

    chosen = validated(EvaluateSettings, settings, "spikeclip.evaluate")
    return evaluate(
        {name: Path(what) if isinstance(what, str) else what for name, what in networks.items()},
        low_light,
        load_clip(chosen.clip.model, chosen.clip.weights, resolve_device(chosen.device)),
        methods=chosen.chosen_methods(),
        judge=chosen.judging_clip(),
        **chosen.model_dump(include={"metrics", "split", "crop", "samples", "device", "runs"}),
        observer=observer,
    )
