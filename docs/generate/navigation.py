"""The navigation of the site: a page that lists others, `| [Title](page.md) | ...`, leads to them."""

from __future__ import annotations

import re
from typing import NamedTuple

LISTING = "<!-- navigation -->\n"
"""The mark of a page that lists others."""
HEADING = re.compile(r"^## (.+)$")
ENTRY = re.compile(r"^(?:\| |- )\[([^\]]+)\]\(([\w-]+)\.md\)")


class Entry(NamedTuple):
    """A page in the navigation."""

    title: str
    page: str


def listed(text: str) -> dict[str, list[Entry]]:
    """The pages that a page lists, by the heading above them (empty at the top)."""
    found: dict[str, list[Entry]] = {}
    heading = ""
    for line in text.splitlines():
        if title := HEADING.match(line):
            heading = title[1]
        elif (entry := ENTRY.match(line)) and LISTING in text:
            found.setdefault(heading, []).append(Entry(entry[1], entry[2]))
    return found


def with_navigation(text: str) -> str:
    """The text of a page, with the trees that Sphinx makes the navigation of, below its title."""
    trees = ""
    for heading, entries in listed(text).items():
        caption = f":caption: {heading}\n" if heading else ""
        lines = "\n".join(f"{entry.title.replace('`', '')} <{entry.page}>" for entry in entries)
        trees += f"\n:::{{toctree}}\n:hidden:\n{caption}\n{lines}\n:::\n"
    return text.replace(LISTING, trees, 1)
