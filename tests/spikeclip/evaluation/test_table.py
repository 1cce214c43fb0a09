from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.errors import HqgenError, UnknownNameError
from hqgen.tables import Cell, ResultRow, comma_separated, latex, markdown
from spikeclip.evaluation.table import ResultTable, combined, joined, write_table
from tests.spikeclip.evaluation.results import table


def test_columns_are_those_of_the_paper_each_score_raw_and_bright() -> None:
    titles = [f"{column.group} {column.title}" for column in ResultTable(()).columns]
    assert titles == [
        *("raw NIQE", "raw BRISQUE", "raw PIQE", "raw ACC (%)"),
        *("bright NIQE", "bright BRISQUE", "bright PIQE", "bright ACC (%)"),
        *("cost Params (M)", "cost MACs (G)", "cost Latency (ms)"),
    ]


def test_what_the_paper_does_not_have_is_a_column_only_where_there_is_a_value() -> None:
    rows = (ResultRow("a", {"judge_raw": Cell(3.0), "psnr": Cell(20.0), "consistency": Cell(1.0)}),)
    titles = [f"{column.group} {column.title}" for column in ResultTable(rows, ("niqe",)).columns]
    assert titles == [
        *("raw NIQE", "raw ACC (%)", "raw Judge (%)", "bright NIQE", "bright ACC (%)"),
        *("truth PSNR (dB)", "spikes Consistency"),
        *("cost Params (M)", "cost MACs (G)", "cost Latency (ms)"),
    ]


def test_json_is_plain_json_also_with_infinity() -> None:
    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    document = json.loads(table().to_json(), parse_constant=refuse)
    assert document["rows"][2]["cells"]["niqe_raw"] == {"value": "inf"}
    assert document["rows"][0]["cells"]["niqe_bright"] is None
    assert document["about"] == {"split": "test", "samples": 20}


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=4), st.floats(0, 10) | st.none())
def test_json_comes_back_as_the_same_table(values: list[float], spread: float | None) -> None:
    rows = tuple(
        ResultRow(str(n), {"niqe_raw": Cell(math.inf if math.isinf(value) else value, spread)})
        for n, value in enumerate(values)
    )
    before = ResultTable(rows, ("niqe",), {"crop": 224}, ("a note",))
    assert ResultTable.from_json(before.to_json()) == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": [{}], "metrics": []}', '{"rows": 3}'])
def test_other_json_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(HqgenError) as error:
        ResultTable.from_json(text)
    assert "evaluate" in error.value.hint


def test_combined_tables_show_mean_and_spread() -> None:
    mean = combined([table(4.0, notes=("a",)), table(5.0, notes=("b",)), table(6.0, notes=("a",))])
    assert mean.row("lrn").cells["niqe_raw"] == Cell(5.0, 1.0)
    assert mean.row("lrn").cells["macs"] == Cell(18.5616)
    assert mean.row("broken_net").cells["niqe_raw"] == Cell(math.inf)
    assert "5.000 ± 1.000" in markdown(mean)
    assert r"5.000 $\pm$ 1.000" in latex(mean)
    assert mean.about["trainings"] == 3
    assert mean.notes == ("a", "b")


def test_a_training_without_a_score_makes_the_mean_infinite() -> None:
    assert combined([table(4.0), table(math.inf)]).row("lrn").cells["niqe_raw"] == Cell(math.inf)


def test_a_table_is_written_as_json_markdown_and_latex(tmp_path: Path) -> None:
    write_table(table(), tmp_path / "new")
    assert ResultTable.from_json((tmp_path / "new/table.json").read_text()) == table()
    assert (tmp_path / "new/table.md").read_text().startswith("| method | NIQE ↓ raw |")
    assert r"\begin{tabular}" in (tmp_path / "new/table.tex").read_text()
    assert (tmp_path / "new/table.csv").read_text() == comma_separated(table())


def test_view_is_a_table_of_some_rows_and_columns() -> None:
    whole = table(notes=("lrn: a note", "tfp:window=200: another", "of all"))
    shown = whole.view(["tfp:window=200", "lrn"], ["niqe_raw", "macs"])
    assert [row.name for row in shown.rows] == ["tfp:window=200", "lrn"]
    assert [column.key for column in shown.columns] == ["niqe_raw", "macs"]
    assert shown.notes == ("lrn: a note", "tfp:window=200: another", "of all")
    assert whole.view(["lrn"]).notes == ("lrn: a note", "of all")
    assert whole.view(["lrn"]).columns == whole.columns
    with pytest.raises(UnknownNameError, match="row `lnr`"):
        whole.view(["lnr"])
    with pytest.raises(UnknownNameError, match="column `nique_raw`"):
        whole.view(["lrn"], ["nique_raw"])


def test_joined_tables_have_all_rows() -> None:
    other = ResultTable((ResultRow("tfi", {"niqe_raw": Cell(9.0)}),), ("niqe",), {"split": "x"}, ("b",))
    both = joined([table(notes=("a",)), other])
    assert [row.name for row in both.rows] == ["lrn", "tfp:window=200", "broken_net", "tfi"]
    assert both.about == {"split": "test", "samples": 20}
    assert both.notes == ("a", "b")


def test_an_empty_table_comes_back_from_json() -> None:
    assert ResultTable.from_json(ResultTable(()).to_json()) == ResultTable(())
