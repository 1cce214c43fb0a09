"""Run a recipe: HQ store, low-light set, trainings, evaluation.

::

    OUT/recordings/          simulated recordings, and their record
    OUT/hq/                  `hq.zarr`, `manifest.json`
    OUT/low-light.zarr
    OUT/network/             the folder of the training; of an ablation OUT/seed-N/ROW
    OUT/table.json, .md, .tex   of an ablation means over the seeds; each seed's own lie in OUT/seed-N

Every step leaves something behind that tells whether it is complete and what it was made from (the records of
a build and of a training, the digest of a set, `record.json` of the others), so running a recipe again does
what is missing. All steps share one Dask cluster; a training asks for the resource `GPU` where a worker has
it.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hqgen
from hqgen.files import digest_file, write_atomically
from hqgen.progress import SILENT, Observer
from hqgen.provenance import make_once
from spikeclip.data.opening import open_spikes, simulated
from spikeclip.evaluation.settings import Comparison
from spikeclip.evaluation.table import ResultTable, combined
from spikeclip.recipes.recipe import LowLight, Recipe, Recordings
from spikeclip.training.settings import TrainSettings

if TYPE_CHECKING:
    from distributed import Client

    from spikeclip.data.lowlight import LowLightSet

from spikeclip.evaluation.formats import write_table

__all__ = ["run_recipe"]

POLL = 2.0
"""Seconds between two looks at trainings on workers."""

SAY_EVERY = 20.0
"""Seconds between two lines of one log, for each log that is repeated."""


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
        out: where everything goes; None for the recipe's own folder.
        scheduler: `local`, `sync`, the address of a Dask scheduler, or a scheduler file.
        workers: processes of the local scheduler; None for one a core.
        observer: gets the progress.

    Returns:
        The table of the evaluation; it lies in `out` too.

    Raises:
        HqgenError: of whichever step cannot be done; what was done before is kept.
    """
    folder = (out or recipe.out).absolute()
    with _workshop(scheduler, workers) as workshop:
        stores = _hq_stores(recipe, folder, workshop, observer)
        low_light = _low_light(recipe.low_light, folder / "low-light.zarr", observer)
        networks = _networks(recipe, stores, low_light, folder, workshop, observer)
        tables = [_evaluated(own, low_light, recipe, place, observer) for place, own in networks.items()]
    table = tables[0] if len(tables) == 1 else combined(tables)
    write_table(table, folder)
    return table


# Where steps run.


@dataclass(frozen=True)
class _Workshop:
    """A Dask client, or None to do everything in this process."""

    client: Client | None
    gpu: bool = False
    workers: int = 1

    @property
    def scheduler(self) -> str:
        """What a build is to be told, so that it takes the same cluster."""
        return "sync" if self.client is None else str(self.client.scheduler.address)

    def submit(self, function: Callable[..., Any], *arguments: Any, threads: int) -> Any:
        """Run a training now, or let a worker run it: gives its result, or a future of it."""
        if self.client is None:
            return function(*arguments, None)
        resources = {"GPU": 1} if self.gpu else None
        return self.client.submit(function, *arguments, threads, resources=resources, pure=False)

    def result(self, submitted: Any) -> Any:
        """What became of it."""
        return submitted if self.client is None else submitted.result()


@contextmanager
def _workshop(scheduler: str, workers: int | None) -> Iterator[_Workshop]:
    from hqgen.builder import cluster

    if scheduler == "sync":
        yield _Workshop(None)
        return
    context = (
        cluster.local_client(workers or os.cpu_count() or 1, gpu=cluster.has_local_gpu())
        if scheduler == "local"
        else cluster.connect(scheduler)
    )
    with context as client:
        yield _Workshop(client, cluster.has_gpu_worker(client), cluster.worker_threads(client))


# The steps.


def _hq_stores(recipe: Recipe, folder: Path, workshop: _Workshop, observer: Observer) -> list[Path]:
    from hqgen.builder.run import build
    from hqgen.builder.settings import BuildSettings

    own = recipe.hq_store
    if recipe.recordings is not None:
        _simulate_recordings(recipe.recordings, folder / "recordings", observer)
    if own is None:
        return []
    settings = BuildSettings(
        **own.model_dump(exclude={"sources"}),
        sources=own.sources or (f"folder:{folder / 'recordings'}",),
        out=folder / "hq",
        scheduler=workshop.scheduler,
    )
    return [build(settings, observer).output.store.path]


def _simulate_recordings(recordings: Recordings, out: Path, observer: Observer) -> None:
    from hqgen.simulation.camera import preset, simulate_pictures

    with tempfile.TemporaryDirectory() as temporary:
        pictures = _pictures(recordings, Path(temporary))
        made_from = (
            {"version": hqgen.__version__}
            | recordings.model_dump(mode="json")
            | {"pictures": {picture.name: digest_file(picture) for picture in pictures}}
        )

        def make() -> None:
            observer.note(f"simulating {len(pictures)} normal-light recordings")
            shutil.rmtree(out, ignore_errors=True)
            simulate_pictures(
                Path(temporary),
                out,
                sensor=preset("normal"),
                seed=recordings.seed,
                frames=recordings.frames,
                height=recordings.height,
                width=recordings.width,
            )
            geometry = [recordings.height, recordings.width]
            write_atomically(
                out / "source.toml", f'geometry = {geometry}\nkey_frames = {{ rule = "centre" }}\n'
            )

        make_once(out / "record.json", made_from, make)


def _pictures(recordings: Recordings, target: Path) -> list[Path]:
    """Copy the pictures that are taken into one folder, as CLASS-NAME.jpg."""
    from hqgen.pictures import labelled_pictures

    taken: dict[str, int] = {}
    copies = []
    for picture in labelled_pictures(recordings.pictures):
        taken[picture.label] = taken.get(picture.label, 0) + 1
        if taken[picture.label] <= recordings.per_class:
            copies.append(target / f"{picture.label}-{picture.file.name}")
            copies[-1].write_bytes(picture.file.read_bytes())
    return copies


def _low_light(own: LowLight, path: Path, observer: Observer) -> LowLightSet:
    if own.spikes is not None:
        return open_spikes(own.spikes, path, own.entry, observer)
    assert own.pictures is not None
    return simulated(own.pictures, path, own, observer)


@dataclass(frozen=True)
class _Training:
    """One training of a recipe."""

    name: str
    folder: Path
    settings: TrainSettings
    after: str | None


def _networks(
    recipe: Recipe,
    stores: Sequence[Path],
    low_light: LowLightSet,
    folder: Path,
    workshop: _Workshop,
    observer: Observer,
) -> dict[Path, dict[str, Path]]:
    """Train; the networks by name, for each folder that gets a table."""
    plans = {place: list(_trainings(recipe, place, seed)) for place, seed in _places(recipe, folder)}
    everything = [item for trainings in plans.values() for item in trainings]
    threads = max(1, (os.cpu_count() or 1) // min(workshop.workers, len(everything)))
    submitted: dict[Path, dict[str, Any]] = {}
    for place, trainings in plans.items():
        made = submitted.setdefault(place, {})
        for item in trainings:
            start = made[item.after] if item.after else None
            made[item.name] = workshop.submit(
                _train, item, list(stores), low_light.path, start, threads=threads
            )
    if workshop.client is not None:
        _follow(everything, [item for made in submitted.values() for item in made.values()], folder, observer)
    return {
        place: {name: workshop.result(item) for name, item in made.items()}
        for place, made in submitted.items()
    }


def _follow(trainings: Sequence[_Training], futures: Sequence[Any], folder: Path, observer: Observer) -> None:
    """Tell how the trainings on workers go on, until all are done or one has failed.

    What they tell lies in their folders, which workers share with this process anyway: a record a stage, and
    the log, of which the newest line is repeated now and then.
    """
    from distributed import wait

    logs = {item.folder / "log.txt": item.folder.relative_to(folder) for item in trainings}
    records = [item.folder / stage / "record.json" for item in trainings for stage in item.settings.stages]
    told, next_look = {log: _last_line(log) for log in logs}, time.monotonic() + SAY_EVERY
    done = sum(record.is_file() for record in records)
    with observer.progress("train", len(records), "stages", done) as job:
        while True:
            complete = sum(record.is_file() for record in records)
            job.advance(complete - done)
            done = complete
            waiting = [future for future in futures if not future.done()]
            if not waiting or any(future.status in {"error", "lost", "cancelled"} for future in futures):
                return
            with suppress(TimeoutError):
                wait(waiting, timeout=POLL, return_when="FIRST_COMPLETED")
            if time.monotonic() >= next_look:
                news = {log: line for log in logs if (line := _last_line(log)) not in {"", told[log]}}
                for log, line in news.items():
                    observer.note(f"{logs[log]}: {line}")
                told, next_look = told | news, time.monotonic() + SAY_EVERY * max(1, len(news))


def _last_line(log: Path) -> str:
    """The newest line of a log; nothing where there is none."""
    try:
        return log.read_text("utf-8").rstrip().rpartition("\n")[2]
    except OSError:
        return ""


def _places(recipe: Recipe, folder: Path) -> Iterator[tuple[Path, int | None]]:
    """Folders that get a table, with the seed of their trainings; None: the one of the settings."""
    if recipe.ablation is None:
        yield folder, None
        return
    for seed in recipe.ablation.seeds:
        yield folder / f"seed-{seed}", seed


def _trainings(recipe: Recipe, place: Path, seed: int | None) -> Iterator[_Training]:
    for name, row, settings in recipe.trainings():
        own = settings if seed is None else settings.model_copy(update={"seed": seed})
        yield _Training(name, place / _slug(name), own, row.after if row else None)


def _slug(name: str) -> str:
    """A row's name as a folder's."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _train(
    training: _Training, stores: list[Path], low_light: Path, start: Path | None, threads: int | None
) -> Path:
    """One training, in this process or on a worker, where it has some threads for itself."""
    import torch

    from hqgen.progress import stderr_observer
    from spikeclip.data.lowlight import open_low_light
    from spikeclip.training.run import train

    settings, observer = training.settings, SILENT
    if threads is None:
        observer = stderr_observer()
        observer.note(f"training {training.name}, seed {settings.seed}")
    else:
        torch.set_num_threads(threads)
    if start is not None:
        settings = settings.model_copy(update={"initial": start})
    return train(stores, open_low_light(low_light), settings, training.folder, observer=observer).network


def _evaluated(
    networks: Mapping[str, Path], low_light: LowLightSet, recipe: Recipe, place: Path, observer: Observer
) -> ResultTable:
    """The table of some networks, made once."""
    *_, (_, _, settings) = recipe.trainings()
    own = recipe.evaluate
    made_from = {
        "version": hqgen.__version__,
        "networks": {name: digest_file(path) for name, path in networks.items()},
        "low_light": low_light.digest,
        "clip": settings.clip.model_dump(mode="json"),
        "crop": settings.crop,
        "evaluate": own.model_dump(mode="json"),
    }

    def make() -> None:
        write_table(_evaluate(networks, low_light, settings, own, observer), place)

    make_once(place / "record.json", made_from, make)
    return ResultTable.from_json((place / "table.json").read_text("utf-8"))


def _evaluate(
    networks: Mapping[str, Path],
    low_light: LowLightSet,
    settings: TrainSettings,
    own: Comparison,
    observer: Observer,
) -> ResultTable:
    from hqgen.devices import resolve_device
    from spikeclip.clip.frozen import load_clip
    from spikeclip.evaluation.comparison import evaluate

    return evaluate(
        networks,
        low_light,
        load_clip(settings.clip.model, settings.clip.weights, resolve_device("auto")),
        methods=own.chosen_methods(),
        metrics=own.metrics,
        crop=settings.crop,
        samples=own.samples,
        runs=own.runs,
        observer=observer,
    )
