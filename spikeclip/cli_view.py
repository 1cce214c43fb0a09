"""The command `spikeclip view`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hqgen import console


def view(
    run: Annotated[Path, typer.Argument(help="The folder of a training or of a recipe; it need not exist.")],
    port: console.Port = None,
    browser: console.Browser = True,
) -> None:
    """Look at a training in the browser: live while it runs, and when it is complete.

    Only this machine can reach it. Ctrl-C ends it, and not the training.
    """
    from spikeclip.view.app import application

    console.serve(application(run), port=port, browser=browser)
