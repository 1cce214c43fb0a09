"""The command `spikeclip`. Heavy imports happen inside the commands, so that `--help` answers at once."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

import hqgen
from hqgen.console import QUARANTINED, print_json, run

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from spikeclip.training.settings import TrainSettings

__all__ = ["app", "main"]

app = typer.Typer(
    name="spikeclip",
    help="Train and run the SpikeCLIP low-light reconstruction network.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
clip_app = typer.Typer(
    help="The CLIP that supervises and judges.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(clip_app, name="clip")

Spikes = Annotated[
    str,
    typer.Option(
        envvar="SPIKECLIP_SPIKES",
        help="A low-light set (`spikeclip prepare`, `simulate`), a folder of labelled recordings, or `demo`.",
    ),
]
Entry = Annotated[
    str | None,
    typer.Option(
        envvar="SPIKECLIP_ENTRY",
        help="The catalog's name for the folder's dataset: `u-caltech`, `u-cifar`. [default: the folder's]",
    ),
]
Clip = Annotated[
    str | None,
    typer.Option(
        envvar="SPIKECLIP_CLIP",
        help="A model of open_clip by name, or `small`, the stand-in that comes with spikeclip. "
        "[default: ViT-B-32; for `--spikes demo`, small]",
    ),
]
ClipWeights = Annotated[
    str | None,
    typer.Option(
        envvar="SPIKECLIP_CLIP_WEIGHTS",
        help="A tag of published weights in open_clip's cache, or a file. [default: openai]",
    ),
]
Device = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(envvar="SPIKECLIP_DEVICE", help="Where networks run.")
]
Height = Annotated[int | None, typer.Option(min=1, help="Rows of a headerless `.dat`. [default: 250]")]
Width = Annotated[int | None, typer.Option(min=1, help="Columns of a headerless `.dat`. [default: 400]")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"spikeclip {hqgen.__version__}")
        raise typer.Exit


@app.callback()
def _spikeclip(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...


def _configure(context: typer.Context, path: Path | None) -> Path | None:
    """Let a configuration file give the defaults of the flags; what is no flag are settings, in `obj`."""
    if path is None:
        return None
    from hqgen.config import read_config
    from spikeclip.training.settings import TrainSettings

    flags = {str(flag.name) for flag in context.command.params} - {"_config", "print_config", "json", "stage"}
    known = {name.replace("_", "-") for name in flags | set(TrainSettings.model_fields)}
    table = read_config(path, "train", known)
    # `[train.clip]` is a table of settings, `--clip` the model in it.
    is_flag = {name: name in flags and not isinstance(value, dict) for name, value in table.items()}
    context.default_map = {name: value for name, value in table.items() if is_flag[name]}
    context.obj = {name: value for name, value in table.items() if not is_flag[name]}
    return path


@app.command()
def train(
    context: typer.Context,
    hq_store: Annotated[
        str,
        typer.Option(envvar="SPIKECLIP_HQ_STORE", help="HQ stores of `hqgen build`, separated by commas."),
    ] = "",
    spikes: Spikes = "",
    data_root: Annotated[
        Path, typer.Option(envvar="HQGEN_DATA_ROOT", help="Where U-CALTECH or U-CIFAR lies without --spikes.")
    ] = Path("data"),
    out: Annotated[Path, typer.Option(envvar="SPIKECLIP_OUT", help="Folder of the training.")] = Path("run"),
    entry: Entry = None,
    clip: Clip = None,
    clip_weights: ClipWeights = None,
    network: Annotated[
        Literal["lrn", "unet"] | None,
        typer.Option(envvar="SPIKECLIP_NETWORK", help="What is trained. [default: lrn]"),
    ] = None,
    crop: Annotated[
        int | None,
        typer.Option(envvar="SPIKECLIP_CROP", min=8, help="Side of the middle square. [default: 224]"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(envvar="SPIKECLIP_SEED", help="Of all that is random. [default: 0]")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(envvar="SPIKECLIP_DEVICE", help="`auto`, `cpu`, `cuda`, `cuda:1`. [default: auto]"),
    ] = None,
    stage: Annotated[
        Literal["coarse", "prompt", "fine"] | None,
        typer.Option(help="Run this stage alone. [default: all that are not complete]"),
    ] = None,
    _config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            envvar="SPIKECLIP_CONFIG",
            callback=_configure,
            is_eager=True,
            help="TOML file with a table `[train]`; weaker than the environment and flags.",
        ),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Show all settings as a configuration file, and stop.")
    ] = False,
    json: AsJson = False,
) -> int:
    """Train the network in its three stages.

    The same command again does only what is missing; interrupted, it goes on from the last checkpoint.
    """
    from spikeclip.data.opening import DEMO, dataset_under, demo_settings
    from spikeclip.training.settings import train_settings

    given = {"network": network, "crop": crop, "seed": seed, "device": device}
    values = {name: value for name, value in given.items() if value is not None} | (context.obj or {})
    values["clip"] = values.get("clip", {}) | _named_clip(clip, clip_weights)
    if spikes == DEMO:
        values = demo_settings(values)
    settings = train_settings({name: value for name, value in values.items() if value != {}})
    if print_config:
        typer.echo(settings.toml(), nl=False)
        return 0
    stores = [Path(item) for item in hq_store.split(",") if item]
    return _train(stores, spikes or dataset_under(data_root), entry, settings, out, stage, json)


def _named_clip(clip: str | None, weights: str | None) -> dict[str, str]:
    named = {"model": clip, "weights": weights}
    return {name: value for name, value in named.items() if value is not None}


def _train(
    stores: list[Path],
    spikes: str,
    entry: str | None,
    settings: TrainSettings,
    out: Path,
    stage: Literal["coarse", "prompt", "fine"] | None,
    json: bool,
) -> int:
    from hqgen.interrupt import Stop, stoppable
    from hqgen.progress import stderr_observer
    from spikeclip.data.opening import DEMO, open_spikes
    from spikeclip.training.run import train

    observer = stderr_observer()
    if spikes == DEMO:
        observer.note(f"demo: crop {settings.crop}, judged by the CLIP model `{settings.clip.model}`")
    low_light = open_spikes(spikes, out / "low-light.zarr", entry, observer)
    stop = Stop()
    with stoppable(stop, "stopping: this step is finished and kept; interrupt again to stop at once"):
        folder = train(
            stores, low_light, settings, out, only=stage, observer=observer, stop=lambda: stop.asked
        )
    if stop.asked:
        return 130
    made = {"network": folder.network, "prompts": folder.prompts, "pictures": folder.grid, "log": folder.log}
    there = {name: str(path) for name, path in made.items() if path.exists()}
    if json:
        print_json(there)
    else:
        for name, path in there.items():
            typer.echo(f"{name:<9} {path}")
    return 0


@app.command()
def prepare(
    spikes: Annotated[Path, typer.Argument(help="A folder of labelled recordings.")],
    out: Annotated[Path, typer.Option(help="The low-light set, a Zarr store.")],
    entry: Entry = None,
    json: AsJson = False,
) -> int:
    """Turn labelled recordings into a low-light set: packed bits in one Zarr store.

    Exit code 3: done, but some recordings could not be used; they are named on stderr.
    """
    from hqgen.progress import stderr_observer
    from spikeclip.data.prepare import prepare

    made = prepare(spikes, out, entry=entry, observer=stderr_observer())
    for item in made.rejected:
        typer.echo(f"{item.path}: {item.reason}", err=True)
    _show_low_light(made, json)
    return QUARANTINED if made.rejected else 0


@app.command()
def simulate(
    pictures: Annotated[
        Path,
        typer.Argument(help="A folder with `train` and `test`, each a folder or a zip of CLASS/NAME.jpg."),
    ],
    out: Annotated[Path, typer.Option(help="The low-light set, a Zarr store.")],
    train: Annotated[int, typer.Option(min=1, help="Pictures of each class to train on.")] = 100,
    test: Annotated[int, typer.Option(min=0, help="Pictures of each class to test on.")] = 20,
    height: Annotated[int, typer.Option(min=8, help="Rows.")] = 250,
    width: Annotated[int, typer.Option(min=8, help="Columns.")] = 250,
    frames: Annotated[int, typer.Option(min=1, help="Length of a sample.")] = 200,
    light: Annotated[Literal["normal", "low"], typer.Option(help="How much light there is.")] = "low",
    labels: Annotated[
        str | None,
        typer.Option(help="Classes in the order of their numbers, separated by commas. [default: all]"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of motion, pixels and noise.")] = 0,
    json: AsJson = False,
) -> None:
    """Simulate a low-light set: pictures on a dim, drifting screen, seen by the camera."""
    from hqgen.progress import stderr_observer
    from hqgen.simulation.camera import preset
    from spikeclip.data.simulated import simulate_low_light

    made = simulate_low_light(
        pictures,
        out,
        per_class={"train": train} | ({"test": test} if test else {}),
        seed=seed,
        height=height,
        width=width,
        frames=frames,
        sensor=preset(light),
        labels=labels.split(",") if labels else None,
        observer=stderr_observer(),
    )
    _show_low_light(made, json)


def _show_low_light(made: Any, json: bool) -> None:
    samples = {name: len(made.split(name)) for name in made.splits}
    if json:
        found = {"path": str(made.path), "digest": made.digest, "samples": samples}
        print_json(found | {"classes": list(made.labels), "geometry": made.geometry, "frames": made.frames})
    else:
        counts = ", ".join(f"{count:,} {name}" for name, count in samples.items())
        height, width = made.geometry
        typer.echo(
            f"{made.path}: {counts}; {len(made.labels)} classes, {made.frames} frames of {height}x{width}"
        )


@app.command()
def evaluate(
    checkpoints: Annotated[
        list[str], typer.Argument(help="Networks: `network.pth` of a training, or NAME=FILE to name the row.")
    ],
    spikes: Spikes,
    out: Annotated[Path | None, typer.Option(help="Folder for table.json, table.md and table.tex.")] = None,
    entry: Entry = None,
    clip: Clip = None,
    clip_weights: ClipWeights = None,
    methods: Annotated[
        str | None,
        typer.Option(help="Methods of hqgen to compare with, `none` for none. [default: all that can run]"),
    ] = None,
    metrics: Annotated[str, typer.Option(help="Quality scores, separated by commas.")] = "niqe,brisque,piqe",
    split: Annotated[str, typer.Option(help="Part of the data.")] = "test",
    crop: Annotated[
        int | None, typer.Option(min=8, help="Side of the middle square. [default: 224; for demo, 64]")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="How many, spread evenly. [default: all]")
    ] = None,
    runs: Annotated[int, typer.Option(min=0, help="Timed for the latency; 0 leaves costs out.")] = 100,
    device: Device = "auto",
    json: AsJson = False,
) -> None:
    """Compare networks and methods as the paper's tables do: quality, accuracy, cost."""
    from hqgen.devices import resolve_device
    from hqgen.methods.registry import parse_methods
    from hqgen.progress import stderr_observer
    from spikeclip.clip.frozen import load_clip
    from spikeclip.data.opening import DEMO, open_spikes
    from spikeclip.data.simulated import DEMO_CROP
    from spikeclip.evaluation.comparison import evaluate
    from spikeclip.evaluation.formats import TerminalTable, write_table
    from spikeclip.training.settings import ClipSettings

    demo = spikes == DEMO
    observer = stderr_observer()
    named = ({"model": "small"} if demo and clip is None else {}) | _named_clip(clip, clip_weights)
    judge = ClipSettings.model_validate(named)
    if demo:
        observer.note(f"demo: judged by the CLIP model `{judge.model}`")
    prepared = (out or Path()) / "low-light.zarr"
    table = evaluate(
        dict(_named(item) for item in checkpoints),
        open_spikes(spikes, prepared, entry, observer),
        load_clip(judge.model, judge.weights, resolve_device(device)),
        methods=None if methods is None else [] if methods == "none" else parse_methods(methods),
        metrics=tuple(metrics.split(",")),
        split=split,
        crop=crop or (DEMO_CROP if demo else 224),
        samples=samples,
        device=device,
        runs=runs,
        observer=observer,
    )
    if out is not None:
        write_table(table, out)
    if json:
        typer.echo(table.to_json(), nl=False)
    else:
        _print(TerminalTable(table))


def _named(item: str) -> tuple[str, Path]:
    """`NAME=FILE`, or a file whose row is called after its training."""
    name, equals, file = item.partition("=")
    if equals:
        return name, Path(file)
    path = Path(item)
    return (path.resolve().parent.name if path.name == "network.pth" else path.stem), path


@app.command()
def reconstruct(
    checkpoint: Annotated[Path, typer.Argument(help="`network.pth` of a training, or a published LRN.")],
    recordings: Annotated[list[Path], typer.Argument(help="`.dat`, `.npz`, `.npy` or HDF5 files.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")],
    height: Height = None,
    width: Width = None,
    stride: Annotated[
        int | None, typer.Option(min=1, help="Frames between pictures of a video. [default: 200]")
    ] = None,
    no_video: Annotated[bool, typer.Option("--no-video", help="The middle picture alone.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Write the network's own values, too.")] = False,
    device: Device = "auto",
    json: AsJson = False,
) -> int:
    """Reconstruct recordings of any size: a picture each, and a video of long ones.

    Exit code 3: some recordings could not be used; the reasons are on stderr.
    """
    from hqgen.progress import stderr_observer
    from spikeclip.reconstruction import reconstruct

    headerless = any(path.suffix.lower() == ".dat" for path in recordings)
    found = reconstruct(
        checkpoint,
        recordings,
        out,
        height=height or (250 if headerless else None),
        width=width or (400 if headerless else None),
        stride=stride,
        video=not no_video,
        raw=raw,
        device=device,
        observer=stderr_observer(),
    )
    if json:
        print_json([asdict(item) for item in found])
    for item in found:
        if item.reason is not None:
            typer.echo(f"{item.recording}: {item.reason}", err=True)
        elif not json:
            for path in filter(None, (item.picture, item.video, item.raw)):
                typer.echo(path)
    return QUARANTINED if any(item.reason for item in found) else 0


@app.command()
def profile(
    networks: Annotated[list[str], typer.Argument(help="`lrn`, `unet`, or methods of hqgen.")],
    height: Annotated[int, typer.Option(min=1, help="Rows.")] = 250,
    width: Annotated[int, typer.Option(min=1, help="Columns.")] = 400,
    runs: Annotated[int, typer.Option(min=1, help="How many runs are timed.")] = 100,
    device: Device = "auto",
    json: AsJson = False,
) -> None:
    """Say what a picture costs: parameters, multiply-accumulates, latency."""
    from spikeclip.evaluation.cost import profile

    found = [profile(name, height=height, width=width, runs=runs, device=device) for name in networks]
    if json:
        print_json([asdict(item) for item in found])
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in ("network", "parameters (M)", "MACs (G)", "latency (ms)", "runs", "size", "device"):
        table.add_column(header, justify="left" if header in {"network", "size", "device"} else "right")
    for item in found:
        cost = (f"{item.parameters / 1e6:.3f}", f"{item.macs / 1e9:.2f}", f"{item.latency_ms:.2f}")
        table.add_row(item.name, *cost, str(item.runs), f"{item.height}x{item.width}", item.device)
    _print(table)


@app.command("run")
def run_recipe(
    recipe: Annotated[Path, typer.Argument(help="A recipe, such as those of pipelines/.")],
    out: Annotated[
        Path | None, typer.Option(envvar="SPIKECLIP_OUT", help="Folder for all that it makes. [default: its]")
    ] = None,
    scheduler: Annotated[
        str,
        typer.Option(
            envvar="SPIKECLIP_SCHEDULER",
            help="`local`, `sync` (in this process), the address of a Dask scheduler, or a scheduler file.",
        ),
    ] = "local",
    workers: Annotated[
        int | None,
        typer.Option(envvar="SPIKECLIP_WORKERS", min=1, help="Local processes. [default: one a core]"),
    ] = None,
    json: AsJson = False,
) -> None:
    """Run a whole recipe: HQ store, low-light set, three stages, evaluation.

    The same command again does only what is missing.
    """
    from hqgen.progress import stderr_observer
    from spikeclip.evaluation.formats import TerminalTable
    from spikeclip.recipes.recipe import read_recipe
    from spikeclip.recipes.run import run_recipe

    table = run_recipe(read_recipe(recipe), out, scheduler, workers, stderr_observer())
    if json:
        typer.echo(table.to_json(), nl=False)
    else:
        _print(TerminalTable(table))


@clip_app.command("train")
def train_clip(
    pictures: Annotated[Path, typer.Option(help="A folder or a zip archive of CLASS/NAME.jpg.")],
    out: Annotated[Path, typer.Option(help="The model to write; beside it the learning curve.")],
    test: Annotated[
        Path | None, typer.Option(help="Pictures to test on. [default: every 20th of the others]")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="[default: as the shipped one]")] = None,
    batch: Annotated[
        int | None, typer.Option(min=2, help="Pictures a step. [default: as the shipped one]")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(min=1e-9, help="[default: as the shipped one]")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=32, help="Side of its pictures. [default: as the shipped one]")
    ] = None,
    shapes: Annotated[
        int | None,
        typer.Option(
            min=0, help="Drawn shapes a class of the demo to learn beside them. [default: as the shipped one]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is random.")] = 0,
) -> int:
    """Train a small CLIP on labelled pictures: a stand-in for tests, demos and work offline.

    Interrupted, the same command goes on from the last checkpoint.
    """
    from hqgen.interrupt import Stop, stoppable
    from hqgen.progress import stderr_observer
    from spikeclip.clip.small import SmallClipSettings, train_clip

    given = {"epochs": epochs, "batch": batch, "learning_rate": learning_rate}
    given |= {"image_size": image_size, "shapes": shapes}
    named = {name: value for name, value in given.items() if value is not None}
    settings = SmallClipSettings.model_validate({"seed": seed, **named})
    stop = Stop()
    message = "stopping: this step is finished and kept; interrupt again to stop at once"
    with stoppable(stop, message):
        train_clip(pictures, out, settings, test=test, observer=stderr_observer(), stop=lambda: stop.asked)
    return 130 if stop.asked else 0


def _print(shown: RenderableType) -> None:
    from rich.console import Console

    console: Console = Console()
    console.print(shown)


def main() -> NoReturn:
    """Run `spikeclip`."""
    run(app)
