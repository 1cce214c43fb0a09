"""The command `spikeclip`. Heavy imports happen inside the commands, so that `--help` answers at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from hqgen import console
from spikeclip import cli_clip, cli_view

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from spikeclip.data.settings import PrepareSettings, SimulateSettings
    from spikeclip.evaluation.cost import Profile
    from spikeclip.evaluation.settings import EvaluateCommand
    from spikeclip.evaluation.table import ResultTable
    from spikeclip.recipes.recipe import RunCommand
    from spikeclip.training.settings import TrainCommand

app = console.new_program("spikeclip", "Train and run the SpikeCLIP low-light reconstruction network.")
app.add_typer(cli_clip.app, name="clip")

NETWORK = (
    "A network: `network.pth` of a training, safetensors, a published LRN, a folder, or hf://OWNER/NAME."
)

Device = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(envvar="SPIKECLIP_DEVICE", help="Where networks run.")
]


@app.command(cls=console.settings_command("spikeclip.training.settings:TrainCommand", "train"))
def train(
    context: typer.Context,
    stage: Annotated[
        Literal["coarse", "prompt", "fine"] | None, typer.Option(help="Run only this stage. [default: all]")
    ] = None,
    _offline: console.Offline = False,
    json: console.AsJson = False,
) -> int:
    """Train the network in its three stages.

    The same command again does only what is missing; interrupted, it continues from the last checkpoint.
    """
    from hqgen.progress import stderr_observer
    from spikeclip.data.opening import announce, dataset_under, is_prepared, open_low_light
    from spikeclip.data.settings import DEMO
    from spikeclip.training.inputs import check_inputs
    from spikeclip.training.run import train
    from spikeclip.training.settings import TrainSettings

    command: TrainCommand = context.obj
    observer, out = stderr_observer(), command.out
    if command.spikes == DEMO:
        observer.note(f"demo: crop {command.crop}, judged by the CLIP model `{command.clip.model}`")
    stores, settings = [Path(store) for store in command.hq_store], command.part(TrainSettings)
    spikes, prepared = command.spikes or dataset_under(command.data_root), out / "low-light.zarr"
    if not (is_prepared(spikes) or prepared.exists()):  # making a set takes minutes
        check_inputs(stores, announce(spikes, command.entry), settings, stage)
    low_light = open_low_light(spikes, prepared, command.entry, observer)
    with console.stopping() as stop:
        folder = train(
            stores, low_light, settings, out, only=stage, observer=observer, stop=lambda: stop.asked
        )
    if stop.asked:
        return 130
    made = {"network": folder.network, "prompts": folder.prompts, "pictures": folder.grid, "log": folder.log}
    there = {name: str(path) for name, path in made.items() if path.exists()}
    if json:
        console.print_json(there)
    else:
        for name, path in there.items():
            typer.echo(f"{name:<9} {path}")
    return 0


@app.command(cls=console.settings_command("spikeclip.data.settings:PrepareSettings"))
def prepare(
    context: typer.Context,
    spikes: Annotated[Path, typer.Argument(help="A folder of labelled recordings.")],
    json: console.AsJson = False,
) -> int:
    """Turn labelled recordings into a low-light set: packed bits in one Zarr store.

    Exit code 3: done, but some recordings could not be used; they are named on stderr.
    """
    from hqgen.progress import stderr_observer
    from spikeclip.data.prepare import prepare

    settings: PrepareSettings = context.obj
    made = prepare(spikes, settings.out, entry=settings.entry, observer=stderr_observer())
    _show_low_light(made, json)
    used = sum(len(made.split(name)) for name in made.splits)
    return console.name_rejected(((item.path, item.reason) for item in made.rejected), used)


@app.command(cls=console.settings_command("spikeclip.data.settings:SimulateSettings"))
def simulate(
    context: typer.Context,
    pictures: Annotated[
        Path, typer.Argument(help="A folder of `train` and `test`: folders or zips of CLASS/NAME.jpg.")
    ],
    out: Annotated[Path, typer.Option(help="The low-light set, a Zarr store.")],
    json: console.AsJson = False,
) -> None:
    """Simulate a low-light set: pictures on a dim, drifting screen, seen by the camera."""
    from hqgen.progress import stderr_observer
    from spikeclip.data.simulated import simulate_low_light

    settings: SimulateSettings = context.obj
    _show_low_light(simulate_low_light(pictures, out, settings, observer=stderr_observer()), json)


def _show_low_light(made: Any, json: bool) -> None:
    samples = {name: len(made.split(name)) for name in made.splits}
    if json:
        found = {"path": str(made.path), "digest": made.digest, "samples": samples}
        console.print_json(
            found | {"classes": list(made.labels), "geometry": made.geometry, "frames": made.frames}
        )
    else:
        counts = ", ".join(f"{count:,} {name}" for name, count in samples.items())
        height, width = made.geometry
        typer.echo(
            f"{made.path}: {counts}; {len(made.labels)} classes, {made.frames} frames of {height}x{width}"
        )


@app.command(cls=console.settings_command("spikeclip.evaluation.settings:EvaluateCommand"))
def evaluate(
    context: typer.Context,
    checkpoints: Annotated[list[str], typer.Argument(help="Networks: `network.pth`, or NAME=FILE.")],
    _offline: console.Offline = False,
    json: console.AsJson = False,
) -> None:
    """Compare networks and methods as the paper's tables do: quality, accuracy, cost."""
    from hqgen.progress import stderr_observer
    from spikeclip.api import evaluate
    from spikeclip.data.opening import open_low_light
    from spikeclip.data.settings import DEMO, DEMO_CAVEAT
    from spikeclip.evaluation.table import write_table
    from spikeclip.training.report import renew_report

    command: EvaluateCommand = context.obj
    out, observer = command.out, stderr_observer()
    if command.spikes == DEMO:
        observer.note(f"demo: judged by the CLIP model `{command.clip.model}`; {DEMO_CAVEAT}")
    low_light = open_low_light(command.spikes, (out or Path()) / "low-light.zarr", command.entry, observer)
    settings = command.model_dump(exclude={"spikes", "entry", "out"})
    table = evaluate(dict(_named(item) for item in checkpoints), low_light, observer=observer, **settings)
    if out is not None:
        write_table(table, out)
        for folder in (out, out.parent):  # the training may be here, or right above
            renew_report(folder)
    _show_table(table, json)


def _show_table(table: ResultTable, json: bool) -> None:
    if json:
        typer.echo(table.to_json(), nl=False)
    else:
        from hqgen.tables import TerminalTable

        console.show(table, TerminalTable, as_json=False)


def _named(item: str) -> tuple[str, Path]:
    """`NAME=FILE`, or a file whose row is called after its training."""
    name, equals, file = item.partition("=")
    if equals:
        return name, Path(file)
    path = Path(item)
    return (path.resolve().parent.name if path.name == "network.pth" else path.stem), path


@app.command(cls=console.settings_command(console.CAMERA))
def reconstruct(
    context: typer.Context,
    checkpoint: Annotated[str, typer.Argument(help=NETWORK + " Or an ONNX file.")],
    recordings: Annotated[list[Path], typer.Argument(help="Recordings; docs/sources.md lists the formats.")],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for the pictures. With --frames: an `.mp4`, a new folder of PNGs, or `.npy`."
        ),
    ],
    frames: Annotated[
        str | None,
        typer.Option(help="One video of the frames START:STOP:STEP of one recording, as in `0:2000:10`."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Pictures per second with --frames. [default: 30]")
    ] = None,
    counter: Annotated[bool, typer.Option("--counter", help="Write frame numbers, with --frames.")] = False,
    stride: Annotated[
        int | None, typer.Option(min=1, help="Frames per step of a video. [default: 200]")
    ] = None,
    no_video: Annotated[bool, typer.Option("--no-video", help="Write only the middle picture.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Write the network's own values, too.")] = False,
    force: console.Force = False,
    device: Device = "auto",
    _offline: console.Offline = False,
    json: console.AsJson = False,
) -> int:
    """Reconstruct recordings of any size: a picture each, and a video of long ones.

    With --frames: one video of one recording, as `hqgen reconstruct` makes it.

    Exit code 3: some recordings could not be used (1: none could); the reasons are on stderr.
    """
    from hqgen.errors import UsageError
    from hqgen.progress import stderr_observer
    from spikeclip.reconstruction import reconstruct

    if frames is not None:
        if len(recordings) > 1 or stride is not None or no_video or raw or json:
            raise UsageError(
                "`--frames` makes one video of one recording",
                hint="leave out the other recordings, `--stride`, `--no-video`, `--raw` and `--json`",
            )
        from hqgen.video.frames import RATE
        from spikeclip.video import reconstruct_video

        reconstruct_video(
            checkpoint,
            recordings[0],
            frames,
            out,
            rate=RATE if rate is None else rate,
            counter=counter,
            camera=context.obj,
            force=force,
            device=device,
            observer=stderr_observer(),
        )
        typer.echo(out)
        return 0
    if rate is not None or counter:
        raise UsageError("`--rate` and `--counter` need `--frames`", hint="give it, as in `0:2000:10`")
    found = reconstruct(
        checkpoint,
        recordings,
        out,
        camera=context.obj,
        force=force,
        stride=stride,
        video=not no_video,
        raw=raw,
        device=device,
        observer=stderr_observer(),
    )
    if json:
        console.print_json(found)
    else:
        for item in found:
            for path in filter(None, (item.picture, item.video, item.raw)):
                typer.echo(path)
    return console.name_rejected((item.recording, item.reason) for item in found)


@app.command()
def export(
    network: Annotated[str, typer.Argument(help=NETWORK)],
    out: Annotated[Path, typer.Option(help="The file: `.safetensors`, `.onnx` or `.pth`.")],
    _offline: console.Offline = False,
) -> None:
    """Write a network in another form: safetensors, ONNX, or a checkpoint of PyTorch.

    The form is the ending of --out. ONNX needs `pip install hqgen[onnx]`.
    """
    from spikeclip.publishing.export import export

    typer.echo(export(network, out))


@app.command()
def publish(
    network: Annotated[str, typer.Argument(help="The folder of a training, or a network.")],
    to: Annotated[Path, typer.Option("--to", help="The folder; new, or published before.")],
    name: Annotated[str | None, typer.Option(help="Name of the model. [default: the folder's]")] = None,
    licence: Annotated[
        str, typer.Option("--license", help="License of the weights, as the hub writes it: `mit`, ...")
    ] = "other",
    onnx: Annotated[bool, typer.Option("--onnx", help="Write `network.onnx`, too.")] = False,
    spikes: Annotated[
        Path | None, typer.Option(help="The low-light set. [default: what is beside the training]")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="`table.json` of an evaluation. [default: beside the training]")
    ] = None,
    row: Annotated[
        str | None, typer.Option(help="The network's row in it. [default: the folder's name]")
    ] = None,
    upload: Annotated[
        str | None, typer.Option(help="Upload the folder to OWNER/NAME of the Hugging Face hub, too.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="A new repository is private.")] = False,
    _offline: console.Offline = False,
    json: console.AsJson = False,
) -> None:
    """Write a network as a folder for the Hugging Face hub: weights, card, settings, curves.

    --upload takes the token of `HF_TOKEN` or of `hf auth login`.
    """
    from hqgen.progress import stderr_observer
    from spikeclip.publishing import hub
    from spikeclip.publishing.facts import read_facts
    from spikeclip.publishing.folder import publish

    if upload is not None:  # before anything is written
        hub.require_repository(upload)
        hub.require_token()
    facts, observer = read_facts(network, low_light=spikes, table=table, row=row), stderr_observer()
    named = name or (upload or str(to.resolve())).rpartition("/")[2]
    files = publish(facts, to, name=named, licence=licence, onnx=onnx)
    if licence == "other":
        observer.note("the card says that no license was chosen: name one with `--license`")
    if facts.run is not None and facts.result is None:
        observer.note("the card has no results: `spikeclip evaluate --out` makes a table, `--table` names it")
    commit = hub.upload(to, files, upload, private=private) if upload else None
    if json:
        console.print_json({"folder": str(to), "files": files, "commit": commit})
    else:
        typer.echo(commit or to)


@app.command()
def profile(
    networks: Annotated[list[str], typer.Argument(help="`lrn`, `unet`, or methods of hqgen.")],
    height: Annotated[int, typer.Option(min=1, help="Rows.")] = 250,
    width: Annotated[int, typer.Option(min=1, help="Columns.")] = 400,
    runs: Annotated[int, typer.Option(min=1, help="Runs that are timed.")] = 100,
    device: Device = "auto",
    json: console.AsJson = False,
) -> None:
    """Say what a picture costs: parameters, multiply-accumulates, latency."""
    from spikeclip.evaluation.cost import profile

    found = [profile(name, height=height, width=width, runs=runs, device=device) for name in networks]
    console.show(found, _profile_view, json)


def _profile_view(found: list[Profile]) -> RichTable:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in ("network", "parameters (M)", "MACs (G)", "latency (ms)", "runs", "size", "device"):
        table.add_column(header, justify="left" if header in {"network", "size", "device"} else "right")
    for item in found:
        cost = (f"{item.parameters / 1e6:.3f}", f"{item.macs / 1e9:.2f}", f"{item.latency_ms:.2f}")
        table.add_row(item.name, *cost, str(item.runs), f"{item.height}x{item.width}", item.device)
    return table


@app.command("run", cls=console.settings_command("spikeclip.recipes.recipe:RunCommand"))
def run_recipe(
    context: typer.Context,
    recipe: Annotated[Path, typer.Argument(help="A recipe, such as those of pipelines/.")],
    _offline: console.Offline = False,
    json: console.AsJson = False,
) -> None:
    """Run a whole recipe: HQ store, low-light set, three stages, evaluation.

    The same command again does only what is missing.
    """
    from hqgen.progress import stderr_observer
    from spikeclip.recipes.recipe import read_recipe
    from spikeclip.recipes.run import run_recipe

    settings: RunCommand = context.obj
    table = run_recipe(read_recipe(recipe), **dict(settings), observer=stderr_observer())
    _show_table(table, json)


app.command()(cli_view.view)


def main() -> NoReturn:
    """Run `spikeclip`."""
    console.run(app)
