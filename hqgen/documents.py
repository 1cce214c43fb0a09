"""JSON documents: immutable models, and their text.

A document of millions of samples is never held as text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Document(BaseModel):
    """A part of a document: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    unwritten: ClassVar[frozenset[str]] = frozenset()
    """Fields that are not written where they are None: a document without them keeps its id."""


def dump(document: Document) -> Iterator[str]:
    """A document as JSON text in pieces: its outer levels over many lines, deeper levels on one.

    A document of millions of samples is never held as text.
    """
    yield from _pieces(document, indent="", depth=4)
    yield "\n"


def _pieces(value: Any, indent: str, depth: int) -> Iterator[str]:
    members = _members(value)
    if depth == 0 or not members:
        yield json.dumps(value, ensure_ascii=False, default=lambda inner: dict(_members(inner)))
        return
    opening, closing = "[]" if isinstance(value, list | tuple) else "{}"
    inner = indent + " "
    yield opening
    for index, (key, item) in enumerate(members):
        yield f"{',' if index else ''}\n{inner}"
        if key is not None:
            yield f"{json.dumps(key, ensure_ascii=False)}: "
        yield from _pieces(item, inner, depth - 1)
    yield f"\n{indent}{closing}"


def _members(value: Any) -> list[tuple[str | None, Any]]:
    """Keys and values of a document or a dict, items of a list without keys; nothing for anything else."""
    if isinstance(value, Document):
        fields = [(name, getattr(value, name)) for name in type(value).model_fields]
        return [(name, item) for name, item in fields if item is not None or name not in value.unwritten]
    if isinstance(value, dict):
        return list(value.items())
    return [(None, item) for item in value] if isinstance(value, list | tuple) else []
