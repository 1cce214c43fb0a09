"""What the parts of the check get and give; it imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        name: what was measured.
        cells: numbers and words by the name of their column.
        fault: what is wrong with it; empty if nothing is.
    """

    name: str
    cells: dict[str, float | str] = field(default_factory=dict)
    fault: str = ""


class Request(NamedTuple):
    """What is asked of every part.

    Attributes:
        device: `cuda` or `cpu`.
        small: the reduced form: one network, small pictures, a tiny CLIP, nothing compiled.
    """

    device: str
    small: bool
