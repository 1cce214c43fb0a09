"""The same few samples at every epoch, to see what a network has learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hqgen.errors import ScoreError
from hqgen.pictures import webp
from hqgen.quality.normalise import to_uint8
from hqgen.text import shortened

Images = NDArray[np.float32]
"""What one network makes of the samples, (N, H, W)."""

SHOWN = 6
"""Samples that are shown."""

SIDE = 160
"""Pixels that a small picture is enlarged to, at least."""

SMALL, QUALITY = 240, 75
"""Pixels that a side of a picture of `row` has at most, and its WebP quality."""

GAP, LEFT, TOP = 6, 76, 26
PAPER, INK = (255, 255, 255), (40, 40, 40)


def grid(rows: Mapping[str, Images], columns: Sequence[str]) -> Image.Image:
    """Pictures of the same samples, one row for each way in which they were made.

    Every picture has its own gain, the one that `hqgen` gives a candidate: only so can dark and bright rows
    be compared at all.

    Args:
        rows: the name of a row, and its images.
        columns: what stands above the columns, N labels.
    """
    pictures = {name: [_picture(image) for image in images] for name, images in rows.items()}
    height, width = next(iter(pictures.values()))[0].shape
    factor = max(1, -(-SIDE // max(height, width)))
    height, width = height * factor, width * factor
    font = ImageFont.load_default(14)
    left = max(LEFT, *(12 + round(font.getlength(name)) for name in rows))
    size = (left + len(columns) * (width + GAP), TOP + len(rows) * (height + GAP))
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, label in enumerate(columns):
        text = shortened(label, max(6, width // 8))
        draw.text((left + number * (width + GAP), 6), text, fill=INK, font=font)
    for line, (name, images) in enumerate(pictures.items()):
        top = TOP + line * (height + GAP)
        draw.text((6, top + height // 2), name, fill=INK, font=font, anchor="lm")
        for number, image in enumerate(images):
            shown = Image.fromarray(image).resize((width, height), Image.Resampling.NEAREST)
            sheet.paste(shown, (left + number * (width + GAP), top))
    return sheet


def row(images: Images) -> bytes:
    """The pictures side by side, each with its own gain, as a small WebP file: of six about 30 kB."""
    pictures = [_picture(image) for image in images]
    factor = -(-max(pictures[0].shape) // SMALL)
    return webp(Image.fromarray(np.hstack(pictures)).reduce(factor), QUALITY)


def _picture(image: NDArray[Any]) -> NDArray[np.uint8]:
    try:
        return to_uint8(image)
    except ScoreError:  # an untrained network may put out nothing that can be seen: that is what is shown
        return np.zeros(image.shape, np.uint8)
