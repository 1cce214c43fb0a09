"""Followers of a training: programs that show its losses and pictures while it runs.

A training gives each point of its learning curve to every follower. What follows is not part of the result:
the plan does not name it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from hqgen.download import is_offline
from hqgen.errors import UsageError
from hqgen.files import write_atomically

PROJECT = "spikeclip"
"""The project of Weights & Biases that gets the runs, unless `WANDB_PROJECT` names another one."""


class Follower(Protocol):
    """A program that shows a training."""

    def show(self, step: int, values: Mapping[str, float], picture: Image.Image | None = None) -> None:
        """A point of the learning curve, and at the end of an epoch a picture; names are `STAGE/LOSS`."""

    def close(self) -> None:
        """The training ends: complete, stopped or with an error."""


class TensorBoard:
    """Writes the event files that `tensorboard --logdir` reads.

    Args:
        folder: receives the files.
        name: of the training.
        step: steps that are done; what an interrupted run wrote of later steps is dropped.

    Raises:
        UsageError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, name: str, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise _missing("TensorBoard", "tensorboard") from error
        self.name = name
        self.writer: Any = SummaryWriter(folder, purge_step=step + 1)

    def show(self, step: int, values: Mapping[str, float], picture: Image.Image | None = None) -> None:
        """See `Follower`."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        if picture is not None:
            pixels = np.asarray(picture)
            self.writer.add_image(f"{self.name}/pictures", pixels, step, dataformats="HWC")

    def close(self) -> None:
        """See `Follower`."""
        self.writer.close()


class WeightsAndBiases:
    """Gives a training to Weights & Biases, as one run of its project.

    A resumed training continues the same run: its id stays in `STAGE/wandb.id`. It repeats the
    steps after its last checkpoint with equal losses; Weights & Biases ignores steps that it has already.
    With `--offline` or `WANDB_MODE=offline` everything stays in a folder `wandb`, which `wandb sync` uploads.

    Args:
        folder: of the training, whose name the run gets; the files go to `wandb` in it.
        name: of the training.
        config: what the run is described by.

    Raises:
        UsageError: Weights & Biases is not installed, or refuses the run.
    """

    def __init__(self, folder: Path, name: str, config: Mapping[str, Any]) -> None:
        try:
            import wandb
        except ImportError as error:
            raise _missing("Weights & Biases", "wandb") from error
        self.name = name
        try:
            self.run: Any = wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT),
                id=_kept_id(folder / name / "wandb.id"),
                name=f"{folder.resolve().name}/{name}",
                group=folder.resolve().name,
                config=dict(config),
                dir=str(folder),
                resume="allow",
                mode="offline" if is_offline() else None,
                settings=wandb.Settings(silent=True, console="off"),  # stdout carries data only
            )
        except wandb.errors.Error as error:
            raise UsageError(
                f"Weights & Biases refuses the run: {error}",
                hint="`wandb login` once, or `WANDB_MODE=offline` and `wandb sync` later",
            ) from error
        self._picture = wandb.Image

    def show(self, step: int, values: Mapping[str, float], picture: Image.Image | None = None) -> None:
        """See `Follower`."""
        shown = {} if picture is None else {f"{self.name}/pictures": self._picture(picture)}
        self.run.log({**values, **shown}, step=step)

    def close(self) -> None:
        """See `Follower`."""
        self.run.finish()


def _missing(name: str, extra: str) -> UsageError:
    return UsageError(
        f"{name} was asked for, but is not installed",
        hint=f"`pip install hqgen[{extra}]`, or leave `{extra}` out of the settings",
    )


def _kept_id(file: Path) -> str:
    """The id in a file, or a new one that is kept there."""
    with suppress(FileNotFoundError):
        if kept := file.read_text("utf-8").strip():
            return kept
    fresh = secrets.token_hex(6)
    write_atomically(file, fresh + "\n")
    return fresh
