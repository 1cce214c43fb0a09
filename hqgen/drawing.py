"""What contact sheets are drawn with: type, colours, parts of a sheet, pictures in the size of a tile."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hqgen.errors import UsageError
from hqgen.files import writing
from hqgen.text import shortened

MARGIN, GAP = 72, 24
TITLE, HEADING, BODY, SMALL = 44, 32, 23, 19

PAPER = (255, 255, 255)
INK = (28, 28, 30)
QUIET = (122, 122, 128)
HAIRLINE = (222, 222, 226)
BLANK = (246, 246, 247)
WINNER = (0, 98, 178)
WARNING = (178, 60, 40)

Colour = tuple[int, int, int]


class Part:
    """A white piece of the sheet and what is drawn on it."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width, height), PAPER)
        self.draw = ImageDraw.Draw(self.image)

    def text(
        self, place: tuple[int, int], text: str, size: int, colour: Colour = INK, anchor: str = "la"
    ) -> None:
        """Write a line at a place (x, y), which `anchor` says of what: `la` is left and top."""
        self.draw.text(place, text, fill=colour, font=_font(size), anchor=anchor)

    def block(self, lines: Sequence[str], x: int, y: int) -> None:
        """Lines around a centre."""
        top = y - 13 * len(lines)
        for number, line in enumerate(lines):
            self.text((x, top + 26 * number), line, SMALL, QUIET, anchor="ma")

    def length(self, text: str, size: int) -> int:
        """Pixels that a text is wide."""
        return round(_font(size).getlength(text))

    def fitted(self, text: str, size: int, room: int) -> str:
        """The text, shortened until it fits into `room` pixels."""
        letters = len(text)
        while letters > 8 and self.length(shortened(text, letters), size) > room:
            letters -= 1
        return shortened(text, letters)


def stacked(parts: Sequence[Image.Image], width: int) -> Image.Image:
    """Parts one below the other, with a margin around; `width` is that of the content, in pixels."""
    sheet = Image.new("RGB", (width + 2 * MARGIN, sum(part.height for part in parts) + 2 * MARGIN), PAPER)
    top = MARGIN
    for part in parts:
        sheet.paste(part, (MARGIN - (part.width - width) // 2, top))
        top += part.height
    return sheet


def save(sheet: Image.Image, path: str | Path) -> None:
    """Write a sheet as a PNG.

    Raises:
        UsageError: it cannot be written.
    """
    with writing(Path(path)):
        sheet.save(path, format="PNG")


def resized(picture: NDArray[Any], width: int, height: int) -> Image.Image:
    """A grey picture, uint8 (H, W), in `width` x `height` pixels."""
    image = Image.fromarray(picture)
    return image if image.size == (width, height) else image.resize((width, height), Image.Resampling.LANCZOS)


def stamp(picture: NDArray[np.uint8], text: str) -> None:
    """Write a short text into the top left corner of a picture, uint8 (H, W) or (H, W, 3): white on black."""
    size = max(10, len(picture) // 20)
    left, top, right, bottom = _font(size).getbbox(text)
    label = Image.new("L", (round(right - left) + size // 2, round(bottom - top) + size // 2))
    ImageDraw.Draw(label).text((size // 4 - left, size // 4 - top), text, fill=255, font=_font(size))
    corner = picture[: label.height, : label.width]
    levels = np.asarray(label)[: corner.shape[0], : corner.shape[1]]
    corner[...] = levels if picture.ndim == 2 else levels[..., None]


def wrapped(text: str, width: int, size: int) -> list[str]:
    """Text in lines of a width in pixels; long reasons are cut after a few."""
    letters = max(int(width / (0.52 * size)), 8)
    return wrap(shortened(text, 6 * letters), letters)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise UsageError("Pillow was built without FreeType", hint="install Pillow's wheel from PyPI")
    return font
