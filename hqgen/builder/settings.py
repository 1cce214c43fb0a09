"""What a user asks of a build."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from hqgen.config import ENV, FLAG, Cluster, Count, Device, Flag, Names, Section, WeightsFolder, join_names
from hqgen.spikes.camera import PLAIN, Camera

Existing = Literal["error", "resume", "append", "update", "retry", "overwrite"]


def _none_alone(names: tuple[str, ...]) -> tuple[str, ...]:
    if "none" in names and len(names) > 1:
        raise ValueError("`none` must be the only judge")
    return () if "none" in names else names


Judges = Annotated[Names, AfterValidator(_none_alone)]


class PickSettings(Section):
    """How winners are picked from candidates, and whether those stay."""

    rule: Annotated[str, ENV] = "niqe"
    """What picks the winner: `niqe` (the smallest score), `niqe-guarded` or `consensus`."""
    max_score: Annotated[float | None, Field(allow_inf_nan=False), ENV] = None
    """Give samples no picture whose pick has a larger score. [default: no limit]"""
    min_consistency: Annotated[float | None, Field(ge=0, le=1), ENV] = None
    """Give samples no picture whose pick agrees less with the spikes, 0 to 1. [default: no limit]"""
    keep_candidates: Annotated[bool, ENV] = True
    """Store the picture of every candidate, not of winners only."""


class StoreSettings(PickSettings):
    """What decides an HQ store, besides its sources."""

    data_root: Annotated[Path, Flag("HQGEN_DATA_ROOT")] = Path("data")
    """Folder of the datasets."""
    methods: Annotated[str | None, BeforeValidator(join_names), ENV] = None
    """The ensemble, as in `tfp:window=21,tfi`. [default: every method that can run here]"""
    source_methods: dict[str, str] = Field(default_factory=dict)
    """Other methods for single sources."""
    metric: Annotated[str, ENV] = "niqe"
    """What candidates are scored with; lower is better."""
    judges: Annotated[Judges, ENV] = ("consistency", "grain", "brisque", "piqe")
    """What else every candidate is measured by: `consistency` and metrics, or `none`."""
    min_motion: Annotated[float | None, Field(ge=0, le=16), ENV] = None
    """Leave out key frames that move by fewer pixels since the last one kept. [default: keep all]"""
    # Enough that a task costs little beside its work, few enough to lose on a kill.
    shard_size: Annotated[Count, ENV] = 32
    """Samples in a shard, the unit of work."""


class BuildSettings(StoreSettings, Cluster):
    """What a user asks of a build: the store, where it goes, and how it is made."""

    sources: Annotated[Names, Field(min_length=1), ENV]
    """Datasets, separated by commas: see `hqgen sources`; also `demo` and `folder:PATH`."""
    camera: Camera = PLAIN
    """How the recordings of `folder:PATH` are laid out; stronger than its `source.toml`."""
    force: Annotated[bool, FLAG] = False
    """Use recordings that are clearly not read as they were written, too."""
    out: Annotated[Path, ENV] = Path()
    """Folder that receives `hq.zarr` and `manifest.json`."""
    existing: Annotated[Existing, ENV] = "resume"
    """What to do if there is already a build."""
    verify: Annotated[bool, FLAG] = False
    """Read all pictures that are there already, not of a few shards; what is damaged is made again."""
    device: Annotated[Device, ENV] = "auto"
    """Where networks run."""


class RepickSettings(PickSettings):
    """The settings of `hqgen repick`."""

    out: Annotated[Path, FLAG]
    """Folder that receives `hq.zarr` and `manifest.json`."""
    metric: Annotated[str | None, ENV] = None
    """Score the stored candidates with this metric. [default: that of the store]"""
    judges: Annotated[Judges | None, ENV] = None
    """What else they are measured by, or `none`. [default: the judges of the store]"""
    data_root: Annotated[Path, Flag("HQGEN_DATA_ROOT")] = Path("data")
    """Folder of the datasets, for a judge that needs the recordings."""
    existing: Annotated[Literal["resume", "overwrite"], FLAG] = "resume"
    """What to do if there is already a store in that folder."""


class CurateSettings(Section):
    """The settings of `hqgen curate apply`."""

    out: Annotated[Path, FLAG]
    """Folder that receives `hq.zarr` and `manifest.json`."""
    keep_candidates: Annotated[bool, FLAG] = True
    """Store the picture of every candidate, if the old store has them."""
    existing: Annotated[Literal["resume", "overwrite"], FLAG] = "resume"
    """What to do if there is already a store in that folder."""


class RepickCommand(RepickSettings, WeightsFolder):
    """The settings of `hqgen repick` and its weights: `ilniqe` needs a file of them."""


class BuildCommand(BuildSettings, WeightsFolder):
    """The settings of `hqgen build`."""


class MergeSettings(Section):
    """The settings of `hqgen merge`."""

    out: Annotated[Path, FLAG]
    """Folder that receives `hq.zarr` and `manifest.json`."""
    existing: Annotated[Literal["resume", "overwrite"], FLAG] = "resume"
    """What to do if there is already a store in that folder."""
