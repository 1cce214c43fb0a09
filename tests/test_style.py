"""The worst patterns of docs/style.md stay out of strings, docstrings, comments, names and pages."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [file for package in ("hqgen", "spikeclip") for file in sorted((ROOT / package).rglob("*.py"))]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
STYLE = ROOT / "docs" / "style.md"
LIMIT = 35
"""Words of a sentence."""

PATTERNS = {
    r"(?<!there )(is|are|was|were|be|as) no (?!(longer|more|less|fewer|faster|better|worse|brighter)\b)": (
        "write `is not a`"
    ),
    r"(?<!there )(is|are|was|were|be) (?-i:none)": "say what it is not: `is not one of the 3 labels`",
    r"(do|does|did) no": "write `does not`",
    r"told|tells? (of|apart|how)": "write `is given`, `classified`, `distinguish`, `shows`",
    r"(goes|go|went) on": "write `continues`, or `progress`",
    r"(lie|lies|lay)": "write `is`, `are`",
    r"what (there is )?of": "say what: `which sources are there`",
    r"(nothing|none|everything|anything|all \w+) but": "write `only`, or `except`",
    r"(not|nothing|never|(?-i:none)) [^.;:,]{0,30}(without|unless|nothing|(?-i:none))": "say what is",
    r"(anew|likewise|hence|whence|thereof|therein|whereof|whereby|lest|albeit|amid|upon|hitherto|ere)": (
        "a rare word: write `again`, `the same`, `so`, `on`"
    ),
    r"(in place of|by way of|for want of|at hand|in return|for ever|all the same|case aside)": (
        "a rare phrase: write `instead of`, `through`, `because there is no`, `available`"
    ),
    r"(mend|mends|mending)": "write `fix`",
    r"(spikes|bits|bytes|frames|pixels|pictures|once|one|each) an? "
    r"(frame|pixel|second|bin|core|sample|shard|method|class|seed|run|process|stage|row|scene|interval)": (
        "write `per`"
    ),
    r"stands? (at|there|beside|again)": "write `is`",
}
"""What is not written, as regular expressions of whole words, and what to write."""

OPENINGS = {
    r"Of ": "the subject comes first: `The learning rate of Adam`, not `Of Adam`",
    r"([A-Z]\w+ed|Given|Shown|Taken|Written) (is|are|was|were) ": "the subject comes first",
}
"""What no sentence begins with."""

NAMES = {"here", "told", "own"}
"""Names of variables that say nothing."""


def texts(file: Path) -> Iterator[str]:
    """The text of a page, or the strings and comments of a source file; an inserted value is an X."""
    if file.suffix == ".md":
        yield re.sub(r"```.*?```|^\|.*?$|^!\[.*?$|<!--.*?-->", "\n\n", file.read_text(), flags=re.S | re.M)
        return
    inside: set[ast.AST] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.JoinedStr):
            inside |= set(ast.walk(node))
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in inside:
            yield node.value
    with file.open("rb") as lines:
        for token in tokenize.tokenize(lines.readline):
            if token.type == tokenize.COMMENT:
                yield token.string.lstrip("# ")


def sentences(text: str) -> Iterator[str]:
    """Split at ends of sentences, empty lines, items of lists and parameters, and rows of tables."""
    for part in re.split(r"\n\s*\n|\n\s*(?=[-*│├└|] |\w[\w.]*: )|\n(?=.*\S {3,}\S)", text):
        for sentence in re.split(r"(?<=[.!?;:])\s+", part):
            yield " ".join(sentence.split())


def faults(text: str) -> Iterator[str]:
    for sentence in sentences(text):
        for table, form in ((PATTERNS, r"\b(?:{})\b"), (OPENINGS, r"^(?:{})")):
            for pattern, advice in table.items():
                flags = re.I if table is PATTERNS else re.NOFLAG
                if found := re.search(form.format(pattern), sentence, flags):
                    yield f"`{found[0]}` in `{sentence}`: {advice}"
        if len(re.findall(r"[A-Za-z]{2,}", sentence)) > LIMIT:
            yield f"more than {LIMIT} words: `{sentence}`"


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", [file for file in SOURCES + PAGES if file != STYLE], ids=name)
def test_a_file_is_written_in_plain_english(file: Path) -> None:
    found = [fault for text in texts(file) for fault in faults(text)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("file", SOURCES, ids=name)
def test_a_variable_says_what_it_holds(file: Path) -> None:
    nodes = ast.walk(ast.parse(file.read_text()))
    assert not {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)} & NAMES


@pytest.mark.parametrize(
    "bad",
    [
        "`x` is no folder",
        "0 samples are none to evaluate",
        "Of all that is random.",
        "pictures that are told right",
        "the observer shows how it goes on",
        "holds nothing but the path",
        "remove it to start anew",
        "spikes a frame",
        "Accepted are two forms.",
        "word " * 36,
    ],
)
def test_the_patterns_find_what_they_are_for(bad: str) -> None:
    assert list(faults(bad))


@pytest.mark.parametrize("good", ["there is no folder `x`", "it is no longer there", "There are none."])
def test_the_patterns_leave_plain_english_alone(good: str) -> None:
    assert not list(faults(good))


def test_the_page_is_short() -> None:
    assert len(STYLE.read_text().splitlines()) <= 40
