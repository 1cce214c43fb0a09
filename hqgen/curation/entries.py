"""Entries of a journal, and which of them hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from hqgen.documents import Document
from hqgen.manifest import Verdict


class Undo(Document):
    """An entry that takes back another one.

    Attributes:
        number: of the entry, from 1.
        time: UTC, in the form of ISO 8601.
        author: who undoes it; may be empty.
        action: always `undo`.
        undoes: number of the entry that no longer holds; that of an undo makes its entry hold again.
    """

    number: int = Field(ge=1)
    time: str
    author: str = Field(default="", max_length=200)
    action: Literal["undo"] = "undo"
    undoes: int = Field(ge=1)


Entry = Verdict | Undo

ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="action")])
"""Reads an entry from JSON."""


def holding(entries: Sequence[Entry]) -> dict[int, Entry]:
    """The entries that are not undone, by number. An undo only names an entry before it."""
    found: dict[int, Entry] = {}
    undone = set()
    for entry in reversed(entries):
        if entry.number in undone:
            continue
        found[entry.number] = entry
        if isinstance(entry, Undo):
            undone.add(entry.undoes)
    return dict(sorted(found.items()))
