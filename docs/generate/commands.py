"""The commands and their flags, as `--help` shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import typer

from docs.generate.text import escaped


def commands(program: str) -> str:
    """Every command of a program in Markdown, each under a heading of its own."""
    root = typer.main.get_command(import_module(f"{program}.cli").app)
    return "\n\n".join(_described(root, typer.Context(root, info_name=program)))


def _described(command: Any, context: Any) -> Iterator[str]:
    subcommands = getattr(command, "commands", {})
    if not subcommands:
        yield _command(command, context)
    for name, subcommand in subcommands.items():
        yield from _described(subcommand, typer.Context(subcommand, info_name=name, parent=context))


def _command(command: Any, context: Any) -> str:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    shown = [item for item in command.get_params(context) if not item.hidden and item.name != "help"]
    flags = [_flag(*record) for item in shown if (record := item.get_help_record(context))]
    heading = f"### `{context.command_path}`"
    return "\n\n".join([heading, f"```text\n{usage}\n```", escaped(command.help or ""), *flags])


def _flag(flag: str, text: str) -> str:
    """A flag as a term with its definition: what it does, then its default and its variable."""
    text, *rest = re.split(r"\s+(?=\[(?:default|env var|required|x)\b)", text)
    return f"`{flag}`\n: " + " ".join([escaped(text), *(f"*{escaped(part)}*" for part in rest)])
