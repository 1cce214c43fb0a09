"""What a user asks of a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from hqgen.config import ENV, Count, Device, Flag, Names, Section, WeightsFolder, join_names


class BenchmarkSettings(Section):
    """Which methods run over which samples, how they are judged, and where the results go."""

    sources: Annotated[Names, Field(min_length=1), ENV]
    """Datasets, separated by commas: see `hqgen sources`; also `demo` and `folder:PATH`."""
    methods: Annotated[str, BeforeValidator(join_names), ENV] = "all"
    """As in `tfp:window=81,tfi`; `all` stands for every method that can run here."""
    judges: Annotated[str | None, BeforeValidator(join_names), ENV] = None
    """No-reference scores, separated by commas. [default: all of hqgen's own]"""
    samples: Annotated[int | None, Field(ge=1), ENV] = None
    """Samples of each source, spread evenly. [default: all]"""
    repeats: Annotated[Count, ENV] = 1
    """How often each picture is timed; the median counts."""
    crops: Annotated[Count, ENV] = 16
    """Samples of each source on the contact sheet, spread evenly."""
    data_root: Annotated[Path, Flag("HQGEN_DATA_ROOT")] = Path("data")
    """Folder of the datasets."""
    device: Annotated[Device, ENV] = "auto"
    """Where networks run."""
    out: Annotated[Path, ENV] = Path("benchmark")
    """Folder that receives the results; what is there already is not measured again."""


class BenchmarkCommand(BenchmarkSettings, WeightsFolder):
    """The settings of `hqgen benchmark`."""
