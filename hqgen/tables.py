"""Tables of results as Markdown, as LaTeX and for a terminal: best bold, second best marked.

Whatever has rows, columns, facts about the whole and notes can be shown: see `Tabular`. `Table` is the
plainest such thing.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table as Grid

ARROWS = {"lower": " ↓", "higher": " ↑", None: ""}

LATEX_ESCAPES = str.maketrans(
    {char: f"\\{char}" for char in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"±": r"$\pm$", "↓": r"$\downarrow$", "↑": r"$\uparrow$"}
)


class Column(NamedTuple):
    """A column of the table.

    Attributes:
        key: its name in `ResultRow.cells` and in JSON.
        title: its heading, with the unit.
        group: what it belongs to, such as `raw`: a heading over neighbouring columns.
        digits: decimals shown.
        better: which end is better; None where neither is.
    """

    key: str
    title: str
    group: str
    digits: int
    better: Literal["lower", "higher"] | None

    def text(self, cell: Cell | None) -> str:
        """A cell of this column, rounded; `n/a` for None."""
        if cell is None:
            return "n/a"
        if not math.isfinite(cell.value):
            return "inf"
        if cell.value == 0 and self.better is None:
            return "0"
        spread = "" if cell.spread is None else f" ± {cell.spread:.{self.digits}f}"
        return f"{cell.value:.{self.digits}f}{spread}"


class Cell(NamedTuple):
    """A number in the unit of its column, +inf where no picture could be scored.

    Attributes:
        value: the number.
        spread: standard deviation, in a table that combines several.
    """

    value: float
    spread: float | None = None


@dataclass(frozen=True)
class ResultRow:
    """What one thing reaches, such as a method. A column that is not in `cells` could not be measured.

    A row that does not compete, such as a reference, is never marked as the best.
    """

    name: str
    cells: Mapping[str, Cell]
    competes: bool = True


class Tabular(Protocol):
    """What can be shown as a table.

    Attributes:
        rows: in the order in which they are shown.
        columns: from left to right; those of one group are neighbours.
        about: what was measured, by name: it is written below the table.
        notes: what a reader has to know about single cells.
        rows_are: what the rows are, as the heading of their names.
    """

    @property
    def rows(self) -> Sequence[ResultRow]: ...  # noqa: D102
    @property
    def columns(self) -> Sequence[Column]: ...  # noqa: D102
    @property
    def about(self) -> Mapping[str, str | int]: ...  # noqa: D102
    @property
    def notes(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def rows_are(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Table:
    """A table as plain values; the attributes are those of `Tabular`."""

    columns: tuple[Column, ...]
    rows: tuple[ResultRow, ...]
    about: Mapping[str, str | int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    rows_are: str = "method"


def texts(table: Tabular) -> list[list[tuple[str, int]]]:
    """For each row its cells as text, each with its place in its column.

    The place is 0 for the best value, 1 for the second best, 2 for all others. Equal values share a place. No
    place is given where all values are equal or the column names no best.
    """
    best: dict[str, list[float]] = {}
    for column in table.columns:
        competing = [row for row in table.rows if row.competes and column.key in row.cells]
        values = {row.cells[column.key].value for row in competing}
        finite = sorted(filter(math.isfinite, values), reverse=column.better == "higher")
        best[column.key] = finite[:2] if column.better and len(finite) > 1 else []

    def marked(column: Column, row: ResultRow) -> tuple[str, int]:
        cell, first = row.cells.get(column.key), best[column.key]
        place = first.index(cell.value) if row.competes and cell is not None and cell.value in first else 2
        return column.text(cell), place

    return [[marked(column, row) for column in table.columns] for row in table.rows]


def markdown(table: Tabular) -> str:
    """The best of a column bold, the second best in italics; below it what was measured and the notes.

    The group is written where columns of two groups have one title.
    """
    marks = ("**{}**", "*{}*", "{}")
    titles = [column.title for column in table.columns]
    groups = [f" {column.group}" if titles.count(column.title) > 1 else "" for column in table.columns]
    lines = [
        [
            table.rows_are,
            *(heading(column) + group for column, group in zip(table.columns, groups, strict=True)),
        ],
        ["---", *["---:"] * len(table.columns)],
    ]
    for row, cells in zip(table.rows, texts(table), strict=True):
        name = " ".join(row.name.replace("|", r"\|").split())
        lines.append([name, *(marks[place].format(text) for text, place in cells)])
    grid = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([*grid, "", *(f"- {line}" for line in below(table))]).rstrip() + "\n"


def comma_separated(table: Tabular) -> str:
    """CSV with all digits: a row's name, then for each column its value and, where there is one, its spread.

    A missing cell is empty, infinity is `inf`.
    """
    spreads = {
        column.key for column in table.columns for row in table.rows if _spread(row, column) is not None
    }
    header = [table.rows_are]
    for column in table.columns:
        header += [column.key, f"{column.key}_spread"] if column.key in spreads else [column.key]
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in table.rows:
        cells: list[str | float | None] = [row.name]
        for column in table.columns:
            cell = row.cells.get(column.key)
            cells.append(None if cell is None else cell.value)
            cells += [_spread(row, column)] if column.key in spreads else []
        writer.writerow(cells)
    return text.getvalue()


def _spread(row: ResultRow, column: Column) -> float | None:
    cell = row.cells.get(column.key)
    return None if cell is None else cell.spread


def latex(table: Tabular) -> str:
    """A `tabular` for booktabs: best bold, second best underlined; what was measured as comments."""
    marks = (r"\textbf{{{}}}", r"\underline{{{}}}", "{}")
    spans = [rf"\multicolumn{{{width}}}{{c}}{{{name}}}" for name, width in spanned(table).items()]
    titles = [
        table.rows_are.capitalize(),
        *(heading(column).translate(LATEX_ESCAPES) for column in table.columns),
    ]
    body = [
        [row.name.translate(LATEX_ESCAPES)]
        + [marks[place].format(text.translate(LATEX_ESCAPES)) for text, place in cells]
        for row, cells in zip(table.rows, texts(table), strict=True)
    ]
    head, *rows = [" & ".join(line) + r" \\" for line in (["", *spans], titles, *body)]
    lines = [
        *(f"% {line}" for line in below(table)),
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        *(r"\toprule", head, rows[0]),
        *(r"\midrule", *rows[1:]),
        *(r"\bottomrule", r"\end{tabular}"),
    ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class TerminalTable:
    """For a terminal: best bold, second best underlined. Columns that do not fit continue in a grid below."""

    table: Tabular

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        longest = max((len(row.name) for row in self.table.rows), default=len(self.table.rows_are))
        narrowest = min(longest, 20)  # names may be broken on a narrow terminal
        start, columns = 0, self.table.columns
        for stop in range(1, len(columns) + 1):
            if stop < len(columns):
                wider = self._grid(columns[start : stop + 1], start, narrowest)
                widest = console.measure(wider, options=options.update(max_width=1000)).maximum
                if widest - longest + narrowest <= options.max_width:
                    continue
            yield self._grid(columns[start:stop], start, narrowest)
            start = stop
        yield Text("\n".join(below(self.table)), style="dim")

    def _grid(self, columns: Sequence[Column], start: int, narrowest: int) -> Grid:
        """Some columns, of which the first is number `start`."""
        from rich import box
        from rich.table import Table as Grid
        from rich.text import Text

        grid = Grid(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False, padding=(0, 1))
        grid.add_column(f"\n{self.table.rows_are}", overflow="fold", min_width=narrowest)
        for column in columns:
            title = Text(f"{column.group}\n{heading(column)}")
            grid.add_column(title, justify="right", no_wrap=True)
        for row, cells in zip(self.table.rows, texts(self.table), strict=True):
            shown = cells[start : start + len(columns)]
            styled = (Text(text, style=("bold", "underline", "")[place]) for text, place in shown)
            grid.add_row(Text(row.name), *styled)
        return grid


def heading(column: Column) -> str:
    """The title of a column, with an arrow to where it is better."""
    return column.title + ARROWS[column.better]


def spanned(table: Tabular) -> dict[str, int]:
    """The groups of columns, each with the number of its columns."""
    groups = [column.group for column in table.columns]
    return {name: groups.count(name) for name in groups}


def below(table: Tabular) -> list[str]:
    """What was measured, and the notes, a line each."""
    lines = [*(f"{key}: {value}" for key, value in table.about.items()), *table.notes]
    return [" ".join(line.split()) for line in lines]
