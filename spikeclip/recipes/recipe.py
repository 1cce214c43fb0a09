"""A recipe: a TOML file that says what to combine, from pictures or recordings to tables.

::

    out = "u-cifar"             where everything goes, unless `--out` says otherwise

    [recordings]                optional: normal-light recordings simulated from pictures, for [hq-store]
    [hq-store]                  the HQ store: as in the table `[build]` of `hqgen build --config`
    [low-light]                 the low-light set: of recordings, of pictures, or the demo
    [train]                     as in `spikeclip train --config`
    [ablation]                  optional: instead of one training, several `rows` for each of `seeds`
    [evaluate]                  what the networks are compared with, and by
    [[tables]]                  optional: some rows and columns of that comparison as a table of their own

Relative paths start in the folder where the command was called.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from hqgen.builder.settings import StoreSettings
from hqgen.config import ENV, Cluster, Count, Names, Section, merged, read_toml, validated
from hqgen.errors import UnknownNameError, UsageError
from spikeclip.data.settings import Entry, SimulateSettings, Spikes
from spikeclip.evaluation.settings import Comparison
from spikeclip.training.settings import TrainSettings, train_settings


class Recordings(Section):
    """Normal-light recordings, one per picture. The picture fills the frame and barely moves."""

    pictures: Path
    """A folder or a zip archive of CLASS/NAME.jpg."""
    per_class: Count
    """How many pictures of each class to take: the first ones by name."""
    height: Count = 250
    width: Count = 400
    frames: Count = 61
    seed: int = 0
    skip: Annotated[int, Field(ge=0)] = 0
    """How many pictures of each class to leave out first: those that the low-light set shows."""


class HQStore(StoreSettings):
    """The HQ store."""

    sources: Names = ()
    """Empty: the recordings of `[recordings]`."""
    stores: tuple[Path, ...] = ()
    """Stores that are there already: nothing is built then."""


class LowLight(SimulateSettings):
    """The low-light set: `spikes`, or `pictures` that it is simulated from."""

    spikes: Spikes | None = None
    entry: Entry = None
    pictures: Path | None = None
    """A folder with `train` and `test`, each a folder or a zip archive of CLASS/NAME.jpg."""

    @model_validator(mode="after")
    def _one_of_both(self) -> LowLight:
        if (self.spikes is None) == (self.pictures is None):
            raise ValueError("give one of spikes and pictures")
        return self


class AblationRow(Section):
    """One training of an ablation: what it changes in `[train]`."""

    model_config = ConfigDict(extra="allow")

    name: Annotated[str, Field(min_length=1)]
    after: str | None = None
    """Name of the row, given before, whose network it starts from."""


class Ablation(Section):
    """Several trainings, each once for every seed: a table with means and deviations."""

    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    rows: Annotated[tuple[AblationRow, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_that_fit(self) -> Ablation:
        before: list[str] = []
        for row in self.rows:
            if row.name in before:
                raise ValueError(f"two rows are called `{row.name}`")
            if row.after is not None and row.after not in before:
                raise ValueError(f"row `{row.name}` comes after `{row.after}`, which is not a row before it")
            before.append(row.name)
        return self


class Evaluation(Comparison):
    """What the networks are compared with, and by."""

    crop: Annotated[int, Field(ge=8)] | None = None
    """Side of the middle square of every picture. None: that of `[train]`. Networks take any size; NIQE has
    no spread between its blocks of 96x96 pixels below 192."""
    networks: dict[str, Path] = Field(default_factory=dict)
    """Other networks, such as published ones: files that `spikeclip.load` takes, by the name of their row."""


class TableView(Section):
    """A table that shows a part of the comparison."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    """Its files are called `NAME.md`, `NAME.tex` and `NAME.csv`."""
    rows: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of trainings, and of networks and methods of `[evaluate]`, in their order."""
    columns: Names = ()
    """Keys of columns, as in `table.csv`; empty for all."""


class Recipe(Section):
    """A recipe."""

    out: Path
    recordings: Recordings | None = None
    hq_store: HQStore | None = None
    low_light: LowLight
    train: TrainSettings = TrainSettings()
    ablation: Ablation | None = None
    evaluate: Evaluation = Evaluation()
    tables: tuple[TableView, ...] = ()

    @model_validator(mode="after")
    def _parts_that_fit(self) -> Recipe:
        store = self.hq_store
        if store is not None and not (store.sources or store.stores) and self.recordings is None:
            raise ValueError("hq-store names no sources and no stores, and there are no recordings")
        if store is not None and store.stores and (store.sources or self.recordings is not None):
            raise ValueError("hq-store names stores, so leave out its sources and the recordings")
        judge = self.evaluate.judge
        if judge.weights is not None and judge.weights == self.train.clip.weights:
            raise ValueError("evaluate.judge has the weights of train.clip: the judge is the teacher")
        return self

    @property
    def shown_crop(self) -> int:
        """Side of the middle square that tables and pictures are about."""
        return self.evaluate.crop or self.train.crop

    def check_tables(self) -> None:
        """Find out whether the tables name rows that there will be: now, not after the trainings.

        Raises:
            UsageError: a table names another row, or rows of two kinds have one name.
        """
        from hqgen.methods.registry import method_label

        methods = [method_label(method) for method in self.evaluate.chosen_methods() or ()]
        known = [*(name for name, _, _ in self.trainings()), *self.evaluate.networks, *methods]
        for name in known:
            if known.count(name) > 1:
                raise UsageError(f"two rows of the recipe are called `{name}`", hint="rename one of them")
        for table in self.tables:
            for row in table.rows:
                if row not in known:
                    raise UnknownNameError(f"row in the table `{table.name}` of the recipe", row, known)

    def trainings(self) -> Iterator[tuple[str, str | None, TrainSettings]]:
        """Each training of one seed: its name, the one that it starts from, its settings except the seed.

        Raises:
            UsageError: a row of the ablation has a setting that does not exist, or a wrong value.
        """
        if self.ablation is None:
            yield "network", None, self.train
            return
        for row in self.ablation.rows:
            start = {"initial": row.after} if row.after else {}  # the name stands for its network's file
            values = merged(self.train.model_dump(exclude_unset=True), (row.model_extra or {}) | start)
            yield row.name, row.after, train_settings(values, where=f"row `{row.name}`")


class RunCommand(Cluster):
    """The settings of `spikeclip run`."""

    out: Annotated[Path | None, ENV] = None
    """Folder for all that it makes. [default: the recipe's]"""


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        UsageError: it cannot be read, is not TOML, or holds a key or value that no recipe has.
    """
    hint = "see the recipes in pipelines/"
    recipe = validated(Recipe, read_toml(path, "recipe", hint), f"the recipe `{path}`", hint)
    recipe.check_tables()
    return recipe
