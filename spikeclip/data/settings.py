"""The settings of simulated low-light sets, and those that go with the demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from hqgen.config import ENV, FLAG, Count, Names, Section, merged

DEMO = "demo"
DEMO_CROP = 64
"""Side of the crop that suits the frames of the demo, 72x72 pixels."""

Side = Annotated[int, Field(ge=8)]

DEMO_METRICS = ("grain",)
DEMO_CAVEAT = (
    "its pictures are drawn shapes of 64x64 pixels, too few for NIQE and unlike the photographs that BRISQUE "
    "and PIQE know; `grain` is the noise that is left in flat parts, ACC the share that CLIP recognises"
)
"""What a reader of a table about the demo has to know."""

SPIKES = Field(description="A low-light set, a folder of labelled recordings, or `demo`.")
ENTRY = Field(description="The folder's dataset, `u-caltech` or `u-cifar`. [default: by its name]")
Spikes = Annotated[str, ENV, SPIKES]
Entry = Annotated[str | None, ENV, ENTRY]


class PrepareSettings(Section):
    """How recordings become a low-light set."""

    out: Annotated[Path, FLAG]
    """The low-light set, a Zarr store."""
    entry: Entry = None


class SimulateSettings(Section):
    """How a low-light set is simulated from pictures."""

    train: Annotated[int | None, Field(ge=1), FLAG] = None
    """Pictures of each class to train on. [default: all]"""
    test: Annotated[int | None, Field(ge=0), FLAG] = None
    """Pictures of each class to test on; 0 for none. [default: all]"""
    height: Annotated[Side, FLAG] = 250
    """Rows."""
    width: Annotated[Side, FLAG] = 250
    """Columns."""
    frames: Annotated[Count, FLAG] = 200
    """Length of a sample."""
    light: Annotated[Literal["normal", "low", "uhsr"], FLAG] = "low"
    """How much light there is, and which camera: `uhsr` is that of U-CALTECH's helicopter."""
    screen: Annotated[Literal["plain", "glass"], FLAG] = "plain"
    """What shows the pictures; `glass` has uneven light, reflections and a blurring lens."""
    labels: Annotated[Names | None, FLAG] = None
    """Classes in the order of their numbers, separated by commas. [default: all]"""
    seed: Annotated[int, Field(ge=0), FLAG] = 0
    """Random seed of motion, pixels and noise."""


_DEMO_TRAINING: dict[str, Any] = {
    "coarse": {"epochs": 24, "batch": 8, "learning_rate": 1e-3},
    "prompt": {"epochs": 2, "batch": 8, "learning_rate": 1e-3},
    "fine": {"epochs": 6, "batch": 8, "learning_rate": 1e-4},
}
"""With 64 samples, the paper's small steps would take hundreds of epochs."""


def demo_defaults(values: dict[str, Any], *, training: bool) -> dict[str, Any]:
    """Settings with other defaults where their `spikes` are the demo.

    A CLIP that was named is taken as it is: the demo's is another model, which needs no published weights.
    """
    if values.get("spikes") != DEMO:
        return values
    usual = {"crop": DEMO_CROP} | (_DEMO_TRAINING if training else {"metrics": DEMO_METRICS})
    return merged(usual | ({} if values.get("clip") else {"clip": {"model": "small"}}), values)
