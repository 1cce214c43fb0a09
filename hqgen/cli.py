"""The command `hqgen`. Heavy imports happen inside the commands, so that `--help` answers at once."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

import hqgen
from hqgen.console import QUARANTINED, print_json, run

if TYPE_CHECKING:
    from rich.console import Console

    from hqgen.builder.prepare import BuildSettings
    from hqgen.builder.run import Outcome
    from hqgen.inspection.truth import SourceTruth
    from hqgen.methods.learned.network import NetworkMethod
    from hqgen.verify import Damage

__all__ = ["app", "main"]

app = typer.Typer(
    name="hqgen",
    help="Build high-quality image sets from spike-camera recordings.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
weights_app = typer.Typer(help="Weights of the learned methods.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(weights_app, name="weights")

DataRoot = Annotated[
    Path, typer.Option(envvar="HQGEN_DATA_ROOT", help="Folder in which the datasets lie.", show_default=True)
]
WeightsDir = Annotated[
    Path | None, typer.Option(envvar="HQGEN_WEIGHTS", help="Folder of the registered weights.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hqgen {hqgen.__version__}")
        raise typer.Exit


@app.callback()
def _hqgen(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...


def _configure(context: typer.Context, path: Path | None) -> Path | None:
    """Let a configuration file give the defaults of the command's flags; what is no flag goes to `obj`."""
    if path is None:
        return None
    from hqgen.config import read_config

    own = {"_config", "plan", "print_config", "json"}
    flags = {str(flag.name).replace("_", "-") for flag in context.command.params if flag.name not in own}
    table = read_config(path, str(context.info_name), {*flags, "source-methods"})
    context.obj = table.pop("source_methods", {})
    context.default_map = table
    return path


@app.command()
def build(
    context: typer.Context,
    sources: Annotated[
        str,
        typer.Option(
            envvar="HQGEN_SOURCES",
            help="Datasets, separated by commas: see `hqgen sources`; also `demo` and `folder:PATH`.",
        ),
    ],
    data_root: DataRoot = Path("data"),
    methods: Annotated[
        str | None,
        typer.Option(
            envvar="HQGEN_METHODS",
            help="The ensemble, as in `tfp:window=21,tfi`. [default: every method that can run here]",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(envvar="HQGEN_OUT", help="Folder that receives `hq.zarr` and `manifest.json`.")
    ] = Path(),
    workers: Annotated[
        int | None,
        typer.Option(envvar="HQGEN_WORKERS", min=1, help="Local processes. [default: one a core]"),
    ] = None,
    scheduler: Annotated[
        str,
        typer.Option(
            envvar="HQGEN_SCHEDULER",
            help="`local`, `sync` (in this process), the address of a Dask scheduler, or a scheduler file.",
        ),
    ] = "local",
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(envvar="HQGEN_DEVICE", help="Where networks run.")
    ] = "auto",
    metric: Annotated[
        str, typer.Option(envvar="HQGEN_METRIC", help="What candidates are scored with; lower is better.")
    ] = "niqe",
    existing: Annotated[
        Literal["error", "resume", "append", "overwrite"],
        typer.Option(envvar="HQGEN_EXISTING", help="What to do where a build lies already."),
    ] = "resume",
    shard_size: Annotated[
        int, typer.Option(envvar="HQGEN_SHARD_SIZE", min=1, help="Samples in a shard, the unit of work.")
    ] = 32,
    weights_dir: WeightsDir = None,
    _config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            envvar="HQGEN_CONFIG",
            callback=_configure,
            is_eager=True,
            help="TOML file with a table `[build]`; weaker than the environment and flags.",
        ),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show what would run, and stop.")] = False,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Show the settings as a configuration file, and stop.")
    ] = False,
    json: AsJson = False,
) -> int:
    """Build an HQ store: run the ensemble on every sample, score, keep the best.

    The same command again does only what is missing. Exit code 3: done, but some recordings or samples gave
    no picture; `hqgen inspect` shows them with the reasons.
    """
    from hqgen.builder.prepare import BuildSettings

    settings = BuildSettings(
        sources=tuple(sources.split(",")),
        data_root=data_root,
        out=out,
        methods=methods,
        source_methods=context.obj or {},
        metric=metric,
        existing=existing,
        scheduler=scheduler,
        workers=workers,
        device=device,
        shard_size=shard_size,
    )
    _use_weights(weights_dir)
    if print_config:
        return _print_config(settings)
    return _estimate(settings, json) if plan else _build(settings, json)


def _print_config(settings: BuildSettings) -> int:
    from hqgen.config import to_toml

    values = asdict(settings) | {"sources": ",".join(settings.sources)}
    typer.echo(to_toml("build", {name.replace("_", "-"): value for name, value in values.items()}), nl=False)
    return 0


def _estimate(settings: BuildSettings, json: bool) -> int:
    from hqgen.builder.estimate import estimate
    from hqgen.progress import stderr_observer
    from hqgen.report.build_view import estimate_view

    found = estimate(settings, stderr_observer())
    if json:
        print_json(asdict(found))
    else:
        _stdout().print(estimate_view(found))
    return 0


def _build(settings: BuildSettings, json: bool) -> int:
    from hqgen.builder.run import build
    from hqgen.progress import stderr_observer
    from hqgen.report.build_view import outcome_view

    outcome = build(settings, stderr_observer())
    if json:
        print_json(_outcome_json(outcome))
    else:
        _stdout().print(outcome_view(outcome))
    return QUARANTINED if outcome.manifest.quarantined else 0


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "manifest": str(outcome.output.manifest_path),
        "store": str(outcome.output.store.path),
        "plan_id": outcome.manifest.plan_id,
        "samples": {source.name: len(source.samples) for source in outcome.manifest.sources},
        "made": outcome.made,
        "quarantined": outcome.manifest.quarantined,
    }


@app.command()
def inspect(
    manifest: Annotated[Path, typer.Argument(help="The `manifest.json` of a build.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Read the whole store and name every damaged shard.")
    ] = False,
    truth: Annotated[
        bool, typer.Option("--truth", help="Compare the picks with the ground truth: PSNR, SSIM, scores.")
    ] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page with tables and pictures.")] = None,
    contact_sheet: Annotated[
        Path | None, typer.Option(help="Write a PNG of the best, worst and most ambiguous picks.")
    ] = None,
    data_root: DataRoot = Path("data"),
    weights_dir: WeightsDir = None,
    json: AsJson = False,
) -> int:
    """Show what a build did: wins, scores, margins, ambiguous picks, quarantine."""
    from hqgen.inspection.statistics import statistics
    from hqgen.manifest import read_manifest

    _use_weights(weights_dir)
    document = read_manifest(manifest)
    found = statistics(document)
    damage = _verify(manifest, found.samples) if verify else None
    compared = _compare(manifest, data_root, found.pictures) if truth else None
    if contact_sheet is not None:
        from hqgen.report.contact_sheet import contact_sheet as draw

        draw(manifest, contact_sheet, data_root)
    if html is not None:
        from hqgen.report.html import html_page

        html_page(manifest, html, data_root)
    if json:
        parts = {"damage": damage, "truth": compared}
        extra = {name: [asdict(item) for item in part] for name, part in parts.items() if part is not None}
        print_json(asdict(found) | extra)
    else:
        from hqgen.report.terminal import damage_view, show, truth_view

        show(found, _stdout())
        if compared is not None:
            _stdout().print(truth_view(compared, found.scorer))
        if damage is not None:
            _stdout().print(damage_view(damage))
    return 1 if damage else 0


def _verify(manifest: Path, samples: int) -> list[Damage]:
    from hqgen.progress import stderr_observer
    from hqgen.verify import verify

    with stderr_observer().progress("verifying", samples, "samples") as job:
        return verify(manifest, advance=job.advance)


def _compare(manifest: Path, data_root: Path, pictures: int) -> list[SourceTruth]:
    from hqgen.inspection.truth import compare_with_truth
    from hqgen.progress import stderr_observer

    with stderr_observer().progress("comparing", pictures, "samples") as job:
        return compare_with_truth(manifest, data_root, advance=job.advance)


@app.command()
def sources(data_root: DataRoot = Path("data"), json: AsJson = False) -> None:
    """List the datasets of the catalog: what is there, what is missing and how to get it."""
    from hqgen.report.terminal import sources_view
    from hqgen.sources.describe import describe_sources

    rows = describe_sources(data_root)
    if json:
        print_json([asdict(row) | {"entry": row.entry.model_dump(mode="json")} for row in rows])
    else:
        _stdout().print(sources_view(rows))


@app.command()
def methods(weights_dir: WeightsDir = None, json: AsJson = False) -> None:
    """List the reconstruction methods, their parameters, and why some cannot run here."""
    from hqgen.methods.registry import describe_methods
    from hqgen.report.terminal import methods_view

    _use_weights(weights_dir)
    rows = describe_methods()
    if json:
        print_json([asdict(row) for row in rows])
    else:
        _stdout().print(methods_view(rows))


@weights_app.command("list")
def list_weights(weights_dir: WeightsDir = None, json: AsJson = False) -> None:
    """List the registered weights."""
    from hqgen.methods.weights import list_weights
    from hqgen.report.terminal import weights_view

    entries = list_weights(weights_dir)
    if json:
        print_json([asdict(entry) for entry in entries])
    else:
        _stdout().print(weights_view(entries))


@weights_app.command("add")
def add_weights(
    file: Annotated[Path, typer.Argument(help="A published checkpoint, as it was downloaded.")],
    method: Annotated[str, typer.Option(help="The method it is for, as in `ssml:variant=simple`.")],
    licence: Annotated[
        str | None, typer.Option(help="Of the weights. [default: the published one's]")
    ] = None,
    source: Annotated[str, typer.Option(help="Where the file comes from.")] = "",
    brightness: Annotated[
        Literal["rate", "brightness", "other"] | None,
        typer.Option(help="Scale of the output. [default: the published weights' scale]"),
    ] = None,
    sha256: Annotated[str | None, typer.Option(help="Digest that the file must have.")] = None,
    weights_dir: WeightsDir = None,
) -> None:
    """Check a checkpoint and register it for a method."""
    from hqgen.methods.registration import add_weights

    entry = add_weights(
        file,
        _network_method(method),
        licence=licence,
        source=source,
        brightness=brightness,
        sha256=sha256,
        folder=weights_dir,
    )
    typer.echo(f"{entry.name}: {entry.file}", err=True)


@weights_app.command("check")
def check_weights(
    names: Annotated[list[str] | None, typer.Argument(help="Methods. [default: all registered]")] = None,
    weights_dir: WeightsDir = None,
) -> int:
    """Read registered weights again, whole: digest, names, shapes, values.

    Exit code 1: some of them are damaged or gone.
    """
    from hqgen.errors import MethodError
    from hqgen.methods.registration import check_weights
    from hqgen.methods.weights import list_weights

    _use_weights(weights_dir)
    damaged = 0
    # Weights of a variant are registered as `method-variant`.
    registered = [entry.name.replace("-", ":variant=") for entry in list_weights(weights_dir)]
    for name in names or registered:
        try:
            check_weights(_network_method(name))
            typer.echo(f"{name}: sound")
        except MethodError as error:
            damaged += 1
            typer.echo(f"{name}: {error.message}")
    return 1 if damaged else 0


def _network_method(text: str) -> NetworkMethod:
    from hqgen.errors import UsageError
    from hqgen.methods.learned.network import NetworkMethod
    from hqgen.methods.registry import parse_method

    method = parse_method(text)
    if not isinstance(method, NetworkMethod):
        raise UsageError(f"the method `{method.name}` has no weights", hint="see `hqgen methods`")
    return method


@app.command()
def doctor(data_root: DataRoot = Path("data"), weights_dir: WeightsDir = None, json: AsJson = False) -> None:
    """Say what this machine has: versions, cores, memory, GPU, data, weights."""
    from hqgen.report.doctor import doctor_view, examine

    _use_weights(weights_dir)
    findings = examine(data_root)
    if json:
        print_json(findings)
    else:
        _stdout().print(doctor_view(findings))


Height = Annotated[int | None, typer.Option(min=1, help="Rows of a headerless `.dat`. [default: 250]")]
Width = Annotated[int | None, typer.Option(min=1, help="Columns of a headerless `.dat`. [default: 400]")]


@app.command()
def reconstruct(
    recording: Annotated[Path, typer.Argument(help="A `.dat`, `.npz`, `.npy` or HDF5 file.")],
    out: Annotated[
        Path, typer.Option(help="Picture to write; `.npy` keeps the method's own float32 values.")
    ],
    method: Annotated[str, typer.Option(help="As in `tfi:variant=paper`.")] = "tfi",
    frame: Annotated[
        int | None, typer.Option(min=0, help="Frame to reconstruct, from 0. [default: the middle one]")
    ] = None,
    height: Height = None,
    width: Width = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where networks run.")] = "auto",
    weights_dir: WeightsDir = None,
) -> None:
    """Reconstruct one frame of a recording with one method."""
    from hqgen.methods.api import reconstruct
    from hqgen.methods.registry import parse_methods
    from hqgen.pictures import write_image
    from hqgen.spikes.recording import open_recording

    _use_weights(weights_dir)
    (chosen,) = parse_methods(method)
    headerless = recording.suffix.lower() == ".dat"
    spikes = open_recording(
        recording,
        height=height or (250 if headerless else None),
        width=width or (400 if headerless else None),
    )
    write_image(out, reconstruct(chosen.on(device), spikes, centre=frame))


@app.command()
def score(
    images: Annotated[list[Path], typer.Argument(help="Pictures.")],
    metric: Annotated[str, typer.Option(help="`niqe`, or one of pyiqa's: see docs/niqe.md.")] = "niqe",
    json: AsJson = False,
) -> int:
    """Score pictures without a reference; lower is better.

    Exit code 3: some of them have no score; the reasons are on stderr.
    """
    from hqgen.quality.scorers import score_files

    found = score_files(images, metric)
    if json:
        rows = [
            {"path": str(item.path), "score": None if item.reason else item.score, "reason": item.reason}
            for item in found
        ]
        print_json(rows)
    else:
        for item in found:
            if item.reason is None:
                typer.echo(f"{item.score:.4f}  {item.path}")
            else:
                typer.echo(f"{item.path}: {item.reason}", err=True)
    return QUARANTINED if any(item.reason for item in found) else 0


@app.command()
def simulate(
    pictures: Annotated[Path, typer.Argument(help="A picture, or a folder of pictures.")],
    out: Annotated[
        Path, typer.Option(help="Recording to write (`.dat` or `.npz`); for a folder of pictures a folder.")
    ],
    light: Annotated[Literal["normal", "low"], typer.Option(help="How much light there is.")] = "normal",
    frames: Annotated[int, typer.Option(min=1, help="Length of a recording.")] = 201,
    height: Annotated[int, typer.Option(min=1, help="Rows.")] = 250,
    width: Annotated[int, typer.Option(min=1, help="Columns.")] = 400,
    right: Annotated[float, typer.Option(help="Pixels a frame that the view moves to the right.")] = 0.1,
    down: Annotated[float, typer.Option(help="Pixels a frame that it moves down.")] = 0.04,
    rotation: Annotated[float, typer.Option(help="Degrees a frame that it turns.")] = 0.01,
    zoom: Annotated[float, typer.Option(help="Share a frame by which it comes nearer.")] = 0.0,
    sequence: Annotated[
        bool, typer.Option("--sequence", help="The pictures of a folder are the frames of one scene.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the camera's pixels and noise.")] = 0,
) -> None:
    """Simulate spike recordings from pictures."""
    from hqgen.simulation.camera import preset, simulate_pictures
    from hqgen.simulation.motion import Motion

    written = simulate_pictures(
        pictures,
        out,
        sensor=preset(light),
        seed=seed,
        frames=frames,
        height=height,
        width=width,
        motion=Motion(right=right, down=down, rotation=rotation, zoom=zoom),
        sequence=sequence,
    )
    for path in written:
        typer.echo(path)


@app.command("train-method")
def train_method(
    method: Annotated[Literal["base"], typer.Argument(help="The method to train.")],
    pictures: Annotated[Path, typer.Option(help="A folder or a zip archive of pictures.")],
    out: Annotated[Path, typer.Option(help="Weights to write; beside them the learning curve.")],
    recipe: Annotated[
        Path | None, typer.Option(help="TOML file. [default: as the shipped weights were trained]")
    ] = None,
) -> int:
    """Train a method's network on streams simulated from pictures.

    Interrupted, the same command goes on from the last checkpoint.
    """
    del method  # `base` is the only one so far
    from hqgen.interrupt import Stop, stoppable
    from hqgen.progress import stderr_observer
    from hqgen.training.base import train_base
    from hqgen.training.recipe import Recipe, load_recipe

    settings = load_recipe(recipe) if recipe else Recipe()
    stop = Stop()
    message = "stopping: this step is finished and kept; interrupt again to stop at once"
    with stoppable(stop, message):
        train_base(pictures, out, settings, observer=stderr_observer(), stop=lambda: stop.asked)
    return 130 if stop.asked else 0


def _use_weights(folder: Path | None) -> None:
    """Let networks, in this process and in the workers that it starts, find weights in this folder."""
    if folder is not None:
        import os

        os.environ["HQGEN_WEIGHTS"] = str(folder.absolute())


def _stdout() -> Console:
    from rich.console import Console

    return Console()


def main() -> NoReturn:
    """Run `hqgen`."""
    run(app)
