"""The command `spikeclip`."""

from __future__ import annotations

from typing import Annotated, NoReturn

import typer

import hqgen
from hqgen.console import run

__all__ = ["app", "main"]

app = typer.Typer(
    name="spikeclip",
    help="Train and run the SpikeCLIP low-light reconstruction network. Its commands are not there yet.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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


def main() -> NoReturn:
    """Run `spikeclip`."""
    run(app)
