"""The learning curve of a stage, as a table and as a picture."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hqgen.files import write_atomically
from hqgen.pictures import png

__all__ = ["Point", "draw_curve", "write_curve"]

PANEL_WIDTH, PANEL_HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 76, 20, 40, 44
SHARP = 3  # drawn this much larger and scaled down, as Pillow draws lines without smoothing

PAPER, INK, GRID = (255, 255, 255), (40, 40, 40), (225, 225, 225)
TRAINING, VALIDATION = (0, 86, 179), (200, 90, 20)


@dataclass(frozen=True)
class Point:
    """One point of a learning curve.

    Attributes:
        step: steps done.
        epoch: epochs begun, from 1.
        losses: mean of each loss since the point before; the first is the one that is minimised.
        validation: loss of the held-out samples, where an epoch ended here.
        seconds: spent in training, of all runs together.
    """

    step: int
    epoch: int
    losses: dict[str, float]
    validation: float | None
    seconds: float


def write_curve(folder: Path, title: str, curve: Sequence[Point]) -> None:
    """Write `curve.csv` and `curve.png`."""
    write_atomically(folder / "curve.csv", _table(curve))
    write_atomically(folder / "curve.png", png(draw_curve(title, curve)))


def _table(curve: Sequence[Point]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(curve[0].losses)
    writer.writerow(["step", "epoch", *names, "validation", "seconds"])
    for point in curve:
        losses = [f"{point.losses[name]:.6g}" for name in names]
        validation = "" if point.validation is None else f"{point.validation:.6g}"
        writer.writerow([point.step, point.epoch, *losses, validation, f"{point.seconds:.1f}"])
    return text.getvalue()


def draw_curve(title: str, curve: Sequence[Point]) -> Image.Image:
    """A panel for each loss over the steps, side by side; the validation loss is in the first one.

    Args:
        title: stands above the first panel.
        curve: one point at least.
    """
    names = list(curve[0].losses)
    sheet = Image.new("RGB", (PANEL_WIDTH * len(names), PANEL_HEIGHT), PAPER)
    for number, name in enumerate(names):
        lines = [([(point.step, point.losses[name]) for point in curve], TRAINING)]
        held_out = [(p.step, p.validation) for p in curve if p.validation is not None]
        if held_out and number == 0:
            lines.append((held_out, VALIDATION))
        heading = f"{title}: {name}" if number == 0 else name
        sheet.paste(_panel(heading, lines), (number * PANEL_WIDTH, 0))
    return sheet


Colour = tuple[int, int, int]
Line = tuple[list[tuple[int, float]], Colour]


def _panel(heading: str, lines: Sequence[Line]) -> Image.Image:
    values = [value for line, _ in lines for _, value in line]
    last = max(step for line, _ in lines for step, _ in line)
    across, up = (
        _Axis(0, last, PANEL_WIDTH - LEFT - RIGHT),
        _Axis(*_span(values), PANEL_HEIGHT - TOP - BOTTOM),
    )
    image = Image.new("RGB", (PANEL_WIDTH * SHARP, PANEL_HEIGHT * SHARP), PAPER)
    draw = ImageDraw.Draw(image)
    _draw_axes(draw, across, up)
    for line, colour in lines:
        places = [(LEFT + across.at(step), PANEL_HEIGHT - BOTTOM - up.at(value)) for step, value in line]
        _draw_line(draw, places, colour)
    _text(draw, (LEFT, 12), heading, INK, "la")
    if len(lines) > 1:
        _text(draw, (PANEL_WIDTH - RIGHT, 12), "held-out samples", VALIDATION, "ra")
    return image.resize((PANEL_WIDTH, PANEL_HEIGHT), Image.Resampling.LANCZOS)


def _span(values: Sequence[float]) -> tuple[float, float]:
    """Ends of the axis: the very first losses may be far out, and would flatten all others."""
    low, high = min(values), max(float(np.percentile(values, 98)), *values[len(values) // 10 :])
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    length: int

    def at(self, value: float) -> float:
        """Pixels from the low end; what lies beyond an end is drawn at it."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0) * self.length

    def ticks(self) -> list[float]:
        """About five round numbers within the range."""
        rough = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
        return [step * n for n in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


def _draw_axes(draw: ImageDraw.ImageDraw, across: _Axis, up: _Axis) -> None:
    left, bottom = LEFT, PANEL_HEIGHT - BOTTOM
    right, top = PANEL_WIDTH - RIGHT, TOP
    for value in across.ticks():
        x = left + across.at(value)
        _draw_line(draw, [(x, top), (x, bottom)], GRID, 1)
        _text(draw, (x, bottom + 6), f"{value:g}", INK, "ma")
    for value in up.ticks():
        y = bottom - up.at(value)
        _draw_line(draw, [(left, y), (right, y)], GRID, 1)
        _text(draw, (left - 8, y), f"{value:.4g}", INK, "rm")
    _draw_line(draw, [(left, top), (left, bottom), (right, bottom)], INK, 1)
    _text(draw, (right, PANEL_HEIGHT - 6), "step", INK, "rd")


def _draw_line(
    draw: ImageDraw.ImageDraw,
    places: Sequence[tuple[float, float]],
    colour: Colour,
    width: int = 2,
) -> None:
    scaled = [(x * SHARP, y * SHARP) for x, y in places]
    draw.line(scaled, fill=colour, width=width * SHARP, joint="curve")
    if len(scaled) == 1 and width > 1:
        (x, y), size = scaled[0], 3 * SHARP
        draw.ellipse((x - size, y - size, x + size, y + size), fill=colour)


def _text(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    colour: Colour,
    anchor: str,
) -> None:
    x, y = place
    draw.text((x * SHARP, y * SHARP), text, fill=colour, font=_font(13 * SHARP), anchor=anchor)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
