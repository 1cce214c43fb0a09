"""The command `hqgen`. Heavy imports happen inside the commands, so that `--help` answers at once."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from hqgen import cli_curate, cli_export, console
from hqgen.cli_curate import Author, login
from hqgen.completion import completer

if TYPE_CHECKING:
    from hqgen.benchmark.settings import BenchmarkCommand
    from hqgen.builder.settings import BuildCommand, RepickCommand
    from hqgen.methods.learned.network import NetworkMethod
    from hqgen.spikes.camera import Camera

app = console.new_program("hqgen", "Build high-quality image sets from spike-camera recordings.")
weights_app = typer.Typer(help="Weights of the learned methods.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(weights_app, name="weights")
sources_app = typer.Typer(help="Datasets of the catalog.", cls=console.ListingGroup, rich_markup_mode=None)
app.add_typer(sources_app, name="sources")
app.add_typer(cli_curate.app, name="curate")


def _use_weights(folder: Path | None) -> Path | None:
    """Let networks, in this process and in the workers that it starts, find weights in this folder."""
    if folder is not None:
        os.environ["HQGEN_WEIGHTS"] = str(folder.absolute())
    return folder


DataRoot = Annotated[Path, typer.Option(envvar="HQGEN_DATA_ROOT", help="Folder of the datasets.")]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights-dir",
        envvar="HQGEN_WEIGHTS",
        callback=_use_weights,
        help="Folder of the registered weights.",
    ),
]


@app.command(cls=console.settings_command("hqgen.builder.settings:BuildCommand", "build"))
def build(
    context: typer.Context,
    plan: Annotated[bool, typer.Option("--plan", help="Show what would run, and stop.")] = False,
    json: console.AsJson = False,
) -> int:
    """Build an HQ store: run the ensemble on every sample, score, keep the best.

    The same command again does only what is missing. Exit code 3: done, but some recordings or samples gave
    no picture; `hqgen inspect` shows them with the reasons.
    """
    from hqgen.progress import stderr_observer

    settings: BuildCommand = context.obj
    observer = stderr_observer()
    _use_weights(settings.weights_dir)
    if plan:
        from hqgen.builder.estimate import estimate
        from hqgen.report.build_view import estimate_view

        console.show(estimate(settings, observer), estimate_view, json)
        return 0
    from hqgen.builder.run import build

    outcome = build(settings, observer)
    return console.show_outcome(outcome, json)


@app.command(cls=console.settings_command("hqgen.builder.settings:RepickCommand"))
def repick(
    context: typer.Context,
    manifest: Annotated[Path, typer.Argument(help="A build with candidates: its folder or manifest.")],
    json: console.AsJson = False,
) -> int:
    """Pick the winners of a finished store again, into a new store.

    By another rule, other limits, another metric or other judges. No method runs. Recordings are needed only
    for the judge `consistency`, if the store lacks it. Exit code 3: done, but some recordings or samples gave
    no picture.
    """
    from hqgen.builder.repick import repick
    from hqgen.manifest import find_manifest
    from hqgen.progress import stderr_observer

    settings: RepickCommand = context.obj
    _use_weights(settings.weights_dir)
    outcome = repick(find_manifest(manifest), settings, stderr_observer())
    return console.show_outcome(outcome, json)


@app.command(cls=console.settings_command("hqgen.builder.settings:MergeSettings"))
def merge(
    context: typer.Context,
    builds: Annotated[list[Path], typer.Argument(help="Finished builds: their folders or manifests.")],
    json: console.AsJson = False,
) -> int:
    """Make one store of several finished builds, such as parts built on different machines.

    No recordings are needed and no method runs. The builds must have the same rules, and each source the same
    methods in all of them. Exit code 3: done, but some recordings or samples gave no picture.
    """
    from hqgen.builder.merge import merge
    from hqgen.manifest import find_manifest
    from hqgen.progress import stderr_observer

    outcome = merge([find_manifest(build) for build in builds], context.obj, stderr_observer())
    return console.show_outcome(outcome, json)


app.command(cls=console.settings_command("hqgen.export.settings:ExportCommand"))(cli_export.export)


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(help="A build: its folder, or its `manifest.json`.")],
    after: Annotated[Path, typer.Argument(help="Another build.")],
    json: console.AsJson = False,
) -> int:
    """Show what two builds differ in: plans, samples, winners, scores, pixels.

    Exit code 0, whether they differ or not; `same` in the JSON says it.
    """
    from hqgen.builder.comparison import compare_builds
    from hqgen.manifest import find_manifest
    from hqgen.report.difference import difference_view

    found = compare_builds(find_manifest(before), find_manifest(after))
    if json:
        console.print_json({"same": found.same} | asdict(found))
    else:
        console.show(found, difference_view, as_json=False)
    return 0


@app.command()
def inspect(
    manifest: Annotated[Path, typer.Argument(help="A build: its folder, or its `manifest.json`.")],
    verify: Annotated[bool, typer.Option("--verify", help="Read all; name every damaged shard.")] = False,
    truth: Annotated[bool, typer.Option("--truth", help="Compare with the ground truth.")] = False,
    sample: Annotated[str | None, typer.Option(help="Show the sample with this key alone.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with tables and pictures.")] = None,
    contact_sheet: Annotated[Path | None, typer.Option(help="PNG of best, worst, ambiguous picks.")] = None,
    data_root: DataRoot = Path("data"),
    _weights: Weights = None,
    json: console.AsJson = False,
) -> int:
    """Show what a build did: wins, scores, margins, ambiguous picks, quarantine.

    With `--sample`: every candidate of one sample by every judge; `--contact-sheet` draws them.
    """
    if sample is not None:
        others = {"--verify": verify, "--truth": truth, "--html": html is not None}
        _inspect_sample(manifest, sample, contact_sheet, data_root, json, others)
        return 0
    from hqgen.curation import Journal, summarise
    from hqgen.inspection.statistics import statistics
    from hqgen.manifest import find_manifest, read_manifest
    from hqgen.progress import stderr_observer

    manifest = find_manifest(manifest)
    document = read_manifest(manifest)
    found = statistics(document)
    verdicts = summarise(Journal(manifest, document))
    damage = compared = choices = None
    if verify:
        from hqgen.builder.check import verify_build as find_damage

        with stderr_observer().progress("verifying", found.samples, "samples") as job:
            damage = find_damage(manifest, advance=job.advance)
    if truth:
        from hqgen.inspection.choices import compare_candidates
        from hqgen.inspection.truth import compare_with_truth

        with stderr_observer().progress("comparing", found.pictures, "samples") as job:
            compared = compare_with_truth(manifest, data_root, advance=job.advance)
        with stderr_observer().progress("comparing candidates", found.samples, "samples") as job:
            choices = compare_candidates(manifest, data_root, advance=job.advance)
    if contact_sheet is not None:
        from hqgen.report.contact_sheet import contact_sheet as draw

        draw(manifest, contact_sheet, data_root)
    if html is not None:
        from hqgen.report.html import html_page

        html_page(manifest, html, data_root)
    if json:
        parts = {"damage": damage, "truth": compared, "candidates": choices}
        numbers = asdict(found) | {"verdicts": asdict(verdicts)}
        console.print_json(numbers | {name: part for name, part in parts.items() if part is not None})
    else:
        from rich.console import Console

        from hqgen.report import terminal
        from hqgen.report.choices import choices_view

        screen = Console()
        terminal.show(found, screen, verdicts)
        if compared is not None:
            screen.print(terminal.truth_view(compared, found.scorer))
        if choices is not None:
            screen.print(choices_view(choices))
        if damage is not None:
            screen.print(terminal.damage_view(damage))
        _name_files({"contact sheet": contact_sheet, "page": html})
    return 1 if damage else 0


def _inspect_sample(
    manifest: Path, key: str, sheet: Path | None, data_root: Path, json: bool, others: dict[str, bool]
) -> None:
    from hqgen.curation import Journal
    from hqgen.errors import HqgenError, UsageError
    from hqgen.manifest import find_manifest, read_manifest
    from hqgen.report.sample import sample_view, shown_sample

    if refused := [flag for flag, given in others.items() if given]:
        raise UsageError(
            f"`--sample` shows one sample, and `{refused[0]}` the whole store", hint="leave one of them out"
        )
    path = find_manifest(manifest)
    document = read_manifest(path)
    try:
        verdict = Journal(path, document).state().get(key)
    except HqgenError as error:
        typer.echo(error.message, err=True)
        verdict = None
    found = shown_sample(document, key, verdict)
    if sheet is not None:
        from hqgen.report.contact_sheet import sample_sheet

        sample_sheet(path, key, sheet, data_root)
    console.show(found, sample_view, json)
    if not json:
        _name_files({"contact sheet": sheet})


def _name_files(files: dict[str, Path | None]) -> None:
    """Say on stdout which files were written."""
    for name, path in files.items():
        if path is not None:
            typer.echo(f"{name:<14} {path}")


@app.command()
def view(
    manifest: Annotated[Path, typer.Argument(help="A build: its folder, or its `manifest.json`.")],
    port: console.Port = None,
    author: Author = "",
    browser: console.Browser = True,
    data_root: DataRoot = Path("data"),
    _weights: Weights = None,
) -> None:
    """Look at a finished store in the browser, and judge its samples there.

    Only this machine can reach it. Ctrl-C ends it.
    """
    from hqgen.manifest import find_manifest
    from hqgen.view.app import application

    app = application(find_manifest(manifest), data_root, author or login())
    console.serve(app, port=port, browser=browser)


@app.command(cls=console.settings_command("hqgen.benchmark.settings:BenchmarkCommand", "benchmark"))
def benchmark(context: typer.Context, json: console.AsJson = False) -> int:
    """Compare methods: every one over every sample, raw and at equal brightness, with its cost.

    Writes `benchmark.json`, `.md`, `.tex` and a contact sheet `benchmark.png`. The same command again
    measures only what is missing.
    """
    from hqgen.benchmark.run import benchmark
    from hqgen.benchmark.tables import TerminalView
    from hqgen.interrupt import stoppable
    from hqgen.progress import stderr_observer

    settings: BenchmarkCommand = context.obj
    _use_weights(settings.weights_dir)
    with stoppable("stopping after this picture; methods that are finished are kept") as stop:
        found = benchmark(settings, stderr_observer(), stop=lambda: stop.asked)
    if found is None:
        return 130
    console.show(found, TerminalView, json)
    return 0


@sources_app.command("list")
def sources(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="As in `--sources`. [default: all of the catalog]", autocompletion=completer("sources")
        ),
    ] = None,
    data_root: DataRoot = Path("data"),
    json: console.AsJson = False,
) -> None:
    """List datasets: what is there, what is missing and how to get it, which files cannot be used and why."""
    from functools import partial

    from hqgen.report.terminal import SHOWN, sources_view
    from hqgen.sources.describe import describe_sources

    view = partial(sources_view, shown=1000 if names else SHOWN)
    console.show(describe_sources(data_root, names or ()), view, json)


@sources_app.command("fetch")
def fetch_sources(
    names: Annotated[list[str], typer.Argument(help="Datasets of the catalog.")],
    data_root: DataRoot = Path("data"),
    _offline: console.Offline = False,
    json: console.AsJson = False,
) -> None:
    """Download the files of datasets that a program can fetch, and say how to get the others."""
    from hqgen.progress import stderr_observer
    from hqgen.sources.catalog import load_catalog
    from hqgen.sources.fetching import fetch_source

    found = []
    for name in names:
        found += fetch_source(name, data_root, observer=stderr_observer())
        typer.echo(f"{name}: the rest is got by hand. {load_catalog()[name].obtain}", err=True)
    if json:
        console.print_json(found)
    else:
        for file in found:
            typer.echo(file.path)


@app.command()
def methods(_weights: Weights = None, json: console.AsJson = False) -> None:
    """List the reconstruction methods, their parameters, and why some cannot run here."""
    from hqgen.methods.registry import describe_methods
    from hqgen.report.terminal import methods_view

    console.show(describe_methods(), methods_view, json)


@weights_app.command("list")
def list_weights(weights: Weights = None, json: console.AsJson = False) -> None:
    """List the registered weights."""
    from hqgen.methods.weights import list_weights
    from hqgen.report.terminal import weights_view

    console.show(list_weights(weights), weights_view, json)


@weights_app.command("add")
def add_weights(
    file: Annotated[Path, typer.Argument(help="A published checkpoint, as it was downloaded.")],
    method: Annotated[
        str,
        typer.Option(
            help="The method it is for, as in `ssml:variant=simple`.", autocompletion=completer("methods")
        ),
    ],
    licence: Annotated[str | None, typer.Option(help="Its licence. [default: the published one]")] = None,
    source: Annotated[str, typer.Option(help="Where the file comes from.")] = "",
    brightness: Annotated[
        Literal["rate", "brightness", "other"] | None,
        typer.Option(help="Scale of the output. [default: the published weights' scale]"),
    ] = None,
    sha256: Annotated[str | None, typer.Option(help="Digest that the file must have.")] = None,
    weights: Weights = None,
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
        folder=weights,
    )
    typer.echo(f"{entry.name}: {entry.file}", err=True)


@weights_app.command("fetch")
def fetch_weights(
    methods: Annotated[
        list[str] | None, typer.Argument(help="Methods, as in `ssml:variant=simple`; or `all`.")
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Who publishes them: `authors`, `spike-zoo-0.1.0`, ... [default: the first that can be "
            "fetched, for methods that have no weights yet]",
        ),
    ] = None,
    catalog: Annotated[
        Path | None,
        typer.Option(envvar="HQGEN_WEIGHTS_CATALOG", help="Catalog of your own. [default: hqgen's]"),
    ] = None,
    weights: Weights = None,
    _offline: console.Offline = False,
    json: console.AsJson = False,
) -> int:
    """Download published weights, check them and register them.

    A download that was interrupted continues. Exit code 1: some could not be fetched, and stderr
    says why.
    """
    from hqgen.methods.fetching import fetch_weights
    from hqgen.methods.published import load_weights_catalog
    from hqgen.progress import stderr_observer
    from hqgen.report.terminal import fetched_view

    files, by_hand = load_weights_catalog(catalog).choose(methods or [], origin)
    for entry in by_hand:
        typer.echo(f"{entry.method} can only be got by hand: {entry.how}", err=True)
    found = fetch_weights(files, keep=origin is None, folder=weights, observer=stderr_observer())
    console.show(found, fetched_view, json)
    return 1 if console.name_rejected((item.method, item.problem) for item in found) else 0


@weights_app.command("check")
def check_weights(
    names: Annotated[list[str] | None, typer.Argument(help="Methods. [default: all registered]")] = None,
    weights: Weights = None,
) -> int:
    """Read registered weights again, whole: digest, names, shapes, values.

    Exit code 1: some of them are damaged or gone.
    """
    from hqgen.errors import MethodError
    from hqgen.methods.registration import check_weights
    from hqgen.methods.registry import method_of_weights
    from hqgen.methods.weights import list_weights

    damaged = 0
    for name in names or [method_of_weights(entry.name) for entry in list_weights(weights)]:
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
def doctor(
    data_root: DataRoot = Path("data"), _weights: Weights = None, json: console.AsJson = False
) -> None:
    """Say what this machine has: versions, cores, memory, GPU, data, weights."""
    from hqgen.report.doctor import doctor_view, examine

    console.show(examine(data_root), doctor_view, json)


@app.command(cls=console.settings_command(console.CAMERA))
def reconstruct(
    context: typer.Context,
    recording: Annotated[Path, typer.Argument(help="A recording; docs/sources.md lists the formats.")],
    out: Annotated[
        Path,
        typer.Option(
            help="Picture to write, or `.npy` for the float32 values. With --frames: an `.mp4`, a new folder "
            "of PNGs, or `.npy`."
        ),
    ],
    method: Annotated[
        str, typer.Option(help="As in `tfi:variant=paper`.", autocompletion=completer("methods"))
    ] = "tfi",
    frame: Annotated[int | None, typer.Option(min=0, help="Frame, from 0. [default: the middle one]")] = None,
    frames: Annotated[
        str | None, typer.Option(help="A video of the frames START:STOP:STEP, as in `0:2000:10`.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Pictures per second of a video. [default: 30]")] = None,
    counter: Annotated[bool, typer.Option("--counter", help="Write frame numbers into a video.")] = False,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where networks run.")] = "auto",
    force: console.Force = False,
    _weights: Weights = None,
) -> None:
    """Reconstruct one frame of a recording with one method, or a video of many: docs/video.md."""
    from hqgen.errors import UsageError
    from hqgen.methods.api import reconstruct
    from hqgen.methods.registry import parse_methods
    from hqgen.pictures import write_image
    from hqgen.progress import stderr_observer
    from hqgen.spikes.plausibility import require_plausible
    from hqgen.spikes.recording import open_recording

    (chosen,) = parse_methods(method)
    camera: Camera = context.obj
    if frames is None and (rate is not None or counter):
        raise UsageError("`--rate` and `--counter` are for videos", hint="give `--frames`, as in `0:2000:10`")
    if frames is not None and frame is not None:
        raise UsageError(
            "`--frame` asks for one picture, `--frames` for a video", hint="leave one of them out"
        )
    spikes = open_recording(recording, camera.for_file(recording))
    stderr_observer().note(f"`{recording}`: {spikes.extent}")
    if frame is not None and frame >= len(spikes):
        raise UsageError(
            f"frame {frame} is not in `{recording}`, which has {spikes.extent}",
            hint=f"give `--frame` as 0 to {len(spikes) - 1}",
        )
    if not force:
        require_plausible(spikes, recording)
    if frames is None:
        write_image(out, reconstruct(chosen.on(device), spikes, centre=frame))
    else:
        from hqgen.video.frames import RATE, parse_frames
        from hqgen.video.run import reconstruct_video

        chosen_frames = parse_frames(frames, str(recording), len(spikes))
        reconstruct_video(
            chosen.on(device),
            spikes,
            chosen_frames,
            out,
            rate=RATE if rate is None else rate,
            counter=counter,
            observer=stderr_observer(),
        )
    typer.echo(out)


@app.command(cls=console.settings_command(console.CAMERA))
def probe(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Recordings; docs/sources.md lists the formats.")],
    picture: Annotated[Path | None, typer.Option(help="PNG of the readings to write.")] = None,
    json: console.AsJson = False,
) -> int:
    """Say what is in files, and which reading of them is plausible.

    Exit code 3: some files cannot be read in any way (1: none can); the reasons are on stderr.
    """
    from hqgen.errors import RecordingError
    from hqgen.report.probe import as_json, draw, probe_view
    from hqgen.spikes.probe import probe

    found, reasons = [], []
    for file in files:
        try:
            found.append(probe(file, context.obj))
        except RecordingError as error:
            reasons.append((file, error.message.removeprefix(f"`{file}`: ")))
    if picture is not None and found:
        draw(found, picture)
    console.show([as_json(item) for item in found] if json else found, probe_view, json)
    return console.name_rejected(reasons, used=len(found))


@app.command()
def score(
    images: Annotated[list[Path], typer.Argument(help="Pictures.")],
    metric: Annotated[
        str,
        typer.Option(
            help="`niqe`, `brisque`, `piqe`, ...: see docs/judges.md.", autocompletion=completer("metric")
        ),
    ] = "niqe",
    json: console.AsJson = False,
) -> int:
    """Score pictures without a reference; lower is better.

    Exit code 3: some of them have no score (1: none has); the reasons are on stderr.
    """
    from hqgen.quality.scorers import score_files

    found = score_files(images, metric)
    if json:
        rows = [
            {"path": str(item.path), "score": None if item.reason else item.score, "reason": item.reason}
            for item in found
        ]
        console.print_json(rows)
    else:
        for item in found:
            if item.reason is None:
                typer.echo(f"{item.score:.4f}  {item.path}")
    return console.name_rejected((item.path, item.reason) for item in found)


@app.command()
def simulate(
    pictures: Annotated[Path, typer.Argument(help="A picture, or a folder of pictures.")],
    out: Annotated[Path, typer.Option(help="Recording (`.dat`, `.npz`), or folder, to write.")],
    light: Annotated[Literal["normal", "low"], typer.Option(help="How much light there is.")] = "normal",
    frames: Annotated[int, typer.Option(min=1, help="Length of a recording.")] = 201,
    height: Annotated[int, typer.Option(min=1, help="Rows.")] = 250,
    width: Annotated[int, typer.Option(min=1, help="Columns.")] = 400,
    right: Annotated[float, typer.Option(help="Pixels per frame that the view moves to the right.")] = 0.1,
    down: Annotated[float, typer.Option(help="Pixels per frame that it moves down.")] = 0.04,
    rotation: Annotated[float, typer.Option(help="Degrees per frame that it turns.")] = 0.01,
    zoom: Annotated[float, typer.Option(help="Share per frame by which it comes nearer.")] = 0.0,
    sequence: Annotated[bool, typer.Option("--sequence", help="The pictures show one scene.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the camera's pixels and noise.")] = 0,
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


@app.command("train-method", cls=console.settings_command(console.CAMERA))
def train_method(
    context: typer.Context,
    method: Annotated[Literal["base", "bsn"], typer.Argument(help="The method to train.")],
    out: Annotated[Path, typer.Option(help="Weights to write; beside them the learning curve.")],
    pictures: Annotated[
        Path | None, typer.Option(help="For `base`: a folder or a zip archive of pictures.")
    ] = None,
    recordings: Annotated[
        Path | None, typer.Option(help="For `bsn`: a recording, or a folder of those of one camera.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="For `base`: weights to begin with. For `bsn`: `base`, to adapt it.")
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="TOML file. [default: of pipelines/]")] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to train `base`.")] = "cpu",
) -> int:
    """Train a method's network.

    `base` learns on streams simulated from pictures. `bsn` learns on recordings of your camera, without
    ground truth; with `--start base`, `base` is adapted to them.

    Interrupted, the same command continues from the last checkpoint.
    """
    from hqgen.errors import UsageError
    from hqgen.progress import stderr_observer

    observer = stderr_observer()
    if method == "base":
        from hqgen.training.base import train_base
        from hqgen.training.recipe import Recipe, load_recipe

        source = _training_data(method, "pictures", pictures, recordings)
        if described := context.obj.stated():
            raise UsageError(
                f"`base` is trained with pictures, and `{next(iter(described))}` describes recordings",
                hint="leave out the flags that describe a camera",
            )
        settings = load_recipe(recipe) if recipe else Recipe()
        with console.stopping() as stop:
            train_base(
                source,
                out,
                settings,
                start=start,
                device=device,
                observer=observer,
                stop=lambda: stop.asked,
            )
        return 130 if stop.asked else 0
    from hqgen.training.blind import BlindRecipe, load_blind_recipe
    from hqgen.training.bsn import train_bsn

    source = _training_data(method, "recordings", recordings, pictures)
    if start not in (None, Path("base")):
        raise UsageError(f"`bsn` cannot start from `{start}`", hint="`--start base` adapts `base`")
    if device == "cuda":
        raise UsageError("`bsn` is trained on the CPU", hint="leave out `--device`")
    blind = load_blind_recipe(recipe) if recipe else BlindRecipe()
    with console.stopping() as stop:
        train_bsn(
            source,
            out,
            blind,
            start=None if start is None else "base",
            camera=context.obj,
            observer=observer,
            stop=lambda: stop.asked,
        )
    return 130 if stop.asked else 0


def _training_data(method: str, flag: str, given: Path | None, other: Path | None) -> Path:
    from hqgen.errors import UsageError

    if given is None or other is not None:
        raise UsageError(f"`{method}` is trained with `--{flag}` alone", hint=f"give `--{flag} FOLDER`")
    return given


def main() -> NoReturn:
    """Run `hqgen`."""
    console.run(app)
