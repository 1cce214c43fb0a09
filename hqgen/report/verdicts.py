"""What people say of samples: tables for the terminal, and one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import RenderableType
from rich.text import Text

from hqgen.curation import Entry, Undo, Verdict
from hqgen.report.terminal import add_row, house_table
from hqgen.text import printable


def verdicts_view(verdicts: Iterable[Entry]) -> RenderableType:
    """Verdicts, or the entries of a journal, a row each."""
    table = house_table("nr", "sample", "verdict", "by", "note", right=(0,))
    for entry in verdicts:
        if isinstance(entry, Undo):
            add_row(table, str(entry.number), "", f"undo {entry.undoes}", entry.author, "", style="dim")
        else:
            number = str(entry.number) if entry.number else "applied"
            add_row(table, number, entry.key, _what(entry), entry.author, entry.note)
    return table if table.row_count else Text("there are no verdicts")


def new_verdicts_view(new: Sequence[Verdict], before: Mapping[str, Verdict]) -> RenderableType:
    """Verdicts that were just said, and what held of the samples before."""
    lines = []
    for item in new:
        replaced = f", instead of {_what(before[item.key])}" if item.key in before else ""
        lines.append(printable(f"{item.number}: {item.key}: {_what(item)}{replaced}"))
    return Text("\n".join(lines))


def undo_view(undo: Undo) -> RenderableType:
    """An undo that was just said."""
    return Text(f"{undo.number}: entry {undo.undoes} no longer holds")


def _what(verdict: Verdict) -> str:
    return f"{verdict.action} {verdict.method}" if verdict.method else verdict.action
