"""What all pages share: one file that loads nothing, and names that stay text."""

from __future__ import annotations

import base64
import hashlib
from html.parser import HTMLParser

import pytest
from jinja2 import DictLoader

from hqgen.report.page import environment, linked_page, resource, whole_page
from hqgen.tables import Cell, Column, ResultRow, Table
from tests.report.test_html import Page

HOSTILE = "<img src=x onerror=alert(1)>"

TABLE = Table(
    columns=(
        Column("niqe", "NIQE", HOSTILE, 2, "lower"),
        Column("psnr", "PSNR (dB)", HOSTILE, 1, "higher"),
        Column("params", "Params (M)", "cost", 1, None),
    ),
    rows=(
        ResultRow(HOSTILE, {"niqe": Cell(4.0), "psnr": Cell(30.04, 1.0)}),
        ResultRow("tfi", {"niqe": Cell(3.0), "psnr": Cell(20.0)}),
        ResultRow("tfp", {"niqe": Cell(float("inf"))}),
    ),
    about={"data": HOSTILE},
    notes=("tfp: all black",),
)


class Cells(HTMLParser):
    """Tags, and the text of each cell with its class."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.cells: list[tuple[str, str]] = []
        self.spans: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        found = dict(attrs)
        if tag == "td":
            self.cells.append((found.get("class") or "", ""))
        if tag == "th" and "colspan" in found:
            self.spans.append(found["colspan"] or "")

    def handle_data(self, data: str) -> None:
        if self.cells and data.strip():
            kind, text = self.cells[-1]
            self.cells[-1] = (kind, text + data.strip())


def table_page() -> str:
    made = environment()
    source = '{% from "table.html" import result_table %}{{ result_table(table) }}'
    made.loader = DictLoader({"table.html": resource("table.html"), "test.html": source})
    return made.get_template("test.html").render(table=TABLE)


def test_a_table_marks_the_best_and_the_second_and_names_stay_text() -> None:
    found = Cells(table_page())
    assert "img" not in found.tags
    assert found.spans == ["2", "1"]
    assert found.cells[:4] == [
        ("", HOSTILE),
        ("second", "4.00"),
        ("best", "30.0 ± 1.0"),
        ("", "n/a"),
    ]
    assert [cell for cell in found.cells if cell[0] == "best"] == [("best", "30.0 ± 1.0"), ("best", "3.00")]
    assert "tfp: all black" in table_page()


@pytest.fixture
def bare() -> dict[str, str]:
    return {
        "base.html": resource("base.html"),
        "bare.html": '{% extends "base.html" %}{% block body %}<p>{{ text }}</p>{% endblock %}',
    }


def test_a_whole_page_runs_its_own_script_and_loads_nothing(bare: dict[str, str]) -> None:
    made = environment()
    made.loader = DictLoader(bare)
    text = whole_page(made, "bare.html", title=HOSTILE, style="p {}", script='"a" < "b"', text=HOSTILE)
    found = Page(text)
    assert found.links == []
    assert HOSTILE in found.words
    assert "img" not in found.tags
    digest = base64.b64encode(hashlib.sha256(b'"a" < "b"').digest()).decode()
    assert (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in text
    )
    assert '<script>"a" < "b"</script>' in text


def test_a_linked_page_has_nothing_inside_that_the_policy_of_its_server_forbids(bare: dict[str, str]) -> None:
    made = environment()
    made.loader = DictLoader(bare)
    found = Page(linked_page(made, "bare.html", title=HOSTILE, text=HOSTILE))
    assert set(found.links) == {"/icon.svg", "/style.css", "/page.js"}
    assert not {"style", "img"} & set(found.tags)
