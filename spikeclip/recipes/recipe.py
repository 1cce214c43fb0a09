"""A recipe: a TOML file that says which parts to combine, from pictures or recordings to tables.

::

    out = "u-cifar"             where everything goes, unless `--out` says otherwise

    [recordings]                optional: normal-light recordings simulated from pictures, for [hq-store]
    [hq-store]                  the HQ store: as in the table `[build]` of `hqgen build --config`
    [low-light]                 the low-light set: of recordings, of pictures, or the demo
    [train]                     as in `spikeclip train --config`
    [ablation]                  optional: instead of one training, several `rows` for each of `seeds`
    [evaluate]                  what the networks are compared with, and by

Paths start where the command was called.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationError, model_validator

from hqgen.errors import UsageError
from spikeclip.data.opening import merged
from spikeclip.training.settings import Section, TrainSettings, train_settings

__all__ = ["Ablation", "Evaluation", "HQBuild", "LowLight", "Recipe", "Recordings", "Row", "read_recipe"]

Count = Annotated[int, Field(gt=0)]
Text = Annotated[str, Field(min_length=1)]


class Part(Section):
    """A table of a recipe; keys are written with `-`."""

    model_config = ConfigDict(alias_generator=lambda name: name.replace("_", "-"), populate_by_name=True)


class Recordings(Part):
    """Normal-light recordings, one a picture, in which the picture fills the frame and barely moves."""

    pictures: Path
    """A folder or a zip archive of CLASS/NAME.jpg."""
    per_class: Count
    """How many pictures of each class to take: the first ones by name."""
    height: Count = 250
    width: Count = 400
    frames: Count = 61
    seed: int = 0


class HQBuild(Part):
    """The HQ store; see `hqgen.builder.prepare.BuildSettings`."""

    sources: tuple[Text, ...] = ()
    """None: the recordings of `[recordings]`."""
    data_root: Path = Path("data")
    methods: tuple[Text, ...] | None = None
    source_methods: dict[str, str] = Field(default_factory=dict)
    metric: str = "niqe"
    shard_size: Count = 32


class LowLight(Part):
    """The low-light set: `spikes`, or `pictures` that it is simulated from."""

    spikes: str | None = None
    """A low-light set, a folder of labelled recordings, or `demo`."""
    entry: str | None = None
    """The catalog's name for the folder's dataset."""
    pictures: Path | None = None
    """A folder with `train` and `test`, each a folder or a zip archive of CLASS/NAME.jpg."""
    train: Count = 100
    """Pictures of each class to train on."""
    test: Count = 20
    """Pictures of each class to test on."""
    height: Count = 250
    width: Count = 250
    frames: Count = 200
    labels: tuple[Text, ...] | None = None
    """Classes in the order of their numbers."""
    seed: int = 0

    @model_validator(mode="after")
    def _one_of_both(self) -> LowLight:
        if (self.spikes is None) == (self.pictures is None):
            raise ValueError("give one of spikes and pictures")
        return self


class Row(Part):
    """One training of an ablation: what it changes in `[train]`."""

    model_config = ConfigDict(extra="allow")

    name: Text
    after: str | None = None
    """Name of the row, given before, whose network it starts from."""

    @property
    def changes(self) -> dict[str, Any]:
        """The settings that it changes."""
        return dict(self.model_extra or {})


class Ablation(Part):
    """Several trainings, each once a seed: a table with means and deviations."""

    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_that_fit(self) -> Ablation:
        before: list[str] = []
        for row in self.rows:
            if row.name in before:
                raise ValueError(f"two rows are called `{row.name}`")
            if row.after is not None and row.after not in before:
                raise ValueError(f"row `{row.name}` comes after `{row.after}`, which is no row before it")
            before.append(row.name)
        return self


class Evaluation(Part):
    """What the tables show."""

    methods: tuple[Text, ...] | None = None
    """Methods of hqgen to compare with; none: all that can run here."""
    metrics: tuple[Text, ...] = ("niqe", "brisque", "piqe")
    samples: Count | None = None
    """How many test samples, spread evenly; none: all."""
    runs: Annotated[int, Field(ge=0)] = 100
    """Timed for the latency; 0 leaves the costs out."""


class Recipe(Part):
    """A recipe."""

    out: Path
    recordings: Recordings | None = None
    hq_store: HQBuild | None = None
    low_light: LowLight
    train: dict[str, Any] = Field(default_factory=dict)
    ablation: Ablation | None = None
    evaluate: Evaluation = Evaluation()

    @model_validator(mode="after")
    def _parts_that_fit(self) -> Recipe:
        if self.hq_store is not None and not self.hq_store.sources and self.recordings is None:
            raise ValueError("hq-store names no sources, and there are no recordings")
        return self

    def trainings(self) -> Iterator[tuple[str, Row | None, TrainSettings]]:
        """Each training of one seed: its name, its row of the ablation, its settings but for the seed.

        Raises:
            UsageError: a setting that there is not, or cannot be.
        """
        if self.ablation is None:
            yield "network", None, train_settings(self.train, where="`[train]`")
            return
        for row in self.ablation.rows:
            start = {"initial": row.after} if row.after else {}  # the name stands for its network's file
            values = merged(self.train, row.changes | start)
            yield row.name, row, train_settings(values, where=f"row `{row.name}`")


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        UsageError: it cannot be read, is no TOML, or holds a key or value that no recipe has.
    """
    try:
        recipe = Recipe.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise UsageError(f"cannot read the recipe `{path}`: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"`{path}` is no TOML: {error}", hint="see the recipes in pipelines/") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise UsageError(
            f"{f'`{where}` in ' if where else ''}the recipe `{path}`: {message}",
            hint="see the recipes in pipelines/",
        ) from error
    list(recipe.trainings())
    return recipe
