"""The training of a blind-spot network on recordings; `hqgen.training.bsn` says why it works."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from hqgen.checkpoints import write_checkpoint
from hqgen.config import Count, Section, read_toml, validated
from hqgen.methods.learned.bsn import BlindNetwork, half_width, measured
from hqgen.training.crops import Crops
from hqgen.training.hardware import Hardware, has_bfloat16
from hqgen.training.loop import Losses, Point, Task, write_curve
from hqgen.training.schedules import trapezium

VALIDATION = (8, 2)
"""Windows, and crops of each, of what draws the learning curve."""
BORDER = 2
"""Hidden pixels at the border of a crop whose error is not counted: they see only half of what is around."""


class BlindRecipe(Section):
    """Everything that decides the trained weights besides the recordings.

    The defaults are those of pipelines/train-bsn.toml.
    """

    seed: int = 0
    steps: Count = 1500
    windows: Count = 4
    """Windows of a step."""
    crops: Count = 2
    """Crops of each window."""
    patch: Annotated[int, Field(ge=16, multiple_of=4)] = 64
    """Pixels a side of a crop."""
    learning_rate: Annotated[float, Field(gt=0)] = 1.5e-3
    """Learning rate of Adam for the blind network."""
    start_learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    """Learning rate of the network that is adapted; it learns in the last third of the steps."""
    warm_up: Annotated[int, Field(ge=0)] = 30
    """Steps in which the learning rates rise."""
    cool_down: Annotated[int, Field(ge=0)] = 750
    """Last steps, in which they fall to zero."""
    gradient_norm: Annotated[float, Field(gt=0)] = 1.0
    """Longer gradients are cut to this length."""
    bfloat16: bool = True
    """Run the convolutions in bfloat16 where the processor computes in it, and elsewhere in float32."""
    validate_every: Count = 100
    """Steps between two points of the learning curve, which are also the checkpoints."""


def load_blind_recipe(path: Path) -> BlindRecipe:
    """Read a recipe.

    Raises:
        UsageError: the file is not TOML or holds keys or values that a recipe cannot have.
    """
    hint = "see pipelines/train-bsn.toml"
    return validated(BlindRecipe, read_toml(path, "recipe", hint), f"the recipe `{path}`", hint)


class Batch(NamedTuple):
    """What a step learns from."""

    spikes: Tensor
    """float32 (B, 41, P, P)."""
    step: int
    """Number of the step; it also chooses the neighbour that stands in for a hidden pixel."""


class Blind(Task[Batch]):
    """The blind network, from fresh parameters."""

    name = "bsn"
    guesses = 0

    def __init__(self, crops: Crops, held: Crops, out: Path, recipe: BlindRecipe, rate: float) -> None:
        self.crops, self.out, self.recipe, self.rate = crops, out, recipe, rate
        cpu = torch.device("cpu")
        self.hardware = Hardware(cpu, bfloat16=recipe.bfloat16 and has_bfloat16(cpu))
        self.steps, self.epoch_steps = recipe.steps, recipe.validate_every
        self.gradient_norm = recipe.gradient_norm
        self.half = half_width(rate)
        self.held = Batch(torch.from_numpy(held.batch(0, *VALIDATION, recipe.patch)).float(), 0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.blind = BlindNetwork(self.guesses)
        self.blind.scale.fill_(rate)
        self.learns: nn.Module = self.blind
        self.optimizer = torch.optim.Adam(self.blind.parameters())

    def draw(self, step: int) -> Batch:
        """See `Task`."""
        spikes = self.crops.batch(step, self.recipe.windows, self.recipe.crops, self.recipe.patch)
        return Batch(torch.from_numpy(spikes).float(), step)

    def target(self, part: Batch) -> Tensor:
        """What the hidden pixels fired, in units of the mean rate."""
        return measured(part.spikes, self.half)[:, ::2, ::2] / self.rate

    def losses(self, network: nn.Module, part: Batch) -> Losses:
        """See `Task`."""
        del network  # the parts of it are called, and this training runs in one process
        with self.hardware.autocast():
            predicted = self.blind.hidden(part.spikes)
        return {"loss": mean_square(predicted.float() - self.target(part))}

    def before_step(self, step: int) -> None:
        """See `Task`."""
        part = trapezium(step, self.steps, self.recipe.warm_up, self.recipe.cool_down)
        self.optimizer.param_groups[0]["lr"] = self.recipe.learning_rate * part

    def validate(self) -> dict[str, float]:
        """See `Task`."""
        return {"error": float(mean_square(self.blind.hidden(self.held.spikes) - self.target(self.held)))}

    def looked(self, curve: Sequence[Point]) -> None:
        """Write the learning curve."""
        rows = [
            {
                "step": point.step,
                "loss": f"{point.losses['loss']:.5f}",
                **{name: f"{value:.5f}" for name, value in point.validation.items()},
                "seconds": round(point.seconds),
            }
            for point in curve
        ]
        write_curve(self.out.with_suffix(".csv"), rows)

    def finish(self, curve: Sequence[Point]) -> None:  # noqa: ARG002
        """Write the weights."""
        write_checkpoint(self.out, {name: value.half() for name, value in self.result().state_dict().items()})

    def result(self) -> nn.Module:
        """The module whose weights are written."""
        return self.blind


def inner(image: Tensor) -> Tensor:
    """(B, h, w) hidden pixels without those at the border of the crop."""
    return image[:, BORDER:-BORDER, BORDER:-BORDER]


def mean_square(difference: Tensor) -> Tensor:
    """Over the inner hidden pixels."""
    return inner(difference).square().mean()
