"""The settings of an evaluation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from hqgen.config import ENV, FLAG, Device, Flag, Names, Section, split_names
from spikeclip.clip.settings import ClipSettings
from spikeclip.data.settings import Entry, Spikes, demo_defaults
from spikeclip.evaluation.table import METRICS

if TYPE_CHECKING:
    from hqgen.methods.base import Method
    from spikeclip.clip.frozen import FrozenClip


def _named_methods(value: Any) -> Any:
    return () if value == "none" else split_names(value)


class JudgeSettings(Section):
    """A CLIP that judges, and did not teach."""

    model: Annotated[str | None, Flag(name="judge")] = None
    """A second CLIP, which did not teach the networks: a model of open_clip, or `small`. [default: none]"""
    weights: Annotated[str | None, Flag(name="judge_weights")] = None
    """Its weights: a tag, or a file; a file of a small CLIP says itself what model it is."""


class Comparison(Section):
    """What the tables show."""

    methods: Annotated[tuple[str, ...] | None, BeforeValidator(_named_methods), FLAG] = None
    """Methods of hqgen to compare with, separated by commas; `none` for none. [default: all that can run]"""
    metrics: Annotated[Names, FLAG] = METRICS
    """Quality scores, separated by commas."""
    samples: Annotated[int | None, Field(ge=1), FLAG] = None
    """How many, spread evenly. [default: all]"""
    runs: Annotated[int, Field(ge=0), FLAG] = 100
    """Timed for the latency; 0 leaves costs out."""

    def chosen_methods(self) -> list[Method] | None:
        """The methods of hqgen; None for all that can run here."""
        from hqgen.methods.registry import parse_methods

        return parse_methods(",".join(self.methods)) if self.methods else None if self.methods is None else []

    judge: JudgeSettings = JudgeSettings()

    def judging_clip(self) -> Callable[[str], FrozenClip] | None:
        """What loads the judge on a device; None without one."""
        from spikeclip.clip.frozen import load_clip

        model, weights = self.judge.model, self.judge.weights
        return partial(load_clip, model or "small", weights) if model or weights else None


class EvaluateSettings(Comparison):
    """What is compared, and who judges."""

    clip: ClipSettings = ClipSettings()
    split: Annotated[str, FLAG] = "test"
    """Part of the data."""
    crop: Annotated[int, Field(ge=8), FLAG] = 224
    """Side of the middle square; for `--spikes demo`, 64."""
    device: Annotated[Device, ENV] = "auto"
    """Where networks run."""


class EvaluateCommand(EvaluateSettings):
    """The settings of `spikeclip evaluate`."""

    spikes: Spikes
    entry: Entry = None
    out: Annotated[Path | None, FLAG] = None
    """Folder for table.json, table.md and table.tex."""

    @model_validator(mode="before")
    @classmethod
    def _demo(cls, values: dict[str, Any]) -> dict[str, Any]:
        return demo_defaults(values, training=False)
