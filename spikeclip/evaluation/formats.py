"""The tables of an evaluation: quality, accuracy and cost by row, shown on a terminal and as files.

The columns are those of the paper's Tables 1 to 3. Each quality score and the accuracy stand twice: `raw`, of
the output as it is (the paper's protocol), and `bright`, after the one brightness rule that all rows share.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from hqgen.errors import HqgenError, UsageError

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table as Grid

from pathlib import Path
from typing import TYPE_CHECKING

from hqgen.files import write_atomically

if TYPE_CHECKING:
    pass

__all__ = ["Cell", "Column", "Row", "Table", "combined", "write_table"]

Better = Literal["lower", "higher"]
Shown = TypeVar("Shown")

ARROWS: dict[Better | None, str] = {"lower": "↓", "higher": "↑", None: ""}
LATEX_ARROWS: dict[Better | None, str] = {"lower": r" $\downarrow$", "higher": r" $\uparrow$", None: ""}


class Column(NamedTuple):
    """A column of the table.

    Attributes:
        key: its name in `Row.cells` and in the JSON.
        title: its heading, with the unit.
        group: what it is of: `raw`, `bright` or `cost`.
        digits: decimals shown.
        better: which end is better; None where the paper names no best.
    """

    key: str
    title: str
    group: str
    digits: int
    better: Better | None


class Cell(NamedTuple):
    """A number; +inf where no picture could be scored.

    Attributes:
        value: in the unit of the column.
        spread: standard deviation over several trainings, in a table that combines them.
    """

    value: float
    spread: float | None = None


@dataclass(frozen=True)
class Row:
    """What one network or method reaches; a column that is not in `cells` could not be had: `n/a`."""

    name: str
    cells: Mapping[str, Cell]


COSTS = (
    Column("params", "Params (M)", "cost", 3, None),
    Column("macs", "MACs (G)", "cost", 2, None),
    Column("latency", "Latency (ms)", "cost", 2, None),
)


def _columns(metrics: Sequence[str]) -> tuple[Column, ...]:
    """All columns of a table whose quality scores are `metrics`."""
    judged = [
        column
        for group in ("raw", "bright")
        for column in (
            *(Column(f"{name}_{group}", name.upper(), group, 3, "lower") for name in metrics),
            Column(f"acc_{group}", "ACC (%)", group, 2, "higher"),
        )
    ]
    return (*judged, *COSTS)


@dataclass(frozen=True)
class Table:
    """An evaluation.

    Attributes:
        rows: in the order in which they are shown.
        metrics: names of the quality scores.
        about: what was evaluated on: data, samples, crop, CLIP, device.
        notes: what a reader has to know of single cells.
    """

    rows: tuple[Row, ...]
    metrics: tuple[str, ...] = ("niqe", "brisque", "piqe")
    about: Mapping[str, str | int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """Its columns from left to right."""
        return _columns(self.metrics)

    @property
    def name_width(self) -> int:
        """Characters of the longest name of a row."""
        return max((len(row.name) for row in self.rows), default=len("method"))

    @property
    def least_name_width(self) -> int:
        """Characters that names of rows may be broken at, on a narrow terminal."""
        return min(self.name_width, 20)

    def row(self, name: str) -> Row:
        """The row of that name.

        Raises:
            KeyError: there is none.
        """
        return {row.name: row for row in self.rows}[name]

    def rich(self) -> RenderableType:
        """For a terminal: the best of a column bold, the second best underlined, notes below.

        Where it is too narrow for all columns, they go on in a grid below.
        """
        return _OnTerminal(self)

    def grid(self, columns: Sequence[Column]) -> Grid:
        """Some of the columns, for a terminal."""
        from rich import box
        from rich.table import Table as Grid
        from rich.text import Text

        grid = Grid(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False, padding=(0, 1))
        grid.add_column("\nmethod", overflow="fold", min_width=self.least_name_width)
        for column in columns:
            title = Text(f"{column.group}\n{column.title} {ARROWS[column.better]}".rstrip())
            grid.add_column(title, justify="right", no_wrap=True)
        styles = ("bold", "underline", "")
        chosen = [column in columns for column in self.columns]
        for row, cells in self._shown(lambda text, place: Text(text, style=styles[place])):
            grid.add_row(Text(row.name), *compress(cells, chosen))
        return grid

    def to_markdown(self) -> str:
        """The best of a column bold, the second best in italics; what was evaluated and notes as a list."""
        marks = ("**{}**", "*{}*", "{}")
        head = ["method", *(_heading(column) for column in self.columns)]
        lines = [head, ["---", *["---:"] * len(self.columns)]]
        for row, cells in self._shown(lambda text, place: marks[place].format(text)):
            lines.append([row.name.replace("|", r"\|"), *cells])
        grid = [f"| {' | '.join(' '.join(cell.split()) for cell in line)} |" for line in lines]
        about = [f"- {key}: {value}" for key, value in self.about.items()]
        return "\n".join([*grid, "", *about, *(f"- {note}" for note in self.notes)]).rstrip() + "\n"

    def to_latex(self) -> str:
        """A `tabular` for booktabs: the best of a column bold, the second underlined, notes as comments."""
        marks = (r"\textbf{{{}}}", r"\underline{{{}}}", "{}")
        groups = {column.group: 0 for column in self.columns}
        for column in self.columns:
            groups[column.group] += 1
        spans = [rf"\multicolumn{{{count}}}{{c}}{{{name}}}" for name, count in groups.items()]
        titles = [_latex(column.title) + LATEX_ARROWS[column.better] for column in self.columns]
        lines = [["", *spans], ["Method", *titles]]
        body = [
            [_latex(row.name), *cells]
            for row, cells in self._shown(lambda text, place: marks[place].format(_latex(text)))
        ]
        about = [f"% {key}: {value}" for key, value in self.about.items()]
        return (
            "\n".join(
                [
                    *about,
                    *(f"% {note}" for note in self.notes),
                    rf"\begin{{tabular}}{{l{'r' * len(self.columns)}}}",
                    r"\toprule",
                    *(" & ".join(line) + r" \\" for line in lines),
                    r"\midrule",
                    *(" & ".join(line) + r" \\" for line in body),
                    r"\bottomrule",
                    r"\end{tabular}",
                ]
            )
            + "\n"
        )

    def to_json(self) -> str:
        """All digits; a cell that could not be had is null, one without any scored picture `"inf"`."""
        document = {
            "metrics": list(self.metrics),
            "about": dict(self.about),
            "rows": [
                {
                    "name": row.name,
                    "cells": {column.key: _encoded(row.cells.get(column.key)) for column in self.columns},
                }
                for row in self.rows
            ],
            "notes": list(self.notes),
        }
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Table:
        """The table that `to_json` wrote.

        Raises:
            HqgenError: the text is no such document.
        """
        try:
            document = json.loads(text)
            rows = tuple(
                Row(
                    row["name"],
                    {key: _decoded(cell) for key, cell in row["cells"].items() if cell is not None},
                )
                for row in document["rows"]
            )
            return cls(rows, tuple(document["metrics"]), document["about"], tuple(document["notes"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise HqgenError(
                f"no table of an evaluation: {error!r}", hint="give what `spikeclip evaluate --json` wrote"
            ) from error

    def _shown(self, mark: Callable[[str, int], Shown]) -> Iterable[tuple[Row, list[Shown]]]:
        """Each row with its cells as text, marked by place: 0 the best of a column, 1 the second, else 2."""
        places = {column.key: self._places(column) for column in self.columns}
        for row in self.rows:
            cells = [(column, row.cells.get(column.key)) for column in self.columns]
            yield row, [mark(_text(cell, column), places[column.key](cell)) for column, cell in cells]

    def _places(self, column: Column) -> Callable[[Cell | None], int]:
        """Place of a cell in its column: 0, 1, or 2 for all others; equal values share a place."""
        cells = (row.cells.get(column.key) for row in self.rows)
        values = {cell.value for cell in cells if cell is not None and math.isfinite(cell.value)}
        ranked = sorted(values, reverse=column.better == "higher") if column.better else []
        best = ranked[:2] if len(ranked) > 1 else []
        return lambda cell: best.index(cell.value) if cell is not None and cell.value in best else 2


@dataclass(frozen=True)
class _OnTerminal:
    """A table as wide as the terminal allows."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        def fits(columns: Sequence[Column]) -> bool:
            widest = console.measure(self.table.grid(columns), options=options.update(max_width=1000)).maximum
            return widest - self.table.name_width + self.table.least_name_width <= options.max_width

        shown: list[Column] = []
        for column in self.table.columns:
            if shown and not fits([*shown, column]):
                yield self.table.grid(shown)
                shown = []
            shown.append(column)
        yield self.table.grid(shown)
        about = [f"{key}: {value}" for key, value in self.table.about.items()]
        yield Text("\n".join([*about, *self.table.notes]), style="dim")


def combined(tables: Sequence[Table]) -> Table:
    """The table of the means over several trainings, such as seeds, with their standard deviations.

    A cell that one of the tables lacks is left out. Costs keep no deviation where the trainings agree.

    Raises:
        UsageError: no table, or tables of other rows or metrics than the first.
    """
    if not tables:
        raise UsageError("no table to combine", hint="give the tables of several trainings")
    first = tables[0]
    names = [row.name for row in first.rows]
    for table in tables:
        if [row.name for row in table.rows] != names or table.metrics != first.metrics:
            raise UsageError(
                "tables of different rows or metrics cannot be combined",
                hint=f"the first has the rows {', '.join(names)}",
            )
    rows = tuple(
        Row(name, _mean_cells([table.rows[index].cells for table in tables]))
        for index, name in enumerate(names)
    )
    notes = tuple(dict.fromkeys(note for table in tables for note in table.notes))
    return Table(rows, first.metrics, {**first.about, "trainings": len(tables)}, notes)


def _mean_cells(cells: Sequence[Mapping[str, Cell]]) -> dict[str, Cell]:
    shared = [key for key in cells[0] if all(key in of_table for of_table in cells)]
    return {key: _mean([of_table[key].value for of_table in cells]) for key in shared}


def _mean(values: Sequence[float]) -> Cell:
    if len(set(values)) == 1:
        return Cell(values[0])
    if not all(map(math.isfinite, values)):
        return Cell(math.inf)
    return Cell(fmean(values), stdev(values))


def _heading(column: Column) -> str:
    group = "" if column.group == "cost" else column.group
    return f"{column.title} {ARROWS[column.better]} {group}"


def _text(cell: Cell | None, column: Column) -> str:
    if cell is None:
        return "n/a"
    if not math.isfinite(cell.value):
        return "inf"
    if column.group == "cost" and cell.value == 0:
        return "0"
    value = f"{cell.value:.{column.digits}f}"
    return value if cell.spread is None else f"{value} ± {cell.spread:.{column.digits}f}"


def _encoded(cell: Cell | None) -> dict[str, float | str] | None:
    """JSON knows no infinity."""
    if cell is None:
        return None
    value = cell.value if math.isfinite(cell.value) else "inf"
    return {"value": value} if cell.spread is None else {"value": value, "spread": cell.spread}


def _decoded(cell: Mapping[str, Any]) -> Cell:
    return Cell(float(cell["value"]), cell.get("spread"))


LATEX_ESCAPES = str.maketrans(
    {char: f"\\{char}" for char in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
)


def _latex(text: str) -> str:
    """Text with LaTeX's own characters escaped."""
    return text.translate(LATEX_ESCAPES)


def write_table(table: Table, folder: Path) -> None:
    """Write `table.json`, `table.md` and `table.tex`."""
    write_atomically(folder / "table.json", table.to_json())
    write_atomically(folder / "table.md", table.to_markdown())
    write_atomically(folder / "table.tex", table.to_latex())
