"""The table of an evaluation as Markdown, as LaTeX and for a terminal: best bold, second best marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hqgen.files import write_atomically
from spikeclip.evaluation.table import Column, ResultTable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table as Grid

ARROWS = {"lower": " ↓", "higher": " ↑", None: ""}

LATEX_ESCAPES = str.maketrans(
    {char: f"\\{char}" for char in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"±": r"$\pm$", "↓": r"$\downarrow$", "↑": r"$\uparrow$"}
)


def write_table(table: ResultTable, folder: Path) -> None:
    """Write `table.json`, `table.md` and `table.tex`."""
    write_atomically(folder / "table.json", table.to_json())
    write_atomically(folder / "table.md", markdown(table))
    write_atomically(folder / "table.tex", latex(table))


def markdown(table: ResultTable) -> str:
    """The best of a column bold, the second best in italics; below it what was evaluated and the notes."""
    marks = ("**{}**", "*{}*", "{}")
    groups = [f" {column.group}" if column.group != "cost" else "" for column in table.columns]
    lines = [
        ["method", *(_heading(column) + group for column, group in zip(table.columns, groups, strict=True))],
        ["---", *["---:"] * len(table.columns)],
    ]
    for row, cells in zip(table.rows, table.texts(), strict=True):
        name = " ".join(row.name.replace("|", r"\|").split())
        lines.append([name, *(marks[place].format(text) for text, place in cells)])
    grid = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([*grid, "", *(f"- {line}" for line in _below(table))]).rstrip() + "\n"


def latex(table: ResultTable) -> str:
    """A `tabular` for booktabs: best bold, second best underlined; what was evaluated as comments."""
    marks = (r"\textbf{{{}}}", r"\underline{{{}}}", "{}")
    groups = [column.group for column in table.columns]
    spans = [rf"\multicolumn{{{groups.count(name)}}}{{c}}{{{name}}}" for name in dict.fromkeys(groups)]
    heading = ["Method", *(_heading(column).translate(LATEX_ESCAPES) for column in table.columns)]
    body = [
        [row.name.translate(LATEX_ESCAPES)]
        + [marks[place].format(text.translate(LATEX_ESCAPES)) for text, place in cells]
        for row, cells in zip(table.rows, table.texts(), strict=True)
    ]
    head, *rows = [" & ".join(line) + r" \\" for line in (["", *spans], heading, *body)]
    lines = [
        *(f"% {line}" for line in _below(table)),
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        *(r"\toprule", head, rows[0]),
        *(r"\midrule", *rows[1:]),
        *(r"\bottomrule", r"\end{tabular}"),
    ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class TerminalTable:
    """For a terminal: best bold, second best underlined. Columns that do not fit continue in a grid below."""

    table: ResultTable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        longest = max((len(row.name) for row in self.table.rows), default=len("method"))
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
        yield Text("\n".join(_below(self.table)), style="dim")

    def _grid(self, columns: Sequence[Column], start: int, narrowest: int) -> Grid:
        """Some columns, of which the first is number `start`."""
        from rich import box
        from rich.table import Table as Grid
        from rich.text import Text

        grid = Grid(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False, padding=(0, 1))
        grid.add_column("\nmethod", overflow="fold", min_width=narrowest)
        for column in columns:
            title = Text(f"{column.group}\n{_heading(column)}")
            grid.add_column(title, justify="right", no_wrap=True)
        for row, cells in zip(self.table.rows, self.table.texts(), strict=True):
            shown = cells[start : start + len(columns)]
            styled = (Text(text, style=("bold", "underline", "")[place]) for text, place in shown)
            grid.add_row(Text(row.name), *styled)
        return grid


def _heading(column: Column) -> str:
    return column.title + ARROWS[column.better]


def _below(table: ResultTable) -> list[str]:
    """What was evaluated, and the notes."""
    return [*(f"{key}: {value}" for key, value in table.about.items()), *table.notes]
