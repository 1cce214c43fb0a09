"""Run a recipe: from recordings to tables, step by step.

::

    OUT/recordings/             simulated recordings and their record
    OUT/hq/                     `hq.zarr`, `manifest.json`
    OUT/low-light.zarr
    OUT/network/                the folder of the training; in an ablation OUT/seed-N/ROW
    OUT/table.json, .md, .tex, .csv   all rows; in an ablation the means over the seeds
    OUT/NAME.md, .tex, .csv     a table of the recipe: some of the rows and columns
    OUT/pictures.png            six test samples, and what each row makes of them, the first seed's networks
    OUT/seed-N/, OUT/others/    in an ablation the table of each seed's networks, and that of all other rows

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
from pathlib import Path

import hqgen
from hqgen.files import blake3_bytes, write_atomically
from hqgen.pictures import Picture, labelled_pictures
from hqgen.progress import SILENT, Observer
from hqgen.provenance import make_once
from spikeclip.data.announced import announced_pictures
from spikeclip.data.opening import announce, open_low_light
from spikeclip.data.simulated import simulate_low_light
from spikeclip.evaluation.table import ResultTable
from spikeclip.networks import load_network
from spikeclip.recipes.recipe import Recipe, Recordings
from spikeclip.recipes.record import RecipeRun, Step, StepRecord
from spikeclip.recipes.tables import combine_tables, evaluate_networks, read_table, show_pictures
from spikeclip.recipes.trainings import train_networks
from spikeclip.recipes.workers import open_workers
from spikeclip.training.inputs import check_inputs


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
    return read_table(records["table"].made["table"])


def check_trainings(run: RecipeRun) -> None:
    """Check what the trainings learn from, as far as it is there, before hours go into making the rest.

    Raises:
        HqgenError: CLIP or the data for the low-light set is missing or does not fit; see `check_inputs`. Or
            the judge, or another network that is to be compared, is missing or damaged.
    """
    settings, comparison = run.recipe.low_light, run.recipe.evaluate
    for network in comparison.networks.values():
        load_network(network)
    if judge := comparison.judging_clip():
        judge("cpu")
    if any((run.out / made).exists() for made in ("low-light.zarr", "table.json")):
        return
    if settings.pictures is not None:
        low_light = announced_pictures(settings.pictures, settings)
    else:
        assert settings.spikes is not None
        low_light = announce(settings.spikes, settings.entry)
    there = run.recipe.hq_store.stores if run.recipe.hq_store else ()
    for _, _, training in run.recipe.trainings():  # a network that another row trains is not there yet
        check_inputs(there or None, low_light, training.model_copy(update={"initial": None}))


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
    """The pictures of each class that are taken, each with the name CLASS-NAME.jpg."""
    seen: Counter[str] = Counter()
    for picture in labelled_pictures(settings.pictures):
        seen[picture.label] += 1
        if settings.skip < seen[picture.label] <= settings.skip + settings.per_class:
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
    """Build the HQ store, or find those that the recipe names, if it asks for one."""
    from hqgen.builder.run import build
    from hqgen.builder.settings import BuildSettings

    settings = run.recipe.hq_store
    if settings is None or settings.stores:
        return StepRecord({str(path): path for path in settings.stores} if settings else {}, {})
    recordings = tuple(f"folder:{folder}" for folder in before["recordings"].made.values())
    outcome = build(
        BuildSettings(
            **settings.model_dump(exclude={"sources", "stores"}),
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
    digests = {"low_light": low_light.digest, "truth": low_light.truth}
    return StepRecord({"low-light": low_light.path}, digests)


STEPS: Mapping[str, Step] = {
    "recordings": simulate_recordings,
    "hq-store": build_hq_store,
    "low-light": make_low_light_set,
    "trainings": train_networks,
    "tables": evaluate_networks,
    "table": combine_tables,
    "pictures": show_pictures,
}
"""All steps in their order. Each gets the records of the steps before it."""
