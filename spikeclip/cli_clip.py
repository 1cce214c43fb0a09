"""The commands `spikeclip clip`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hqgen import console

if TYPE_CHECKING:
    from spikeclip.clip.settings import ResponsesCommand, SmallClipCommand

app = typer.Typer(help="The CLIP that supervises and judges.", no_args_is_help=True, rich_markup_mode=None)


@app.command("train", cls=console.settings_command("spikeclip.clip.settings:SmallClipCommand"))
def train_clip(context: typer.Context) -> int:
    """Train a small CLIP on labelled pictures: a teacher or a judge for work offline.

    Interrupted, the same command continues from the last checkpoint.
    """
    from hqgen.progress import stderr_observer
    from spikeclip.clip.settings import SmallClipSettings
    from spikeclip.clip.small import train_clip

    command: SmallClipCommand = context.obj
    with console.stopping() as stop:
        train_clip(
            [Path(path) for path in command.pictures],
            command.out,
            command.part(SmallClipSettings),
            test=[Path(path) for path in command.test or ()],
            observer=stderr_observer(),
            stop=lambda: stop.asked,
        )
    return 130 if stop.asked else 0


@app.command("responses", cls=console.settings_command("spikeclip.clip.settings:ResponsesCommand"))
def clip_responses(context: typer.Context) -> None:
    """Measure how a CLIP answers to gain, noise, blur, contrast and borders, each alone."""
    from dataclasses import asdict

    import torch

    from hqgen.files import write_atomically
    from hqgen.plot import curves
    from hqgen.training.loop import write_curve
    from spikeclip.clip.frozen import load_clip
    from spikeclip.clip.pictures import read_labelled
    from spikeclip.clip.responses import panels, responses

    command: ResponsesCommand = context.obj
    clip = load_clip(command.clip.model, command.clip.weights)
    pictures = read_labelled(command.pictures, command.size)
    found = responses(
        clip, pictures.part(torch.arange(0, len(pictures.labels), command.every)), size=command.size
    )
    write_curve(command.out, [asdict(row) for row in found])
    write_atomically(command.out.with_suffix(".svg"), curves(panels(found), "strength"))
