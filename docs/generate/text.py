"""Plain text as Markdown."""

from __future__ import annotations

import re

CODE = re.compile(r"(`[^`]*`)")
MARKUP = re.compile(r"([\\*_<\[\]#|])")


def escaped(text: str) -> str:
    """Text in which only backticks mean something, as Markdown: of the rest nothing is taken for markup."""
    parts = CODE.split(text)
    parts[::2] = [MARKUP.sub(r"\\\1", part) for part in parts[::2]]
    return "".join(parts)
