"""Histograms as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

__all__ = ["histograms"]

WIDTH, LABEL, ROW, AXIS = 720, 110, 40, 26
BINS = 60


def histograms(values: Mapping[str, Sequence[float]], *, marked: str, unit: str) -> str:
    """Histograms of several sets of values below each other, over one axis.

    The axis ends at the 1st and 99th percentile of all values; what lies beyond counts in the outermost bins.

    Args:
        values: the sets by name; each may be empty.
        marked: the one that is drawn in the accent colour.
        unit: name of the axis.

    Returns:
        An `<svg>` element whose colours are the page's CSS variables; empty where there is no value at all.
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
    for value in _ticks(low, high):
        x = LABEL + (WIDTH - LABEL) * (value - low) / (high - low)
        marks.append(f'<text x="{x:.1f}" y="{top + 19}" text-anchor="middle">{value:g}</text>')
    return f'<text x="{LABEL - 12}" y="{top + 19}" text-anchor="end">{escape(unit)}</text>' + "".join(marks)


def _ticks(low: float, high: float) -> list[float]:
    """About six round numbers within the range."""
    rough = (high - low) / 6
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    numbers = np.arange(np.ceil(low / step), np.floor(high / step) + 1)
    return [round(float(number * step), 10) for number in numbers]
