from __future__ import annotations

import json
import math
import re
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hqgen.errors import HqgenError, UsageError
from spikeclip.evaluation.formats import Cell, Row, Table, combined


def table(niqe: float = 4.657, *, notes: tuple[str, ...] = ("LRN: a note",)) -> Table:
    cost = {"params": Cell(0.185889), "macs": Cell(18.5616), "latency": Cell(0.54)}
    rows = (
        Row("lrn", {"niqe_raw": Cell(niqe), "acc_raw": Cell(64.0), **cost}),
        Row("tfp:window=200", {"niqe_raw": Cell(13.276), "acc_raw": Cell(1.6), "macs": Cell(0.0)}),
        Row("broken_net", {"niqe_raw": Cell(math.inf), "acc_raw": Cell(0.0)}),
    )
    return Table(rows, ("niqe",), {"split": "test", "samples": 20}, notes)


def on_a_terminal(what: Table, width: int = 200) -> str:
    console = Console(width=width, record=True, file=StringIO())
    console.print(what.rich())
    return console.export_text(styles=True)


def test_columns_are_those_of_the_paper_each_score_raw_and_bright() -> None:
    titles = [f"{column.group} {column.title}" for column in Table(()).columns]
    assert titles == [
        *("raw NIQE", "raw BRISQUE", "raw PIQE", "raw ACC (%)"),
        *("bright NIQE", "bright BRISQUE", "bright PIQE", "bright ACC (%)"),
        *("cost Params (M)", "cost MACs (G)", "cost Latency (ms)"),
    ]


def test_markdown_marks_best_and_second_and_shows_what_is_missing() -> None:
    lines = table().to_markdown().splitlines()
    assert lines[0].startswith("| method | NIQE ↓ raw | ACC (%) ↑ raw | NIQE ↓ bright |")
    assert lines[2].startswith("| lrn | **4.657** | **64.00** | n/a | n/a | 0.186 | 18.56 | 0.54 |")
    assert lines[3].startswith("| tfp:window=200 | *13.276* | *1.60* |")
    assert lines[3].endswith("| n/a | 0 | n/a |")
    assert lines[4].startswith("| broken_net | inf | 0.00 |")
    assert lines[-3:] == ["- split: test", "- samples: 20", "- LRN: a note"]
    assert len({line.count("|") for line in lines[:5]}) == 1


def test_latex_is_one_tabular_with_every_row_of_one_length_and_its_characters_escaped() -> None:
    text = table().to_latex()
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
    rows = tuple(Row(f"a method {n}", {"niqe_raw": Cell(n), "latency": Cell(n)}) for n in range(3))
    file = StringIO()
    Console(file=file, width=width).print(Table(rows, metrics=("niqe",)).rich())
    shown = file.getvalue()
    for title in ("a method 0", "a method 2", "NIQE", "ACC", "Params", "Latency"):
        assert title in shown
    assert "…" not in shown


def test_rich_shows_all_rows_and_notes_and_takes_names_as_they_are() -> None:
    odd = Table((Row("[bold]x", {}),), ("niqe",), notes=("[red] is no markup",))
    shown = on_a_terminal(odd)
    assert "[bold]x" in shown
    assert "[red] is no markup" in shown
    assert re.search(r"\x1b\[1m *4\.657", on_a_terminal(table()))


def test_json_is_plain_json_also_with_infinity() -> None:
    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is no JSON")

    document = json.loads(table().to_json(), parse_constant=refuse)
    assert document["rows"][2]["cells"]["niqe_raw"] == {"value": "inf"}
    assert document["rows"][0]["cells"]["niqe_bright"] is None
    assert document["about"] == {"split": "test", "samples": 20}


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=4), st.floats(0, 10) | st.none())
def test_json_comes_back_as_the_same_table(values: list[float], spread: float | None) -> None:
    rows = tuple(
        Row(str(n), {"niqe_raw": Cell(math.inf if math.isinf(value) else value, spread)})
        for n, value in enumerate(values)
    )
    before = Table(rows, ("niqe",), {"crop": 224}, ("a note",))
    assert Table.from_json(before.to_json()) == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": [{}], "metrics": []}', '{"rows": 3}'])
def test_other_json_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(HqgenError) as error:
        Table.from_json(text)
    assert "evaluate" in error.value.hint


def test_equal_values_share_a_place_and_a_single_row_is_not_called_best() -> None:
    twins = tuple(Row(name, {"niqe_raw": Cell(4.0)}) for name in "ab")
    text = Table((*twins, Row("c", {"niqe_raw": Cell(5.0)})), ("niqe",)).to_markdown()
    assert text.count("**4.000**") == 2
    assert "*5.000*" in text
    assert "**" not in Table(twins[:1], ("niqe",)).to_markdown()


def test_an_empty_table_can_be_shown() -> None:
    empty = Table(())
    assert empty.to_markdown().count("\n") == 2
    assert r"\bottomrule" in empty.to_latex()
    assert Table.from_json(empty.to_json()) == empty
    assert "method" in on_a_terminal(empty)


def test_combined_tables_show_mean_and_spread() -> None:
    mean = combined([table(4.0, notes=("a",)), table(5.0, notes=("b",)), table(6.0, notes=("a",))])
    assert mean.row("lrn").cells["niqe_raw"] == Cell(5.0, 1.0)
    assert mean.row("lrn").cells["macs"] == Cell(18.5616)
    assert mean.row("broken_net").cells["niqe_raw"] == Cell(math.inf)
    assert "5.000 ± 1.000" in mean.to_markdown()
    assert r"5.000 $\pm$ 1.000" in mean.to_latex()
    assert mean.about["trainings"] == 3
    assert mean.notes == ("a", "b")


def test_a_training_without_a_score_makes_the_mean_infinite() -> None:
    assert combined([table(4.0), table(math.inf)]).row("lrn").cells["niqe_raw"] == Cell(math.inf)


def test_tables_that_do_not_match_are_not_combined() -> None:
    with pytest.raises(UsageError, match="different rows"):
        combined([table(), Table(table().rows[:2], ("niqe",))])
    with pytest.raises(UsageError, match="no table"):
        combined([])
