"""The recipe of a training: one typed table, read from TOML."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from hqgen.errors import UsageError

__all__ = ["Motion", "Phase", "Recipe", "Scenes", "Sensor", "load_recipe"]

Share = Annotated[float, Field(ge=0, le=1)]
Size = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(gt=0, le=1)]


def _ascending(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] > span[1]:
        raise ValueError(f"the smaller number comes first, not {span[0]:g} before {span[1]:g}")
    return span


Sizes = Annotated[tuple[Size, Size], AfterValidator(_ascending)]
Rates = Annotated[tuple[Rate, Rate], AfterValidator(_ascending)]
Scales = Annotated[
    tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]], AfterValidator(_ascending)
]


class Table(BaseModel):
    """A TOML table: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Motion(Table):
    """How far a layer moves over the 41 frames; each value is the largest that is drawn."""

    shift: Size = 20.0
    """Pixels; squares of uniform numbers are drawn, so half of the scenes move less than a quarter of it."""
    bend: Size = 0.5
    """Sideways acceleration, as a part of the shift."""
    rotation: Size = 6.0
    """Degrees."""
    zoom: Size = 0.08
    """Logarithm of the scale."""


class Sensor(Table):
    """Deviations from ideal integrate-and-fire on the noisy scenes; each is the largest that is drawn."""

    noisy: Share = 0.3
    """Share of scenes that have them at all."""
    gain: Size = 0.05
    """Standard deviation of the pixels' response around 1 (field: 0.03 to 0.06)."""
    dark: Size = 0.01
    """Dark current, spikes a frame (field: 0.017 in a dark bezel)."""
    jitter: Size = 0.04
    """Standard deviation of the noise a frame, in thresholds (field: intervals vary by a frame at 0.03)."""
    flicker: Size = 0.1
    """Part by which even and odd frames differ."""
    hot: Share = 0.0008
    """Share of pixels that fire whatever they see."""


class Scenes(Table):
    """What is drawn of the pictures."""

    layered: Share = 0.5
    """Share of scenes with a second layer in front."""
    scale: Scales = (0.5, 1.1)
    """Picture pixels to a patch pixel."""
    blur: Size = 0.8
    """Largest Gaussian blur, pixels; half of the textures have none."""
    rates: Rates = (0.4, 0.95)
    """Firing rate of white."""
    dim: Share = 0.25
    """Share of scenes that take `dim_rates` instead."""
    dim_rates: Rates = (0.03, 0.4)
    """Firing rate of white in dim scenes."""
    optics: Sizes = (0.4, 0.6)
    """Standard deviation, pixels, of the blur between the scene, which is the target, and the sensor."""
    motion: Motion = Motion()
    sensor: Sensor = Sensor()


class Phase(Table):
    """A stretch of the training with one size of batch."""

    steps: Annotated[int, Field(gt=0)]
    batch: Annotated[int, Field(gt=0)]
    patch: Annotated[int, Field(ge=16, multiple_of=2)]
    """Pixels a side, even."""


class Recipe(Table):
    """Everything that decides the trained weights besides the pictures.

    The defaults are those of pipelines/train-base.toml, which made the weights that ship with hqgen.
    """

    seed: int = 0
    learning_rate: Annotated[float, Field(gt=0)] = 1.2e-3
    """Of Adam, between warm-up and cool-down."""
    warm_up: Annotated[int, Field(ge=0)] = 300
    """Steps in which the learning rate rises to that."""
    cool_down: Annotated[int, Field(ge=0)] = 11000
    """Last steps, in which it falls to zero."""
    gradient_norm: Annotated[float, Field(gt=0)] = 1.0
    """Longer gradients are cut to this length: without it the loss leaps up now and then."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay a step of the running mean of the weights; that mean is what is kept."""
    bfloat16: bool = True
    """Run the convolutions of the training in bfloat16 (twice as fast where the CPU has AVX512_BF16)."""
    validate_every: Annotated[int, Field(gt=0)] = 100
    """Steps between two points of the learning curve, which are also the checkpoints."""
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)] = (
        Phase(steps=13000, batch=12, patch=48),
        Phase(steps=1000, batch=6, patch=96),
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
        raise IndexError("behind the last phase")


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        UsageError: the file is no TOML or holds keys or values that a recipe cannot have.
    """
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise UsageError(f"cannot read the recipe `{path}`: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"`{path}` is no TOML: {error}", hint="see pipelines/train-base.toml") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"`{where}` in the recipe `{path}`: {first['msg']}", hint="see pipelines/train-base.toml"
        ) from error
