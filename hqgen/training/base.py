"""Train `base` on streams simulated from pictures."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from hqgen.checkpoints import existing_file, load_weights, write_checkpoint
from hqgen.errors import SourceError
from hqgen.files import sha256_file
from hqgen.methods.learned.base import Base
from hqgen.pictures import load_pictures
from hqgen.progress import SILENT, Observer
from hqgen.simulation.scenes import SceneBatch, SceneMaker
from hqgen.training.average import RunningMean
from hqgen.training.checkpoint import Checkpoint, require_free
from hqgen.training.hardware import Hardware, hardware
from hqgen.training.loop import Losses, Point, Stop, Task, train, write_curve
from hqgen.training.recipe import Recipe
from hqgen.training.schedules import trapezium

LONGEST = 480
SMALLEST = 32
HELD_OUT = 20  # every 20th picture draws the learning curve and trains nothing
VALIDATION = (32, 64)
USUAL_WHITE = 0.6
"""Firing rate of white in the usual light, spikes per frame: that of Spike-REDS."""


def train_base(
    pictures: Path,
    out: Path,
    recipe: Recipe,
    *,
    start: Path | None = None,
    device: str = "cpu",
    observer: Observer = SILENT,
    stop: Stop = lambda: False,
) -> list[Point]:
    """Train `base` on streams simulated from pictures; run again after an interruption, it continues.

    Beside `out` are the learning curve (`.csv`) and, until the end, the checkpoint (`.checkpoint`); all three
    are replaced whole, so a kill at any moment leaves the ones before.

    Args:
        pictures: a folder or a zip archive of pictures.
        out: where the weights go: a state_dict in half precision.
        recipe: everything else that decides them.
        start: weights of `base` to begin with; None: fresh ones.
        device: where the network is trained: `auto`, `cpu` or `cuda`; scenes are drawn on the CPU.
        observer: gets the progress.
        stop: once it says so, the state is saved and the call returns.

    Returns:
        the learning curve, up to where the training was stopped: `loss` is the error of the phase, `psnr`
        the mean PSNR of the running mean over the validation scenes, in dB, where white is 1.

    Raises:
        SourceError: no pictures there, or damaged ones.
        PlanMismatchError: the checkpoint beside `out` belongs to another recipe or other pictures.
        UsageError: `out` is there.
        WeightsError: the checkpoint is damaged.
        MethodError: `start` is missing, damaged, or of another network.
    """
    require_free(out)
    gray = load_pictures(pictures, longest=LONGEST, smallest=SMALLEST)
    if len(gray) < 2:
        raise SourceError(
            f"`{pictures}` holds one picture; one is kept for the learning curve, so training needs two",
            hint="add pictures: a few hundred different ones make a good training",
        )
    digest = hashlib.sha256()
    for picture in gray:
        digest.update(picture.tobytes())
    plan = {"recipe": recipe.model_dump(mode="json"), "pictures": digest.hexdigest()}
    if start is not None:
        plan["start"] = sha256_file(existing_file(start))
    checkpoint = Checkpoint(out.with_suffix(".checkpoint"), plan)
    bfloat16 = None if recipe.bfloat16 else False
    with hardware(device, bfloat16=bfloat16, compiles=False) as place:
        return train(_BaseTask(gray, out, recipe, place, start), checkpoint, observer, stop)[1]


class Drawn(NamedTuple):
    """The scenes of a step, and the loss of its phase."""

    scenes: SceneBatch
    loss: Literal["absolute", "squared"]


class _BaseTask(Task[Drawn]):
    """The network, and the running mean of its weights, which is what is kept."""

    name = "base"

    def __init__(
        self, gray: list[Image.Image], out: Path, recipe: Recipe, hardware: Hardware, start: Path | None
    ) -> None:
        self.out, self.recipe, self.hardware = out, recipe, hardware
        if hardware.device.type == "cuda":
            self.drawers = os.cpu_count() or 1
        self.steps, self.epoch_steps = recipe.steps, recipe.validate_every
        self.gradient_norm = recipe.gradient_norm
        trained_on = [picture for number, picture in enumerate(gray) if number % HELD_OUT]
        self.maker = SceneMaker(trained_on, recipe.scenes, recipe.seed)
        self.scenes = SceneMaker(gray[::HELD_OUT], recipe.scenes, recipe.seed + 1).batch(0, *VALIDATION)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            network = Base(size=recipe.size).network()
        if start is not None:
            load_weights(network, start)
        self.learns = hardware.place(network)
        self.mean = RunningMean(self.learns, recipe.ema)
        self.optimizer = torch.optim.Adam(self.learns.parameters(), betas=(0.9, 0.99))

    def modules(self) -> dict[str, nn.Module]:
        return {"learns": self.learns, "mean": self.mean.module}

    def draw(self, step: int) -> Drawn:
        phase = self.recipe.phase_at(step)
        return Drawn(self.maker.batch(step, phase.batch, phase.patch), phase.loss)

    def losses(self, network: nn.Module, part: Drawn) -> Losses:
        """Each scene's error counts by the root of its light: a dim scene is noisier, and must not rule."""
        device = self.hardware.device
        with self.hardware.autocast():
            rate = network(self._spikes(part.scenes))
        light = torch.from_numpy(part.scenes.white).to(device)[:, None, None] * USUAL_WHITE
        error = (rate.float() - torch.from_numpy(part.scenes.rate).to(device)) / light.sqrt()
        return {"loss": (error.abs() if part.loss == "absolute" else error**2).mean()}

    def _spikes(self, scenes: SceneBatch) -> Tensor:
        spikes = torch.from_numpy(scenes.spikes).to(self.hardware.device).float()
        return spikes.contiguous(memory_format=torch.channels_last)

    def before_step(self, step: int) -> None:
        part = trapezium(step, self.steps, self.recipe.warm_up, self.recipe.cool_down)
        self.optimizer.param_groups[0]["lr"] = self.recipe.learning_rate * part

    def after_step(self, step: int) -> None:
        self.mean.update(self.learns, step)

    def validate(self) -> dict[str, float]:
        scenes = self.scenes
        rate = self.mean.module(self._spikes(scenes)).cpu().numpy()
        error = ((rate - scenes.rate) / scenes.white[:, None, None]) ** 2
        return {"psnr": float(np.mean(-10 * np.log10(error.mean(axis=(1, 2)))))}

    def looked(self, curve: Sequence[Point]) -> None:
        rows = [
            {
                "step": point.step,
                "loss": f"{point.losses['loss']:.5f}",
                "psnr_db": f"{point.validation['psnr']:.3f}",
                "seconds": round(point.seconds),
            }
            for point in curve
        ]
        write_curve(self.out.with_suffix(".csv"), rows)

    def finish(self, curve: Sequence[Point]) -> None:  # noqa: ARG002
        write_checkpoint(
            self.out,
            {name: value.half().contiguous() for name, value in self.mean.module.cpu().state_dict().items()},
        )
