"""What the command lines of this project share: flags made of settings, errors, exit codes, output.

=====  ==========================================================
exit   meaning
=====  ==========================================================
0      done
1      something that the user can fix; a check that found damage
2      usage or configuration
3      done without some recordings, samples or files (1 where all of them are unusable)
4      an internal error; the traceback is in a log file
130    interrupted
=====  ==========================================================

stdout carries data only; everything else goes to stderr.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, is_dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NoReturn, TextIO

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

import hqgen
from hqgen.completion import completer
from hqgen.errors import HqgenError
from hqgen.interrupt import Stop, stoppable
from hqgen.text import plainer, printable

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from starlette.applications import Starlette

    from hqgen.builder.finish import Outcome
    from hqgen.config import Flag

QUARANTINED = 3


def _forbid_downloads(offline: bool) -> bool:
    """Let this process and those that it starts download nothing, whatever library does it."""
    if offline:
        os.environ["HQGEN_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"
    return offline


Offline = Annotated[
    bool,
    typer.Option("--offline", envvar="HQGEN_OFFLINE", callback=_forbid_downloads, help="Download nothing."),
]
Force = Annotated[bool, typer.Option("--force", help="Read files as described, however they look.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]
Port = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Port; 0 for a free one. [default: 8642, or a free one]"),
]
Browser = Annotated[bool, typer.Option(help="Open the browser.")]


def serve(app: Starlette, *, port: int | None, browser: bool) -> None:
    """Serve an application on this machine until Ctrl-C, and print its address.

    Raises:
        UsageError: the port is taken.
    """
    from hqgen.view import server

    def ready(address: str) -> None:
        typer.echo(address)
        typer.echo("Ctrl-C ends it", err=True)

    server.serve(app, port=port, browser=browser, ready=ready)


def new_program(name: str, description: str) -> typer.Typer:
    """A command line without commands."""
    program = typer.Typer(
        name=name,
        help=description,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    program.callback()(_program)
    return program


def _show_version(context: typer.Context, wanted: bool) -> None:
    if wanted:
        typer.echo(f"{context.info_name} {hqgen.__version__}")
        raise typer.Exit


def _program(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None: ...


class ListingGroup(TyperGroup):
    """A group of commands of which `list` runs where none is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `list` before arguments that begin with something else than a command."""
        named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named else ["list", *args])


class _SettingsCommand(TyperCommand):
    """A command whose flags are the marked settings of a model, which it finds in `context.obj`.

    The model is imported only where its flags are needed, so that the help of the whole program is quick.
    """

    home: ClassVar[str]
    table: ClassVar[str]

    @cached_property
    def model(self) -> Any:
        module, _, name = self.home.partition(":")
        return getattr(import_module(module), name)

    def get_params(self, ctx: Any) -> list[Any]:
        from hqgen.config import flags

        program = ctx.find_root().info_name.upper()
        marked = sorted(flags(self.model), key=lambda flag: not flag[2].is_required())
        found = [_parameter(name, item, mark, program) for name, _, item, mark in marked]
        if self.table:
            text = f"TOML file with a table `[{self.table}]`; weaker than the environment and flags."
            file = typer.Option("--config", envvar=f"{program}_CONFIG", help=text)
            shown = typer.Option(
                "--print-config", help="Show the settings as a configuration file, and stop."
            )
            found += [_option("config", Path | None, file), _option("print_config", bool, shown, False)]

        def bare(**_: Any) -> None: ...

        bare.__annotations__ = {item.name: item.annotation for item in found}
        bare.__signature__ = inspect.Signature(found)  # type: ignore[attr-defined]
        carrier = typer.Typer(add_completion=False)
        carrier.command()(bare)
        return [*typer.main.get_command(carrier).params, *super().get_params(ctx)]

    def invoke(self, ctx: Any) -> Any:
        from hqgen.config import as_toml, flags, merged, read_table, validated

        file = ctx.params.pop("config", None)
        print_config = ctx.params.pop("print_config", False)
        values = merged({}, read_table(Path(file), self.table)) if file else {}
        given: dict[str, Any] = {}
        for name, place, _, _ in flags(self.model):
            value = ctx.params.pop(name)
            if place != (name,) and not isinstance(values.get(name, {}), dict):
                values = merged(_nested(place, values.pop(name)), values)
            if ctx.get_parameter_source(name).name in {"COMMANDLINE", "ENVIRONMENT"}:
                given = merged(given, _nested(place, value))
        where = f"the settings of `{ctx.command_path}`" + (f" and `{file}`" if file else "")
        hint = f"see `{ctx.command_path} --help`"
        ctx.obj = validated(self.model, merged(values, given), where, hint)
        if print_config:
            typer.echo(as_toml(self.table, ctx.obj), nl=False)
            return 0
        return super().invoke(ctx)


def _nested(place: Sequence[str], value: Any) -> dict[str, Any]:
    for name in reversed(place):
        value = {name: value}
    return dict(value)


def _parameter(name: str, item: FieldInfo, mark: Flag, program: str) -> inspect.Parameter:
    """A setting as a parameter that typer makes a flag of."""
    kind, default = item.annotation, None if item.is_required() else item.default
    if not isinstance(default, str | int | float | None):
        default = ",".join(default) if isinstance(default, tuple) else str(default)
    variable = f"{program}_{name.upper()}" if mark.variable is True else mark.variable or None
    kind = str | None if "tuple" in str(kind) else kind
    least = next((rule.ge for rule in item.metadata if hasattr(rule, "ge")), None)
    text = " ".join((item.description or "").split()) + ("  [required]" if item.is_required() else "")
    dashed = name.replace("_", "-")
    flag = f"--{dashed}/--no-{dashed}" if kind is bool else f"--{dashed}"
    complete = completer(name)
    option = typer.Option(flag, envvar=variable, help=text, min=least, autocompletion=complete)
    return _option(name, kind, option, default)


def _option(name: str, kind: Any, info: Any, default: Any = None) -> inspect.Parameter:
    annotation = Annotated[kind, info]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


CAMERA = "hqgen.spikes.camera:Camera"
"""The model whose fields are the flags that describe a camera: see `settings_command`."""


def settings_command(home: str, table: str = "") -> type[TyperCommand]:
    """The class of a command that takes its flags from the model `home` (`module:Class`).

    With `table`, the command reads a table of that name in the file of `--config`, and shows it with
    `--print-config`.
    """
    return type("SettingsCommand", (_SettingsCommand,), {"home": home, "table": table})


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at the time, which a progress bar replaces while it is drawn."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setLevel(logging.WARNING)
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def run(app: typer.Typer, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and leave the process with the exit code that fits what happened."""
    logger = logging.getLogger("hqgen")
    logger.setLevel(logging.INFO)
    logger.addHandler(_Stderr())
    sys.exit(_exit_code(lambda: app(arguments, prog_name=app.info.name, standalone_mode=False)))


def _exit_code(command: Callable[[], Any]) -> int:
    try:
        result = command()
        sys.stdout.flush()
    except HqgenError as error:
        return _complain(error.message, error.hint, error.exit_code)
    except TyperException as error:
        return _complain(*_usage(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("interrupted", "", 130)
    except BrokenPipeError:  # the reader of our output has gone, as in `hqgen methods | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the one place where a bug of ours ends
        with tempfile.NamedTemporaryFile("w", prefix="hqgen-", suffix=".log", delete=False) as log:
            log.write(traceback.format_exc())
        return _complain(f"internal error: {error!r}", f"please report it with the log `{log.name}`", 4)
    return result if isinstance(result, int) else 0


def _usage(error: TyperException) -> tuple[str, str]:
    """Message and hint of what typer says of a command line; of its errors only the root is public."""
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    return plainer(message.rstrip(".")), f"see `{context.command_path} --help`" if context is not None else ""


def _complain(message: str, hint: str, code: int) -> int:
    text = f"error: {message}\n" + (f"\nhint: {hint}\n" if hint else "")
    sys.stderr.write(printable(text))
    return code


def print_json(value: Any) -> None:
    """Write JSON for a script to stdout; dataclasses and models become objects, other things text."""
    json.dump(value, sys.stdout, indent=1, ensure_ascii=False, default=_plain)
    sys.stdout.write("\n")


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else str(value)


def show(value: Any, view: Callable[[Any], Any], as_json: bool) -> None:
    """Write a result to stdout: as JSON for a script, or a view of it for a person."""
    if as_json:
        print_json(value)
    else:
        from rich.console import Console

        Console().print(view(value))


def show_outcome(outcome: Outcome, as_json: bool) -> int:
    """Write to stdout what came of a command that makes a store; returns the exit code."""
    from hqgen.report.build_view import outcome_json, outcome_view

    show(outcome_json(outcome) if as_json else outcome, outcome_view, as_json)
    return QUARANTINED if outcome.manifest.quarantined else 0


def name_rejected(reasons: Iterable[tuple[str | Path, str | None]], used: int = 0) -> int:
    """Say on stderr which files could not be used, and why; returns the exit code.

    Args:
        reasons: of each file, None if it could be used.
        used: files that could be used, and are not among those.
    """
    found = list(reasons)
    rejected = [f"{path}: {reason}" for path, reason in found if reason]
    for line in rejected:
        typer.echo(line, err=True)
    if not rejected:
        return 0
    return QUARANTINED if used or len(rejected) < len(found) else 1


def stopping() -> AbstractContextManager[Stop]:
    """Ctrl-C lets a training finish its step; a second one stops it at once."""
    return stoppable("stopping: this step is finished and kept; interrupt again to stop at once")
