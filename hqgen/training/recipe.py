"""The recipe of a training: one typed table, read from TOML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from hqgen.config import Count, Section, read_toml, validated
from hqgen.simulation.scenes import Scenes


class Phase(Section):
    """A stretch of the training with one size of batch."""

    steps: Count
    batch: Count
    patch: Annotated[int, Field(ge=16, multiple_of=4)]
    """Pixels a side."""
    loss: Literal["absolute", "squared"] = "absolute"
    """What is minimised of the error; `squared` at the end favours PSNR."""


class Recipe(Section):
    """Everything that decides the trained weights besides the pictures.

    The defaults are those of pipelines/train-base.toml, which made the weights that ship with hqgen.
    """

    size: Literal["large", "small"] = "large"
    """The network: `base:size=large` or `base:size=small`."""
    seed: int = 0
    learning_rate: Annotated[float, Field(gt=0)] = 1.2e-3
    """Learning rate of Adam, between warm-up and cool-down."""
    warm_up: Annotated[int, Field(ge=0)] = 500
    """Steps in which the learning rate rises to that."""
    cool_down: Annotated[int, Field(ge=0)] = 30000
    """Last steps, in which it falls to zero."""
    gradient_norm: Annotated[float, Field(gt=0)] = 1.0
    """Longer gradients are cut to this length: without it the loss leaps up now and then."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay a step of the running mean of the weights; that mean is what is kept."""
    bfloat16: bool = True
    """Run the convolutions in bfloat16 where the processor computes in it (AVX512_BF16: twice as fast).

    Elsewhere they run in float32: on a core with AVX2 alone bfloat16 takes eleven times as long.
    """
    validate_every: Count = 250
    """Steps between two points of the learning curve, which are also the checkpoints."""
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)] = (
        Phase(steps=34000, batch=8, patch=64),
        Phase(steps=6000, batch=4, patch=96, loss="squared"),
    )
    scenes: Scenes = Scenes()

    @property
    def steps(self) -> int:
        """Steps of all phases."""
        return sum(phase.steps for phase in self.phases)

    def phase_at(self, step: int) -> Phase:
        """The phase that step `step` (from 0) belongs to."""
        for phase in self.phases:
            if step < phase.steps:
                return phase
            step -= phase.steps
        raise IndexError("after the last phase")


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        UsageError: the file is not TOML or holds keys or values that a recipe cannot have.
    """
    hint = "see pipelines/train-base.toml"
    return validated(Recipe, read_toml(path, "recipe", hint), f"the recipe `{path}`", hint)
