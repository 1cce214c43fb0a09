"""Run a recipe: from recordings to tables, step by step.

::

    OUT/recordings/             simulated recordings and their record
    OUT/hq/                     `hq.zarr`, `manifest.json`
    OUT/low-light.zarr
    OUT/network/                the folder of the training; in an ablation OUT/seed-N/ROW
    OUT/table.json, .md, .tex   in an ablation the means over the seeds; OUT/seed-N has the table of a seed

What a step leaves behind says whether it is complete and from what it was made: the records of a build and
of a training, the digest of a low-light set, `record.json` of the others. So the same recipe again does only
what is missing. All steps share one Dask cluster; trainings and the evaluation ask for the resource `GPU`
where a worker has it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import hqgen
from hqgen.files import blake3_bytes, write_atomically
from hqgen.pictures import Picture, labelled_pictures
from hqgen.progress import SILENT, Observer
from hqgen.provenance import make_once
from spikeclip.data.announced import announced_pictures
from spikeclip.data.opening import announce, open_low_light
from spikeclip.data.simulated import simulate_low_light
from spikeclip.evaluation.table import ResultTable, combined, write_table
from spikeclip.recipes.recipe import Recipe, Recordings
from spikeclip.recipes.record import RecipeRun, Step, StepRecord
from spikeclip.recipes.trainings import train_networks, trainings_by_table
from spikeclip.recipes.workers import open_workers
from spikeclip.training.inputs import check_inputs
from spikeclip.training.settings import TrainSettings


def run_recipe(
    recipe: Recipe,
    out: Path | None = None,
    scheduler: str = "local",
    workers: int | None = None,
    observer: Observer = SILENT,
) -> ResultTable:
    """Do what is missing of a recipe.

    Args:
        recipe: what to do.
        out: the folder for everything; None for the recipe's own folder.
        scheduler: `local`, `sync`, the address of a Dask scheduler, or a scheduler file.
        workers: processes of the local scheduler; None for one per core.
        observer: gets the progress.

    Returns:
        The table of the evaluation; it is in `out` too.

    Raises:
        HqgenError: of the step that cannot be done; what was done before is kept.
    """
    with open_workers(scheduler, workers) as cluster:
        run = RecipeRun(recipe, (out or recipe.out).absolute(), cluster, observer)
        check_trainings(run)
        records: dict[str, StepRecord] = {}
        for name, step in STEPS.items():
            records[name] = step(run, records)
    return _read(records["table"].made["table"])


def check_trainings(run: RecipeRun) -> None:
    """Check what the trainings learn from, as far as it is there, before hours go into making the rest.

    Raises:
        HqgenError: CLIP or the data for the low-light set is missing or does not fit; see `check_inputs`.
    """
    settings = run.recipe.low_light
    if any((run.out / made).exists() for made in ("low-light.zarr", "table.json")):
        return
    if settings.pictures is not None:
        low_light = announced_pictures(settings.pictures, settings)
    else:
        assert settings.spikes is not None
        low_light = announce(settings.spikes, settings.entry)
    for _, _, training in run.recipe.trainings():  # a network that another row trains is not there yet
        check_inputs(None, low_light, training.model_copy(update={"initial": None}))


def simulate_recordings(run: RecipeRun, _before: Mapping[str, StepRecord]) -> StepRecord:
    """Simulate normal-light recordings from pictures, if the recipe asks for them."""
    settings, folder = run.recipe.recordings, run.out / "recordings"
    if settings is None:
        return StepRecord({}, {})
    digests = {name: blake3_bytes(picture.file.read_bytes()) for name, picture in _pictures(settings)}
    document = {"version": hqgen.__version__, **settings.model_dump(mode="json"), "pictures": digests}

    def make() -> None:
        run.observer.note(f"simulating {len(digests)} normal-light recordings")
        run.workers.result(run.workers.submit(_simulate, settings, folder, tasks=1))

    make_once(folder / "record.json", document, make)
    return StepRecord({"recordings": folder}, document)


def _pictures(settings: Recordings) -> Iterator[tuple[str, Picture]]:
    """The first pictures of each class, each with the name CLASS-NAME.jpg."""
    taken: Counter[str] = Counter()
    for picture in labelled_pictures(settings.pictures):
        taken[picture.label] += 1
        if taken[picture.label] <= settings.per_class:
            yield f"{picture.label}-{picture.file.name}", picture


def _simulate(settings: Recordings, folder: Path) -> None:
    from hqgen.simulation.camera import preset, simulate_pictures

    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as copies:
        for name, picture in _pictures(settings):
            Path(copies, name).write_bytes(picture.file.read_bytes())
        shape = settings.model_dump(include={"seed", "frames", "height", "width"})
        simulate_pictures(Path(copies), folder, sensor=preset("normal"), **shape)
    geometry = [settings.height, settings.width]
    write_atomically(folder / "source.toml", f'geometry = {geometry}\nkey_frames = {{ rule = "centre" }}\n')


def build_hq_store(run: RecipeRun, before: Mapping[str, StepRecord]) -> StepRecord:
    """Build the HQ store, if the recipe asks for one."""
    from hqgen.builder.run import build
    from hqgen.builder.settings import BuildSettings

    settings = run.recipe.hq_store
    if settings is None:
        return StepRecord({}, {})
    recordings = tuple(f"folder:{folder}" for folder in before["recordings"].made.values())
    outcome = build(
        BuildSettings(
            **settings.model_dump(exclude={"sources"}),
            sources=settings.sources or recordings,
            out=run.out / "hq",
            scheduler=run.workers.scheduler,
        ),
        run.observer,
    )
    return StepRecord({"hq-store": outcome.output.store.path}, {"plan": outcome.manifest.plan_id})


def make_low_light_set(run: RecipeRun, _before: Mapping[str, StepRecord]) -> StepRecord:
    """Prepare or simulate the low-light set, or open the one that the recipe names."""
    settings, path, pool = run.recipe.low_light, run.out / "low-light.zarr", run.workers.pool
    if settings.spikes is not None:
        low_light = open_low_light(settings.spikes, path, settings.entry, run.observer, pool)
    else:
        assert settings.pictures is not None
        low_light = simulate_low_light(settings.pictures, path, settings, observer=run.observer, pool=pool)
    return StepRecord({"low-light": low_light.path}, {"low_light": low_light.digest})


def evaluate_networks(run: RecipeRun, before: Mapping[str, StepRecord]) -> StepRecord:
    """Write the table of the networks; in an ablation one table per seed."""
    *_, (_, _, settings) = run.recipe.trainings()
    trained, tables, documents = before["trainings"], {}, {}
    for folder, trainings in trainings_by_table(run.recipe, run.out).items():
        labels = {item.name: str(item.folder.relative_to(run.out)) for item in trainings}
        document = {
            "version": hqgen.__version__,
            "networks": {name: trained.made_from[label] for name, label in labels.items()},
            "low_light": before["low-light"].made_from["low_light"],
            "clip": settings.clip.model_dump(mode="json"),
            "crop": settings.crop,
            "evaluate": run.recipe.evaluate.model_dump(mode="json"),
        }
        networks = {name: trained.made[label] for name, label in labels.items()}
        low_light = before["low-light"].made["low-light"]
        make = partial(_evaluate, run, networks, low_light, settings, folder)
        make_once(folder / "record.json", document, make)
        tables[folder.name], documents[folder.name] = folder / "table.json", document
    return StepRecord(tables, documents)


def _evaluate(
    run: RecipeRun, networks: Mapping[str, Path], low_light: Path, settings: TrainSettings, folder: Path
) -> None:
    from spikeclip.clip.frozen import load_clip
    from spikeclip.data.lowlight import open_prepared
    from spikeclip.evaluation.comparison import evaluate

    comparison = run.recipe.evaluate
    table = evaluate(
        networks,
        open_prepared(low_light),
        partial(load_clip, settings.clip.model, settings.clip.weights),
        methods=comparison.chosen_methods(),
        judge=comparison.judging_clip(),
        crop=settings.crop,
        **comparison.model_dump(include={"metrics", "samples", "runs"}),
        observer=run.observer,
        submit=run.workers.submit if run.workers.client else None,
    )
    write_table(table, folder)


def combine_tables(run: RecipeRun, before: Mapping[str, StepRecord]) -> StepRecord:
    """Write the one table of the recipe: in an ablation the means over the seeds."""
    tables = [_read(path) for path in before["tables"].made.values()]
    write_table(tables[0] if len(tables) == 1 else combined(tables), run.out)
    return StepRecord({"table": run.out / "table.json"}, before["tables"].made_from)


def _read(path: Path) -> ResultTable:
    return ResultTable.from_json(path.read_text("utf-8"))


STEPS: Mapping[str, Step] = {
    "recordings": simulate_recordings,
    "hq-store": build_hq_store,
    "low-light": make_low_light_set,
    "trainings": train_networks,
    "tables": evaluate_networks,
    "table": combine_tables,
}
"""All steps in their order. Each gets the records of the steps before it."""
