"""The results as tables."""

from __future__ import annotations

from io import StringIO
from statistics import fmean

from rich.console import Console

from hqgen.benchmark.results import Benchmark, Made
from hqgen.benchmark.tables import TerminalView, latex_document, markdown_document, sections
from hqgen.quality.rules import rule_names


def test_a_source_has_a_table_of_means_with_a_row_for_the_ground_truth(found: Benchmark) -> None:
    quality, regret, cost = sections(found)
    assert (quality.heading, regret.heading, cost.heading) == ("folder-lab", "regret, folder-lab", "cost")
    assert [row.name for row in quality.table.rows] == ["ground truth", "tfp", "tfp:window=11", "tfi"]
    judged = found.result("tfi", "folder-lab").judged
    cells = quality.table.rows[3].cells
    assert cells["niqe_raw"].value == fmean(item.raw["niqe"] or 0 for item in judged.values())
    known = [item.fitted.psnr or 0 for item in judged.values() if item.fitted is not None]
    assert len(known) == 2
    assert cells["psnr_fitted"].value == fmean(known)
    assert "psnr" not in quality.table.rows[0].cells


def test_costs_have_a_row_per_method(found: Benchmark) -> None:
    table = sections(found)[-1].table
    assert [row.name for row in table.rows] == ["tfp", "tfp:window=11", "tfi"]
    assert {"processor_folder-lab", "wall_folder-lab", "memory_folder-lab", "trained"} <= {
        *table.rows[0].cells
    }


def test_regret_has_a_row_per_rule_and_says_which_cannot_pick(found: Benchmark) -> None:
    table = sections(found)[1].table
    assert [row.name for row in table.rows] == rule_names()
    assert table.rows[0].cells["psnr_worst"].value >= table.rows[0].cells["psnr_mean"].value >= 0
    assert table.rows[-1].cells == {}
    assert any(note.startswith("consensus: ") and "grain" in note for note in table.notes)


def test_splits_of_a_source_have_tables_of_their_own(found: Benchmark) -> None:
    (source,) = found.sources
    splits = ("train", "train", "test")
    samples = tuple(
        item.model_copy(update={"split": split}) for item, split in zip(source.samples, splits, strict=True)
    )
    split = found.model_copy(update={"sources": (source.model_copy(update={"samples": samples}),)})
    headings = [(part.heading, part.table.about.get("samples")) for part in sections(split)]
    assert headings == [
        ("folder-lab, train", 2),
        ("folder-lab, test", 1),
        ("regret, folder-lab", 2),
        ("cost", None),
    ]


def test_columns_that_nobody_has_are_left_out(found: Benchmark) -> None:
    results = tuple(
        result.model_copy(
            update={
                "judged": {
                    key: item.model_copy(update={"plain": None, "fitted": None})
                    for key, item in result.judged.items()
                }
            }
        )
        for result in found.results
    )
    sources = tuple(source.model_copy(update={"truth": {}}) for source in found.sources)
    blind = found.model_copy(update={"results": results, "sources": sources, "regrets": {}})
    keys = [column.key for column in sections(blind)[0].table.columns]
    assert keys == ["niqe_raw", "niqe_bright", "consistency"]


def test_a_method_without_a_picture_is_noted_with_the_reason(found: Benchmark) -> None:
    first, *others = found.results
    lost = Made(key=first.samples[0].key, reason="too\ndark")
    key = first.samples[0].key
    judged = {name: item for name, item in first.judged.items() if name != key}
    result = first.model_copy(update={"samples": (lost, *first.samples[1:]), "judged": judged})
    text = markdown_document(found.model_copy(update={"results": (result, *others)}))
    assert "- tfp: no picture of 1 of 3 samples: too dark" in text


def test_markdown_and_latex_hold_every_table(found: Benchmark) -> None:
    page, paper = markdown_document(found), latex_document(found)
    assert page.startswith("# Benchmark\n")
    for heading in ("## Folder-lab", "## Cost", "## What the columns mean", "## Measured with"):
        assert heading in page
    assert paper.count(r"\begin{tabular}") == paper.count(r"\end{tabular}") == 3
    assert all(
        line.startswith(("%", "\\", " ")) or not line or line.endswith(r"\\") for line in paper.splitlines()
    )


def test_a_terminal_of_80_columns_shows_every_method(found: Benchmark) -> None:
    file = StringIO()
    Console(file=file, width=80).print(TerminalView(found))
    shown = file.getvalue()
    assert max(map(len, shown.splitlines())) <= 80
    for text in ("ground truth", "tfp:window=11", "Consistency", "Memory"):
        assert text in shown
