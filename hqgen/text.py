"""Numbers and long texts as people read them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PLAINER = (
    (r"Invalid value for '(--[\w-]+)': (?:Value error, '.*?' )?", r"`\1` "),
    (r"Invalid value for '(--[\w-]+)' \(env var: '(\w+)'\): (?:Value error, '.*?' )?", r"`\1` or `\2` "),
    (r"Input should be greater than or equal to ", "must be at least "),
    (r"Input should be less than or equal to ", "must be at most "),
    (r"Input should be greater than ", "must be more than "),
    (r"Input should be less than ", "must be less than "),
    (r"Input should be a valid integer.*", "must be a whole number"),
    (r"Input should be a valid number.*", "must be a number"),
    (r"Input should be a valid boolean.*", "must be true or false"),
    (r"Input should be a valid dictionary.*", "must be a table"),
    (r"Input should be ", "must be "),
    (r"(?:Value|Tuple|List) should have at least 1 item.*", "must not be empty"),
    (r"String should match pattern ", "must match "),
    (r"is not one of ", "must be one of "),
    (r"Value error, ", ""),
)
"""Phrases of pydantic and typer about a wrong value, and what we say."""


def plainer(message: str) -> str:
    """What pydantic or typer says of a wrong value, in our words: "`--samples` must be at least 1"."""
    for phrase, ours in _PLAINER:
        message = re.sub(phrase, ours, message)
    return message


def count(number: int, noun: str) -> str:
    """`1 sample`, `2,000 samples`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def byte_size(size: float) -> str:
    """`512 B`, `3.2 MB`: powers of 1000, as disks are sold."""
    if size < 1000:
        return f"{size:.0f} B"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"


def duration(seconds: float) -> str:
    """`0.4 s`, `48 s`, `1 min 27 s`, `3 h 5 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def why(error: BaseException) -> str:
    """What went wrong, in words: of an error of the operating system without its number and path."""
    return getattr(error, "strerror", None) or str(error)


def shortened(text: str, width: int) -> str:
    """At most `width` characters: of a longer text the start and the end, which tells paths apart."""
    if len(text) <= width:
        return text
    head = (width - 1) // 3
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


def first(lines: Sequence[str], most: int) -> list[str]:
    """At most `most` lines, and one more that counts the rest."""
    return [*lines[:most], *([f"and {len(lines) - most:,} more"] if len(lines) > most else [])]


def printable(text: str) -> str:
    """The text with control characters as escapes, so that a name of a file cannot steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
