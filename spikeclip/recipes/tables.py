"""The tables and the pictures of a recipe.

What no seed changes (methods, published networks) is evaluated once, and joined to the means over the seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import hqgen
from hqgen.files import blake3_file, write_atomically
from hqgen.pictures import png
from hqgen.provenance import make_once
from spikeclip.evaluation.table import ResultTable, combined, joined, write_table, write_texts
from spikeclip.networks.locating import located
from spikeclip.recipes.record import RecipeRun, StepRecord
from spikeclip.recipes.trainings import trainings_by_table

OTHERS = "others"
"""The folder of what no seed changes."""


def evaluate_networks(run: RecipeRun, before: Mapping[str, StepRecord]) -> StepRecord:
    """Write the table of the networks and what they are compared with; in an ablation one table per seed."""
    comparison, tables, documents = run.recipe.evaluate, {}, {}
    for folder, rows in _compared(run, before).items():
        methods = None if comparison.methods is None else list(comparison.methods)
        document = {
            "version": hqgen.__version__,
            "networks": {name: blake3_file(located(network)) for name, network in rows.networks.items()},
            **before["low-light"].made_from,
            "clip": run.recipe.train.clip.model_dump(mode="json"),
            "crop": run.recipe.shown_crop,
            "evaluate": comparison.model_dump(mode="json", exclude={"networks", "methods", "crop"}),
            "methods": methods if rows.with_methods else [],
        }
        make_once(folder / "record.json", document, partial(_evaluate, run, before, rows, folder))
        tables[folder.name], documents[folder.name] = folder / "table.json", document
    return StepRecord(tables, documents)


@dataclass(frozen=True)
class _Rows:
    """The rows of one table: networks by name, and whether the methods are among them."""

    networks: dict[str, Path]
    with_methods: bool


def _compared(run: RecipeRun, before: Mapping[str, StepRecord]) -> dict[Path, _Rows]:
    """What is compared in the table of each folder."""
    made = before["trainings"].made
    trained = {
        folder: {item.name: made[str(item.folder.relative_to(run.out))] for item in trainings}
        for folder, trainings in trainings_by_table(run.recipe, run.out).items()
    }
    comparison = run.recipe.evaluate
    if run.recipe.ablation is None:
        return {folder: _Rows(networks | comparison.networks, True) for folder, networks in trained.items()}
    rows = {folder: _Rows(networks, False) for folder, networks in trained.items()}
    if comparison.networks or comparison.methods != ():
        rows[run.out / OTHERS] = _Rows(comparison.networks, True)
    return rows


def _evaluate(run: RecipeRun, before: Mapping[str, StepRecord], rows: _Rows, folder: Path) -> None:
    from spikeclip.clip.frozen import load_clip
    from spikeclip.data.lowlight import open_prepared
    from spikeclip.evaluation.comparison import evaluate

    comparison, train = run.recipe.evaluate, run.recipe.train
    table = evaluate(
        rows.networks,
        open_prepared(before["low-light"].made["low-light"]),
        partial(load_clip, train.clip.model, train.clip.weights),
        methods=comparison.chosen_methods() if rows.with_methods else [],
        judge=comparison.judging_clip(),
        crop=run.recipe.shown_crop,
        **comparison.model_dump(include={"metrics", "samples", "runs"}),
        observer=run.observer,
        submit=run.workers.submit if run.workers.client else None,
    )
    write_table(table, folder)


def combine_tables(run: RecipeRun, before: Mapping[str, StepRecord]) -> StepRecord:
    """Write the table of all rows, with the means over the seeds, and the tables that the recipe names."""
    tables = {name: read_table(path) for name, path in before["tables"].made.items()}
    others = [tables.pop(OTHERS)] if OTHERS in tables and run.recipe.ablation else []
    means = list(tables.values()) if len(tables) == 1 else [combined(list(tables.values()))]
    whole = joined([*means, *others])
    write_table(whole, run.out)
    for table in run.recipe.tables:
        write_texts(whole.view(table.rows, table.columns), run.out / table.name)
    return StepRecord({"table": run.out / "table.json"}, before["tables"].made_from)


def show_pictures(run: RecipeRun, before: Mapping[str, StepRecord]) -> StepRecord:
    """Draw a few test samples: the truth, where it is known, and what each row makes of them.

    The networks are those of the first seed.
    """
    picture, compared = run.out / "pictures.png", _compared(run, before)
    first, *rest = compared
    shown = [first, *(folder for folder in rest if folder.name == OTHERS)]
    networks = {name: path for folder in shown for name, path in compared[folder].networks.items()}
    document = {folder.name: before["tables"].made_from[folder.name] for folder in shown}

    def draw() -> None:
        from spikeclip.data.lowlight import open_prepared
        from spikeclip.evaluation.comparison import default_methods
        from spikeclip.evaluation.pictures import reconstructions
        from spikeclip.training.grid import grid

        low_light = open_prepared(before["low-light"].made["low-light"])
        methods = run.recipe.evaluate.chosen_methods()
        methods = default_methods(low_light.frames) if methods is None else methods
        made = reconstructions(networks, low_light, methods=methods, crop=run.recipe.shown_crop)
        write_atomically(picture, png(grid(made.rows, made.classes)))

    make_once(run.out / "pictures.json", document, draw)
    return StepRecord({"pictures": picture}, document)


def read_table(path: Path) -> ResultTable:
    """The table that `write_table` wrote."""
    return ResultTable.from_json(path.read_text("utf-8"))
