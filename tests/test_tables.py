"""Tables as Markdown, as LaTeX and on a terminal."""

from __future__ import annotations

import math
import re
from io import StringIO

import pytest
from rich.console import Console

from hqgen.tables import Cell, Column, ResultRow, Table, TerminalTable, comma_separated, latex, markdown

NIQE = Column("niqe_raw", "NIQE", "raw", 3, "lower")
RIGHT = Column("right", "ACC (%)", "raw", 2, "higher")
BRIGHT = Column("niqe_bright", "NIQE", "bright", 3, "lower")
SIZE = Column("params", "Params (M)", "cost", 3, None)
COLUMNS = (NIQE, RIGHT, BRIGHT, SIZE)


def table() -> Table:
    rows = (
        ResultRow("lrn", {"niqe_raw": Cell(4.657), "right": Cell(64.0), "params": Cell(0.185889)}),
        ResultRow("tfp:window=200", {"niqe_raw": Cell(13.276), "right": Cell(1.6), "params": Cell(0)}),
        ResultRow("broken_net", {"niqe_raw": Cell(math.inf), "right": Cell(0.0)}),
    )
    return Table(COLUMNS, rows, {"split": "test", "samples": 20}, ("LRN: a\nnote",))


def on_a_terminal(what: Table, width: int = 200) -> str:
    console = Console(width=width, record=True, file=StringIO())
    console.print(TerminalTable(what))
    return console.export_text(styles=True)


def test_csv_has_all_digits_and_a_spread_where_there_is_one() -> None:
    rows = (ResultRow("a, b", {"niqe_raw": Cell(1 / 3, 0.25)}), ResultRow("c", {"right": Cell(math.inf)}))
    text = comma_separated(Table((NIQE, RIGHT), rows))
    assert text.splitlines() == [
        "method,niqe_raw,niqe_raw_spread,right",
        f'"a, b",{1 / 3},0.25,',
        "c,,,inf",
    ]


def test_markdown_marks_best_and_second_and_shows_what_is_missing() -> None:
    lines = markdown(table()).splitlines()
    assert lines[0] == "| method | NIQE ↓ raw | ACC (%) ↑ | NIQE ↓ bright | Params (M) |"
    assert lines[2] == "| lrn | **4.657** | **64.00** | n/a | 0.186 |"
    assert lines[3] == "| tfp:window=200 | *13.276* | *1.60* | n/a | 0 |"
    assert lines[4] == "| broken_net | inf | 0.00 | n/a | n/a |"
    assert lines[-3:] == ["- split: test", "- samples: 20", "- LRN: a note"]


def test_latex_is_one_tabular_with_every_row_of_one_length_and_its_characters_escaped() -> None:
    text = latex(table())
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert r"\textbf{4.657}" in text
    assert r"\underline{13.276}" in text
    assert r"broken\_net" in text
    assert r"ACC (\%) $\uparrow$" in text
    assert text.startswith("% split: test\n")
    assert "% LRN: a note\n" in text  # on one line, or the rest of it would not be a comment
    assert {row.count(" & ") for row in rows[1:]} == {len(COLUMNS)}
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_narrow_terminal_loses_no_row_and_no_column(width: int) -> None:
    rows = tuple(ResultRow(f"a method {n}", {"niqe_raw": Cell(n), "params": Cell(n)}) for n in range(3))
    more = tuple(Column(f"m{n}", f"Measure {n}", "more", 2, None) for n in range(8))
    file = StringIO()
    Console(file=file, width=width).print(TerminalTable(Table((*COLUMNS, *more), rows)))
    shown = file.getvalue()
    for title in ("a method 0", "a method 2", "NIQE", "ACC", "Params", *(f"Measure {n}" for n in range(8))):
        assert title in shown
    assert "…" not in shown


def test_rich_shows_all_rows_and_notes_and_takes_names_as_they_are() -> None:
    odd = Table((NIQE,), (ResultRow("[bold]x", {}),), notes=("[red] is not markup",))
    shown = on_a_terminal(odd)
    assert "[bold]x" in shown
    assert "[red] is not markup" in shown
    assert re.search(r"\x1b\[1m *4\.657", on_a_terminal(table()))


def test_equal_values_share_a_place_and_a_single_row_is_not_called_best() -> None:
    twins = tuple(ResultRow(name, {"niqe_raw": Cell(4.0)}) for name in "ab")
    text = markdown(Table((NIQE,), (*twins, ResultRow("c", {"niqe_raw": Cell(5.0)}))))
    assert text.count("**4.000**") == 2
    assert "*5.000*" in text
    assert "**" not in markdown(Table((NIQE,), twins[:1]))


def test_a_row_that_does_not_compete_is_never_the_best() -> None:
    values = {"truth": 1.0, "a": 2.0, "b": 3.0, "c": 4.0}
    rows = (
        ResultRow(name, {NIQE.key: Cell(value)}, competes=name != "truth") for name, value in values.items()
    )
    lines = markdown(Table((NIQE,), tuple(rows))).splitlines()[2:6]
    assert lines == ["| truth | 1.000 |", "| a | **2.000** |", "| b | *3.000* |", "| c | 4.000 |"]


def test_rows_may_be_something_else_than_methods() -> None:
    rules = Table((NIQE,), (ResultRow("niqe", {}),), rows_are="rule")
    assert markdown(rules).startswith("| rule | NIQE ↓ |")
    assert "Rule & " in latex(rules)
    assert "rule" in on_a_terminal(rules)


def test_an_empty_table_can_be_shown() -> None:
    empty = Table(COLUMNS, ())
    assert markdown(empty).count("\n") == 2
    assert r"\bottomrule" in latex(empty)
    assert "method" in on_a_terminal(empty)
