from __future__ import annotations

import re
from io import StringIO

import pytest
from rich.console import Console

from spikeclip.evaluation.formats import TerminalTable, latex, markdown
from spikeclip.evaluation.table import Cell, ResultRow, ResultTable
from tests.spikeclip.evaluation.results import table


def on_a_terminal(what: ResultTable, width: int = 200) -> str:
    console = Console(width=width, record=True, file=StringIO())
    console.print(TerminalTable(what))
    return console.export_text(styles=True)


def test_markdown_marks_best_and_second_and_shows_what_is_missing() -> None:
    lines = markdown(table()).splitlines()
    assert lines[0].startswith("| method | NIQE ↓ raw | ACC (%) ↑ raw | NIQE ↓ bright |")
    assert lines[2].startswith("| lrn | **4.657** | **64.00** | n/a | n/a | 0.186 | 18.56 | 0.54 |")
    assert lines[3].startswith("| tfp:window=200 | *13.276* | *1.60* |")
    assert lines[3].endswith("| n/a | 0 | n/a |")
    assert lines[4].startswith("| broken_net | inf | 0.00 |")
    assert lines[-3:] == ["- split: test", "- samples: 20", "- LRN: a note"]
    assert len({line.count("|") for line in lines[:5]}) == 1


def test_latex_is_one_tabular_with_every_row_of_one_length_and_its_characters_escaped() -> None:
    text = latex(table())
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert r"\textbf{4.657}" in text
    assert r"\underline{13.276}" in text
    assert r"broken\_net" in text
    assert r"ACC (\%) $\uparrow$" in text
    assert text.startswith("% split: test\n")
    assert {row.count(" & ") for row in rows[1:]} == {len(table().columns)}
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_narrow_terminal_loses_no_row_and_no_column(width: int) -> None:
    rows = tuple(ResultRow(f"a method {n}", {"niqe_raw": Cell(n), "latency": Cell(n)}) for n in range(3))
    file = StringIO()
    Console(file=file, width=width).print(TerminalTable(ResultTable(rows, metrics=("niqe",))))
    shown = file.getvalue()
    for title in ("a method 0", "a method 2", "NIQE", "ACC", "Params", "Latency"):
        assert title in shown
    assert "…" not in shown


def test_rich_shows_all_rows_and_notes_and_takes_names_as_they_are() -> None:
    odd = ResultTable((ResultRow("[bold]x", {}),), ("niqe",), notes=("[red] is not markup",))
    shown = on_a_terminal(odd)
    assert "[bold]x" in shown
    assert "[red] is not markup" in shown
    assert re.search(r"\x1b\[1m *4\.657", on_a_terminal(table()))


def test_equal_values_share_a_place_and_a_single_row_is_not_called_best() -> None:
    twins = tuple(ResultRow(name, {"niqe_raw": Cell(4.0)}) for name in "ab")
    text = markdown(ResultTable((*twins, ResultRow("c", {"niqe_raw": Cell(5.0)})), ("niqe",)))
    assert text.count("**4.000**") == 2
    assert "*5.000*" in text
    assert "**" not in markdown(ResultTable(twins[:1], ("niqe",)))


def test_an_empty_table_can_be_shown() -> None:
    empty = ResultTable(())
    assert markdown(empty).count("\n") == 2
    assert r"\bottomrule" in latex(empty)
    assert ResultTable.from_json(empty.to_json()) == empty
    assert "method" in on_a_terminal(empty)
