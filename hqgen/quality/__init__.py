"""Image -> score.

The import is cheap: numba, Pillow, torch and pyiqa are imported only by the functions that need them.
"""

from __future__ import annotations

from hqgen.quality.brisque import brisque
from hqgen.quality.ilniqe import ilniqe
from hqgen.quality.niqe import niqe, score_images
from hqgen.quality.pictures import luma, read_picture
from hqgen.quality.piqe import piqe
from hqgen.quality.scorers import FileScore, Scorer, get_scorer, score_files, scorer_names

__all__ = [
    "FileScore",
    "Scorer",
    "brisque",
    "get_scorer",
    "ilniqe",
    "luma",
    "niqe",
    "piqe",
    "read_picture",
    "score_files",
    "score_images",
    "scorer_names",
]
