"""What a user asks of an export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from hqgen.config import FLAG, Count, Flag, Section, WeightsFolder
from hqgen.export.splits import parse_split

Kind = Literal["imagefolder", "webdataset", "huggingface"]


def _split(text: str) -> str:
    parse_split(text)
    return text


def _bits(bits: int) -> int:
    if bits not in (8, 16):
        raise ValueError("must be 8 or 16")
    return bits


class SelectionSettings(Section):
    """Which samples of a store, and into which split."""

    split: Annotated[str, AfterValidator(_split), FLAG] = "train=1"
    """Splits and their shares, as in `train=0.8,val=0.1,test=0.1`; a recording is in one split only."""
    split_seed: Annotated[int, FLAG] = 0
    """Another number gives other splits."""
    max_score: Annotated[float | None, Field(allow_inf_nan=False), FLAG] = None
    """Leave out samples whose winner has a larger score. [default: no limit]"""
    min_margin: Annotated[float | None, Field(allow_inf_nan=False), FLAG] = None
    """Leave out samples whose winner leads by less. [default: no limit]"""
    curation: Annotated[Literal["honour", "ignore"], FLAG] = "honour"
    """Whether verdicts that are not applied count: picks are used, rejected samples are left out."""


class ExportSettings(SelectionSettings):
    """The settings of `hqgen export`."""

    to: Annotated[Kind, FLAG]
    """The kind of data set: `imagefolder`, `webdataset` or `huggingface`."""
    out: Annotated[Path, FLAG]
    """Folder to write."""
    bits: Annotated[int, AfterValidator(_bits), FLAG] = 8
    """Depth of the PNG files: 8, or 16, for which the winners are made again from the recordings."""
    shard_mb: Annotated[Count, FLAG] = 256
    """Most megabytes per file of `webdataset` and `huggingface`."""
    data_root: Annotated[Path, Flag("HQGEN_DATA_ROOT")] = Path("data")
    """Folder of the datasets, for recordings that moved: `--bits 16` reads them."""
    existing: Annotated[Literal["error", "overwrite"], FLAG] = "error"
    """What to do if the folder holds another export."""


class ExportCommand(ExportSettings, WeightsFolder):
    """The settings of `hqgen export`, and where the weights are: `--bits 16` runs methods again."""
