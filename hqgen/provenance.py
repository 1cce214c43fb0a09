"""Whether a thing is what it was before.

All that decides a result is a *document*: a mapping that JSON can hold. Two results are the same where their
documents are equal. A document has an id. The differences of two documents can be listed. A thing is made
once for a document, and refused where it was made for another one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from hqgen.errors import HqgenError, PlanMismatchError
from hqgen.files import write_atomically

Document = Mapping[str, Any]

NAMED = 5
"""Names that a line of differences lists; the rest is counted."""


class Specified(Protocol):
    """A part of a plan that has a version: a scorer, a rule."""

    @property
    def name(self) -> str:
        """What users type."""

    @property
    def version(self) -> int:
        """Goes up by one when it would give another result than before."""

    def parameters(self) -> dict[str, Any]:
        """Everything else that decides its results, as plain JSON values."""


def specification(part: Specified) -> dict[str, Any]:
    """A part as a plan fixes it."""
    return {"name": part.name, "version": part.version, "parameters": part.parameters()}


def short_digest(pieces: Iterable[str]) -> str:
    """16 hexadecimal digits of the SHA-256 of a text that comes in pieces."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece.encode())
    return digest.hexdigest()[:16]


def document_id(document: Document) -> str:
    """The id of a document: 16 hexadecimal digits that do not depend on the order of its keys."""
    return short_digest([json.dumps(document, sort_keys=True)])


def differences(old: Document, new: Document, within: str = "") -> list[str]:
    """What two documents differ in, a line each, for a person.

    Mappings inside are compared key by key. Keys of one side alone are named, those that hold single values
    with the value. Where many mappings differ, they are named without details.

    Args:
        old: what there was.
        new: what there is now.
        within: what each line begins with.
    """
    lines: list[str] = []
    gone, added, changed = [], [], {}
    for key in dict.fromkeys((*old, *new)):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            changed[key] = differences(before, after, f"{within}{key} ")
        elif isinstance(before, Mapping) and after is None:
            gone.append(key)
        elif isinstance(after, Mapping) and before is None:
            added.append(key)
        else:
            lines.append(f"{within}{key.replace('_', ' ')}: {_shown(before)} -> {_shown(after)}")
    lines += _named(f"{within}gone", gone) + _named(f"{within}added", added)
    if len(changed) > NAMED:
        return lines + _named(f"{within}changed", list(changed))
    return lines + [line for details in changed.values() for line in details]


def require_same(
    what: str, old: Document, new: Document, *, hint: str, error: type[HqgenError] = PlanMismatchError
) -> None:
    """Refuse to continue with a thing that was made for another document.

    Args:
        what: says what the thing is, such as "`out` holds a build of another plan".
        old: the document that it was made for.
        new: the document that it is wanted for.
        hint: what the user can do.
        error: the kind of error.

    Raises:
        HqgenError: the two differ; the message says in what.
    """
    if lines := differences(_plain(old), _plain(new)):
        raise error(
            "\n".join([f"{what}; what differs (there -> now):", *(f"  {line}" for line in lines)]), hint=hint
        )


def make_once(record: Path, document: Document, make: Callable[[], None]) -> None:
    """Make a thing, unless its record says that it was made for an equal document.

    Args:
        record: the file that holds the document of what is there; written once `make` has returned.
        document: all that decides the thing.
        make: makes it, and replaces what may be there.
    """
    wanted = json.dumps(document, indent=1, default=str) + "\n"
    if record.is_file() and record.read_text("utf-8") == wanted:
        return
    record.unlink(missing_ok=True)
    make()
    write_atomically(record, wanted)


def _plain(document: Document) -> dict[str, Any]:
    """The document as JSON gives it back, in which a tuple is a list."""
    plain: dict[str, Any] = json.loads(json.dumps(document, default=str))
    return plain


def _named(what: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return [f"{what}: {', '.join(names[:NAMED])}{more}"]


def _shown(value: Any) -> str:
    return "none" if value is None else json.dumps(value).strip('"')
