"""The code blocks of a page: tests/test_docs.py runs each, unless it says why not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

NOT_RUN = re.compile(r"<!-- not executed by the tests: ([^\n]+?) -->\n")
FENCE = re.compile(rf"(?:{NOT_RUN.pattern})?```(?P<kind>[^\n]*)\n(?P<code>.*?)```", re.S)
RUN = {"bash", "python", "toml"}
TEXT = "text"


class Block(NamedTuple):
    """A code block.

    Attributes:
        kind: the language behind the fence.
        code: what is inside.
        excuse: why it is not run; None if it is.
    """

    kind: str
    code: str
    excuse: str | None


def blocks(page: str) -> list[Block]:
    """All code blocks of a page, in order."""
    return [Block(found["kind"], found["code"], found[1]) for found in FENCE.finditer(page)]


def faults(found: Iterable[Block]) -> Iterator[str]:
    """What is wrong with blocks that are neither run nor text."""
    for block in found:
        if block.kind not in RUN | {TEXT}:
            yield f"an example of the kind `{block.kind}` is not run by any test: {block.code[:60]!r}"
