"""Train `base` on streams simulated from pictures."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from hqgen.checkpoints import write_checkpoint
from hqgen.errors import SourceError
from hqgen.methods.learned.base import Base
from hqgen.pictures import load_pictures
from hqgen.progress import SILENT, Observer
from hqgen.simulation.scenes import SceneBatch, SceneMaker
from hqgen.training.checkpoint import Checkpoint, require_free
from hqgen.training.hardware import Hardware
from hqgen.training.loop import Losses, Point, Stop, Task, train, write_curve
from hqgen.training.recipe import Recipe

LONGEST = 480
SMALLEST = 32
HELD_OUT = 20  # every 20th picture draws the learning curve and trains nothing
VALIDATION = (32, 64)
RATE_TO_BRIGHTNESS = 1 / 0.6


def train_base(
    pictures: Path,
    out: Path,
    recipe: Recipe,
    *,
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
        observer: gets the progress.
        stop: once it says so, the state is saved and the call returns.

    Returns:
        the learning curve, up to where the training was stopped: `loss` is the mean absolute error of
        rate / 0.6, `psnr` the mean PSNR of rate / 0.6 over the validation scenes, of the running mean, dB.

    Raises:
        SourceError: no pictures there, or damaged ones.
        PlanMismatchError: the checkpoint beside `out` belongs to another recipe or other pictures.
        UsageError: `out` is there.
        WeightsError: the checkpoint is damaged.
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
    hardware = Hardware(torch.device("cpu"), bfloat16=recipe.bfloat16)
    task = _BaseTask(gray, out, recipe, hardware)
    return train(task, Checkpoint(out.with_suffix(".checkpoint"), plan), observer, stop)[1]


class _BaseTask(Task[SceneBatch]):
    """The network, and the running mean of its weights, which is what is kept."""

    name = "base"

    def __init__(self, gray: list[Image.Image], out: Path, recipe: Recipe, hardware: Hardware) -> None:
        self.out, self.recipe, self.hardware = out, recipe, hardware
        self.steps, self.epoch_steps = recipe.steps, recipe.validate_every
        self.gradient_norm = recipe.gradient_norm
        trained_on = [picture for number, picture in enumerate(gray) if number % HELD_OUT]
        self.maker = SceneMaker(trained_on, recipe.scenes, recipe.seed)
        self.scenes = SceneMaker(gray[::HELD_OUT], recipe.scenes, recipe.seed + 1).batch(0, *VALIDATION)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.learns = Base().network()
        self.mean = copy.deepcopy(self.learns)
        self.optimizer = torch.optim.Adam(self.learns.parameters())

    def modules(self) -> dict[str, nn.Module]:
        return {"learns": self.learns, "mean": self.mean}

    def draw(self, step: int) -> SceneBatch:
        phase = self.recipe.phase_at(step)
        return self.maker.batch(step, phase.batch, phase.patch)

    def losses(self, network: nn.Module, part: SceneBatch) -> Losses:
        with self.hardware.autocast():
            rate = network(torch.from_numpy(part.spikes).float())
        return {"loss": (rate.float() - torch.from_numpy(part.rate)).abs().mean() * RATE_TO_BRIGHTNESS}

    def before_step(self, step: int) -> None:
        """A linear rise, a plateau, and a linear fall over the last steps.

        Up to the fall nothing depends on the length of the training, so a longer one starts as a shorter one
        did.
        """
        rise = (step + 1) / max(self.recipe.warm_up, 1)
        fall = (self.steps - step) / max(self.recipe.cool_down, 1)
        self.optimizer.param_groups[0]["lr"] = self.recipe.learning_rate * min(rise, 1, fall)

    def after_step(self, step: int) -> None:
        decay = min(self.recipe.ema, step / (step + 10))  # a short memory while the weights move fast
        for mean, now in zip(self.mean.parameters(), self.learns.parameters(), strict=True):
            mean.lerp_(now, 1 - decay)

    def validate(self) -> dict[str, float]:
        rate = self.mean(torch.from_numpy(self.scenes.spikes).float()).numpy()
        error = ((rate - self.scenes.rate) * RATE_TO_BRIGHTNESS) ** 2
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
        write_checkpoint(self.out, {name: value.half() for name, value in self.mean.state_dict().items()})
