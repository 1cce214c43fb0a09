"""The table of an evaluation: what each network or method reaches in quality, accuracy and cost.

The columns are those of the paper's Tables 1 to 3. Each quality score and the accuracy stand twice: `raw`, of
the output as it is (the paper's protocol), and `bright`, after the one brightness rule that all rows share.
The paper has no judge that did not teach, and nothing that is measured beside the truth and the spikes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev

from hqgen.errors import HqgenError, UnknownNameError
from hqgen.files import write_atomically
from hqgen.tables import Cell, Column, ResultRow, Table, Tabular, comma_separated, latex, markdown

METRICS = ("niqe", "brisque", "piqe")
"""The quality scores of the paper."""


_BEYOND_THE_PAPER = {"judge_raw", "judge_bright", "psnr", "ssim", "consistency"}
"""Columns that a table has only where they hold something."""


@dataclass(frozen=True)
class ResultTable:
    """The results of an evaluation.

    Attributes:
        rows: in the order in which they are shown.
        metrics: names of the quality scores.
        about: what was evaluated on: data, samples, crop, CLIP, device.
        notes: what a reader has to know about single cells.
    """

    rows: tuple[ResultRow, ...]
    metrics: tuple[str, ...] = METRICS
    about: Mapping[str, str | int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns from left to right."""
        judged: list[Column] = []
        for group in ("raw", "bright"):
            judged += [Column(f"{name}_{group}", name.upper(), group, 3, "lower") for name in self.metrics]
            judged.append(Column(f"acc_{group}", "ACC (%)", group, 2, "higher"))
            judged.append(Column(f"judge_{group}", "Judge (%)", group, 2, "higher"))
        judged.append(Column("psnr", "PSNR (dB)", "truth", 2, "higher"))
        judged.append(Column("ssim", "SSIM", "truth", 4, "higher"))
        judged.append(Column("consistency", "Consistency", "spikes", 3, "lower"))
        there = {key for row in self.rows for key in row.cells}
        return (
            *(column for column in judged if column.key in there or column.key not in _BEYOND_THE_PAPER),
            Column("params", "Params (M)", "cost", 3, None),
            Column("macs", "MACs (G)", "cost", 2, None),
            Column("latency", "Latency (ms)", "cost", 2, None),
        )

    @property
    def rows_are(self) -> str:
        """See `hqgen.tables.Tabular`; a network is listed under this heading, too."""
        return "method"

    def row(self, name: str) -> ResultRow:
        """The row with that name.

        Raises:
            KeyError: there is none.
        """
        return {row.name: row for row in self.rows}[name]

    def to_json(self) -> str:
        """The table as JSON, with all digits. A missing cell is null, infinity is the text `inf`."""

        def encoded(cell: Cell | None) -> dict[str, float | str] | None:
            if cell is None:
                return None
            value = cell.value if math.isfinite(cell.value) else "inf"
            return {"value": value} if cell.spread is None else {"value": value, "spread": cell.spread}

        rows = [
            {
                "name": row.name,
                "cells": {column.key: encoded(row.cells.get(column.key)) for column in self.columns},
            }
            for row in self.rows
        ]
        document = {"metrics": self.metrics, "about": self.about, "rows": rows, "notes": self.notes}
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ResultTable:
        """The table that `to_json` wrote.

        Raises:
            HqgenError: the text is not such a document.
        """
        try:
            document = json.loads(text)
            rows = []
            for row in document["rows"]:
                known = {key: cell for key, cell in row["cells"].items() if cell is not None}
                cells = {key: Cell(float(cell["value"]), cell.get("spread")) for key, cell in known.items()}
                rows.append(ResultRow(row["name"], cells))
            return cls(tuple(rows), tuple(document["metrics"]), document["about"], tuple(document["notes"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise HqgenError(
                f"this is not a table of an evaluation: {error!r}",
                hint="give what `spikeclip evaluate --json` wrote",
            ) from error

    def view(self, rows: Sequence[str], columns: Sequence[str] = ()) -> Table:
        """A table of some rows, in the order in which they are named, and of some columns.

        Args:
            rows: names of rows.
            columns: keys of columns, such as `psnr`; empty for all.

        Raises:
            UnknownNameError: there is no such row or column.
        """
        found = {row.name: row for row in self.rows}
        known = {column.key: column for column in self.columns}
        for kind, names, there in (("row", rows, found), ("column", columns, known)):
            for name in names:
                if name not in there:
                    raise UnknownNameError(kind, name, there)
        others = tuple(f"{name}: " for name in found if name not in rows)
        notes = tuple(note for note in self.notes if not note.startswith(others))
        shown = tuple(column for key, column in known.items() if key in columns or not columns)
        return Table(shown, tuple(found[name] for name in rows), self.about, notes, self.rows_are)


def write_table(table: ResultTable, folder: Path) -> None:
    """Write `table.json`, and the table as `write_texts` does."""
    write_atomically(folder / "table.json", table.to_json())
    write_texts(table, folder / "table")


def write_texts(table: Tabular, path: Path) -> None:
    """Write a table as Markdown, LaTeX and CSV: `path` with the endings `.md`, `.tex` and `.csv`."""
    for ending, text in {".md": markdown, ".tex": latex, ".csv": comma_separated}.items():
        write_atomically(path.with_suffix(ending), text(table))


def joined(tables: Sequence[ResultTable]) -> ResultTable:
    """The rows of several tables on the same data, with the same metrics, one below the other."""
    first = tables[0]
    rows = tuple(row for table in tables for row in table.rows)
    notes = tuple(dict.fromkeys(note for table in tables for note in table.notes))
    return ResultTable(rows, first.metrics, {**tables[-1].about, **first.about}, notes)


def combined(tables: Sequence[ResultTable]) -> ResultTable:
    """The table of the means over several trainings, such as seeds, with their standard deviations.

    All have the rows and metrics of the first. A cell that one of them lacks is left out. A cell that is
    equal in all of them has no deviation.
    """
    first, rows = tables[0], []
    for same_row in zip(*(table.rows for table in tables), strict=True):
        shared = [key for key in same_row[0].cells if all(key in row.cells for row in same_row)]
        cells = {key: _mean([row.cells[key].value for row in same_row]) for key in shared}
        rows.append(ResultRow(same_row[0].name, cells))
    notes = tuple(dict.fromkeys(note for table in tables for note in table.notes))
    return ResultTable(tuple(rows), first.metrics, {**first.about, "trainings": len(tables)}, notes)


def _mean(values: Sequence[float]) -> Cell:
    if len(set(values)) == 1:
        return Cell(values[0])
    return Cell(fmean(values), stdev(values)) if all(map(math.isfinite, values)) else Cell(math.inf)
