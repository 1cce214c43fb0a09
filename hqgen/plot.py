"""Histograms and curves as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

WIDTH, LABEL, ROW, AXIS = 720, 110, 40, 26
BINS = 60


def histograms(values: Mapping[str, Sequence[float]], *, marked: str, unit: str) -> str:
    """Histograms of several sets of values below each other, over one axis.

    The axis ends at the 1st and 99th percentile of all values; values beyond count in the outermost bins.

    Args:
        values: the sets by name; each may be empty.
        marked: the one that is drawn in the accent colour.
        unit: name of the axis.

    Returns:
        An `<svg>` element whose colours are the page's CSS variables; empty if there is no value at all.
    """
    every = [value for group in values.values() for value in group]
    if not every:
        return ""
    low, high = (float(end) for end in np.percentile(every, [1, 99]))
    low, high = (low - 0.5, high + 0.5) if high - low < 1e-6 else (low, high)
    height = ROW * len(values) + AXIS
    rows = [
        _row(name, group, index, (low, high), "accent" if name == marked else "bar")
        for index, (name, group) in enumerate(values.items())
    ]
    title = f"histograms of {escape(unit)} by method"
    start = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">'
    return "\n".join([start, *rows, _axis(low, high, ROW * len(values), unit), "</svg>"])


def _row(name: str, values: Sequence[float], index: int, ends: tuple[float, float], colour: str) -> str:
    bottom = ROW * (index + 1)
    bins, _ = np.histogram(np.clip(values, *ends), BINS, ends)
    tallest = max(int(bins.max()), 1)
    step = (WIDTH - LABEL) / BINS
    bars = "".join(
        f'<rect x="{LABEL + step * number:.1f}" y="{bottom - size:.1f}" width="{step - 1:.1f}" '
        f'height="{size:.1f}"/>'
        for number, found in enumerate(bins.tolist())
        if found and (size := (ROW - 10) * found / tallest)
    )
    label = f'<text x="{LABEL - 12}" y="{bottom - 4}" text-anchor="end">{escape(name)}</text>'
    line = f'<line x1="{LABEL}" x2="{WIDTH}" y1="{bottom}" y2="{bottom}"/>'
    return f'{label}{line}<g class="{colour}">{bars}</g>'


def _axis(low: float, high: float, top: int, unit: str) -> str:
    marks = []
    for value in ticks(low, high):
        x = LABEL + (WIDTH - LABEL) * (value - low) / (high - low)
        marks.append(f'<text x="{x:.1f}" y="{top + 19}" text-anchor="middle">{value:g}</text>')
    return f'<text x="{LABEL - 12}" y="{top + 19}" text-anchor="end">{escape(unit)}</text>' + "".join(marks)


def ticks(low: float, high: float, about: int = 6) -> list[float]:
    """About so many round numbers within a range that is not empty."""
    rough = (high - low) / about
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    numbers = np.arange(np.ceil(low / step), np.floor(high / step) + 1)
    return [float(f"{number * step + 0.0:.10g}") for number in numbers]  # `+ 0.0`: never -0


PANEL_WIDTH, PANEL_HEIGHT = 460, 300
PANELS_A_ROW = 3
LEFT, RIGHT, TOP, BOTTOM = 76, 20, 40, 44
LINES = ("first", "second")
"""Classes of the lines of a panel; a page gives them their colours."""

FILE_STYLE = (
    "text{fill:#282828}.grid{stroke:#e1e1e1}.axis{fill:none;stroke:#282828}"
    "polyline{fill:none;stroke-width:2}polyline.first{stroke:#0056b3}polyline.second{stroke:#c85a14}"
    "circle.first,text.first{fill:#0056b3}circle.second,text.second{fill:#c85a14}"
)
"""The colours of a file, which has no page around it."""

Line = Sequence[tuple[float, float]]


def curves(panels: Mapping[str, Mapping[str, Line]], unit: str) -> str:
    """Lines in panels, three side by side, as an SVG file.

    Args:
        panels: by their headings the lines of each, (x, y) of their points, by name; at least one has a
            point. All but the first of a panel, which the heading means, are named in it.
        unit: name of the axis of x.

    Returns:
        the content of the file.
    """
    columns, rows = min(len(panels), PANELS_A_ROW), -(-len(panels) // PANELS_A_ROW)
    size = f'width="{PANEL_WIDTH * columns}" height="{PANEL_HEIGHT * rows}"'
    drawn = []
    for number, (heading, lines) in enumerate(panels.items()):
        down, across = divmod(number, PANELS_A_ROW)
        place = f"translate({PANEL_WIDTH * across} {PANEL_HEIGHT * down})"
        drawn.append(f'<g transform="{place}">{_panel(heading, lines, unit)}</g>')
    start = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">'
    style = f"<style>{FILE_STYLE}</style>"
    return "\n".join([start, style, '<rect width="100%" height="100%" fill="white"/>', *drawn, "</svg>\n"])


def curve_panel(heading: str, lines: Mapping[str, Line], unit: str) -> str:
    """One panel of `curves` as an `<svg>` element of a page, which gives its classes their colours."""
    start = f'<svg class="panel" viewBox="0 0 {PANEL_WIDTH} {PANEL_HEIGHT}" role="img"'
    return f'{start} aria-label="{escape(heading)}">{_panel(heading, lines, unit)}</svg>'


def _panel(heading: str, lines: Mapping[str, Line], unit: str) -> str:
    right, bottom = PANEL_WIDTH - RIGHT, PANEL_HEIGHT - BOTTOM
    last = max(x for line in lines.values() for x, _ in line)
    low, high = _span([y for line in lines.values() for _, y in line])

    def across(x: float) -> float:
        return LEFT + (right - LEFT) * x / last

    def up(y: float) -> float:  # a value beyond an end is drawn at the end
        return bottom - (bottom - TOP) * min(max((y - low) / (high - low), 0.0), 1.0)

    grid = [
        *((across(x), TOP, across(x), bottom) for x in ticks(0, last, 5)),
        *((LEFT, up(y), right, up(y)) for y in ticks(low, high, 5)),
    ]
    parts = [
        *(
            f'<line class="grid" x1="{x:.1f}" y1="{y:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
            for x, y, x2, y2 in grid
        ),
        f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>',
        _text(LEFT, 24, heading, "start"),
        _text(right, PANEL_HEIGHT - 8, unit, "end"),
        *(_text(across(x), bottom + 18, f"{x:g}", "middle") for x in ticks(0, last, 5)),
        *(_text(LEFT - 8, up(y) + 4, f"{y:.4g}", "end") for y in ticks(low, high, 5)),
    ]
    for number, (name, line) in enumerate(lines.items()):
        kind = LINES[number % len(LINES)]
        points = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in line)
        parts.append(f'<polyline class="{kind}" points="{points}"/>')
        if len(line) == 1:
            x, y = points.split(",")
            parts.append(f'<circle class="{kind}" cx="{x}" cy="{y}" r="3"/>')
        if number:
            parts.append(_text(right, 24, name, "end", kind))
    return "".join(parts)


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _span(values: Sequence[float]) -> tuple[float, float]:
    """Ends of the axis: the very first losses may be far out, and would flatten all others."""
    low, high = (
        min(values),
        max(float(np.percentile(values, 98, method="lower")), *values[len(values) // 10 :]),
    )
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room
