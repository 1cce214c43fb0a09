"""The commands `hqgen curate`: what people say of the samples of a finished store."""

from __future__ import annotations

from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hqgen import console
from hqgen.completion import completer

if TYPE_CHECKING:
    from hqgen.manifest import Action

app = typer.Typer(
    help="Overrule picks, reject and mark samples; make a store of it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def login() -> str:
    """The name of who runs this; empty where there is none."""
    try:
        return getuser()
    except (OSError, KeyError):  # a container may run as a user that has no name
        return ""


Build = Annotated[Path, typer.Argument(help="A build: its folder, or its `manifest.json`.")]
Keys = Annotated[list[str], typer.Argument(help="Keys of samples.")]
Note = Annotated[str, typer.Option(help="Why.")]
Author = Annotated[str, typer.Option(envvar="HQGEN_AUTHOR", help="Who says it. [default: your login name]")]


def _say(
    manifest: Path,
    action: Action,
    keys: list[str],
    note: str,
    author: str,
    json: bool,
    method: str | None = None,
) -> None:
    from hqgen.curation import Journal
    from hqgen.report.verdicts import new_verdicts_view

    journal = Journal(manifest)
    before = journal.state()
    new = journal.add(action, keys, method=method, note=note, author=author or login())
    console.show(new, lambda entries: new_verdicts_view(entries, before), json)


@app.command("list")
def list_verdicts(
    manifest: Build,
    history: Annotated[bool, typer.Option("--history", help="All entries, what is undone, too.")] = False,
    json: console.AsJson = False,
) -> None:
    """List the verdicts that hold."""
    from hqgen.curation import Journal
    from hqgen.report.verdicts import verdicts_view

    journal = Journal(manifest)
    console.show(journal.since() if history else list(journal.state().values()), verdicts_view, json)


@app.command()
def pick(
    manifest: Build,
    keys: Keys,
    method: Annotated[
        str,
        typer.Option(help="Whose candidate is to be the picture.", autocompletion=completer("methods")),
    ],
    note: Note = "",
    author: Author = "",
    json: console.AsJson = False,
) -> None:
    """Overrule picks: the candidate of a method is to be the picture."""
    _say(manifest, "pick", keys, note, author, json, method)


@app.command()
def reject(
    manifest: Build, keys: Keys, note: Note = "", author: Author = "", json: console.AsJson = False
) -> None:
    """Reject samples: they are to have no picture."""
    _say(manifest, "reject", keys, note, author, json)


@app.command()
def mark(
    manifest: Build, keys: Keys, note: Note = "", author: Author = "", json: console.AsJson = False
) -> None:
    """Mark samples, to look at them again; this decides nothing."""
    _say(manifest, "mark", keys, note, author, json)


@app.command()
def clear(
    manifest: Build, keys: Keys, note: Note = "", author: Author = "", json: console.AsJson = False
) -> None:
    """Take back what holds of samples, whoever said it."""
    _say(manifest, "clear", keys, note, author, json)


@app.command()
def undo(
    manifest: Build,
    number: Annotated[int | None, typer.Argument(help="Number of an entry. [default: the last]")] = None,
    author: Author = "",
    json: console.AsJson = False,
) -> None:
    """Undo an entry: what held before it holds again. The number of an undo makes its entry hold again."""
    from hqgen.curation import Journal
    from hqgen.report.verdicts import undo_view

    console.show(Journal(manifest).undo(number, author=author or login()), undo_view, json)


@app.command(cls=console.settings_command("hqgen.builder.settings:CurateSettings"))
def apply(context: typer.Context, manifest: Build, json: console.AsJson = False) -> int:
    """Make the store that the verdicts ask for.

    No recordings are needed. Exit code 3: done, but some recordings or samples have no picture, as rejected
    ones.
    """
    from hqgen.builder.curate import apply_verdicts
    from hqgen.manifest import find_manifest
    from hqgen.progress import stderr_observer

    outcome = apply_verdicts(find_manifest(manifest), context.obj, stderr_observer())
    return console.show_outcome(outcome, json)
