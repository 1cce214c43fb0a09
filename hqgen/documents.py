"""JSON documents: immutable models, their text, and the digest at its end.

A document of millions of samples is never held as text. Where it is written with a *seal*, its last member is
`blake3`, the digest of all bytes before that member: any change of the file is found when it is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from blake3 import blake3
from pydantic import BaseModel, ConfigDict

from hqgen.files import blake3_bytes, make_way, write_atomically

_SEAL = re.compile(rb',?\n "blake3": "([0-9a-f]{64})"\n\}\n\Z')
_SEAL_BYTES = 90


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


def sealed(pieces: Iterable[str]) -> Iterator[str]:
    """The text of a JSON object in pieces, with its seal; it ends with a brace and a new line."""
    hasher, tail = blake3(), ""
    for piece in pieces:
        text, tail = (tail + piece)[:-3], (tail + piece)[-3:]
        hasher.update(text.encode())
        yield text
    rest = tail.removesuffix("}\n").removesuffix("\n")  # `{` of an object without members
    hasher.update(rest.encode())
    yield f'{rest}{"" if rest else ","}\n "blake3": "{hasher.hexdigest()}"\n}}\n'


def unsealed(text: bytes) -> tuple[bytes, bool]:
    """A document without its seal, and whether the seal fits; one of a time without seals fits."""
    found = _SEAL.search(text, max(0, len(text) - _SEAL_BYTES))
    if found is None:
        return text, True
    body = text[: found.start()]
    return body + b"\n}\n", blake3_bytes(body) == found[1].decode()


def read_sealed(path: Path) -> bytes:
    """The text of a document without its seal.

    Raises:
        OSError: it cannot be read.
        ValueError: it was changed after it was written.
    """
    text, fits = unsealed(path.read_bytes())
    if not fits:
        raise ValueError("it was changed after it was written: its digest differs")
    return text


def write_sealed(path: Path, pieces: Iterable[str], *, within: Path) -> None:
    """Write a document with its seal; what is in its way is removed, see `make_way`.

    Raises:
        OSError: it cannot be written; then `path` is as it was.
    """
    make_way(path, within=within)
    write_atomically(path, sealed(pieces))
