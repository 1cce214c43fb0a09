"""What the steps of a recipe work with, and what each gives to the steps after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hqgen.progress import Observer
from hqgen.provenance import Document
from spikeclip.recipes.recipe import Recipe
from spikeclip.recipes.workers import RecipeWorkers


@dataclass(frozen=True)
class RecipeRun:
    """One run of a recipe: where everything goes, where the steps run, and what gets the progress."""

    recipe: Recipe
    out: Path
    workers: RecipeWorkers
    observer: Observer


@dataclass(frozen=True)
class StepRecord:
    """What a step made, as paths by name, and the settings and digests that it was made from.

    Both are empty where the recipe does not ask for the step.
    """

    made: Mapping[str, Path]
    made_from: Document


Step = Callable[[RecipeRun, Mapping[str, StepRecord]], StepRecord]
"""Does what is missing of one step, given the records of the steps before by name."""
