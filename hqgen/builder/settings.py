"""What a user asks of a build."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from hqgen.config import ENV, Cluster, Count, Device, Flag, Names, Section

Existing = Literal["error", "resume", "append", "overwrite"]


def _joined(value: Any) -> Any:
    return ",".join(value) or None if isinstance(value, list | tuple) else value


class StoreSettings(Section):
    """What decides an HQ store, besides its sources."""

    data_root: Annotated[Path, Flag("HQGEN_DATA_ROOT")] = Path("data")
    """Folder of the datasets."""
    methods: Annotated[str | None, BeforeValidator(_joined), ENV] = None
    """The ensemble, as in `tfp:window=21,tfi`. [default: every method that can run here]"""
    source_methods: dict[str, str] = Field(default_factory=dict)
    """Other methods for single sources."""
    metric: Annotated[str, ENV] = "niqe"
    """What candidates are scored with; lower is better."""
    # Enough that a task costs little beside its work, few enough to lose on a kill.
    shard_size: Annotated[Count, ENV] = 32
    """Samples in a shard, the unit of work."""


class BuildSettings(StoreSettings, Cluster):
    """What a user asks of a build: the store, where it goes, and how it is made."""

    sources: Annotated[Names, Field(min_length=1), ENV]
    """Datasets, separated by commas: see `hqgen sources`; also `demo` and `folder:PATH`."""
    out: Annotated[Path, ENV] = Path()
    """Folder that receives `hq.zarr` and `manifest.json`."""
    existing: Annotated[Existing, ENV] = "resume"
    """What to do if there is already a build."""
    device: Annotated[Device, ENV] = "auto"
    """Where networks run."""


class _WeightsFolder(Section):
    weights_dir: Annotated[Path | None, Flag("HQGEN_WEIGHTS")] = None
    """Folder of the registered weights."""


class BuildCommand(BuildSettings, _WeightsFolder):
    """The settings of `hqgen build`."""
