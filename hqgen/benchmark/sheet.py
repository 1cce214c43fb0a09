"""The contact sheet: of every sample the same small region, large, as every method shows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hqgen.benchmark.measure import Pair, Places
from hqgen.benchmark.results import Benchmark, Judged
from hqgen.benchmark.tables import TRUTH
from hqgen.drawing import (
    BLANK,
    BODY,
    HAIRLINE,
    HEADING,
    QUIET,
    SMALL,
    TITLE,
    WINNER,
    Part,
    resized,
    save,
    stacked,
    wrapped,
)
from hqgen.errors import ScoreError
from hqgen.quality.normalise import to_uint8
from hqgen.sources.samples import Sample
from hqgen.sources.source import Source
from hqgen.spikes.kernels import count_spikes

SIDE = 80
"""Rows and columns of a region."""

ZOOM = 3

COLUMNS = 8
"""Tiles in a line at most."""

TILE, GAP = SIDE * ZOOM, 16

DETAIL = 9
"""Side of the squares whose deviation is the structure of a place."""

WINDOW = (20, 20)
"""Frames before and after the key frame whose spikes are counted where there is no ground truth."""


class Region(NamedTuple):
    """A square of a picture: the first row and column, and the side."""

    top: int
    left: int
    side: int

    def of(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The region of a picture (H, W)."""
        return picture[self.top : self.top + self.side, self.left : self.left + self.side]


def interesting(picture: NDArray[np.float32]) -> Region:
    """The region with most structure: with the largest mean of the deviation in small squares.

    Args:
        picture: (H, W); of equal regions the first by row and column is taken.
    """
    from scipy.ndimage import uniform_filter

    values = picture.astype(np.float64)
    mean = uniform_filter(values, DETAIL)
    deviation = np.sqrt(np.maximum(uniform_filter(values**2, DETAIL) - mean**2, 0))
    side = min(SIDE, *picture.shape)
    sums = np.pad(deviation, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    boxes = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = np.unravel_index(int(np.argmax(boxes.round(6))), boxes.shape)
    return Region(int(top), int(left), side)


def draw_sheet(found: Benchmark, pairs: Sequence[Pair], crops: int, path: Path) -> None:
    """Draw samples of every source, spread evenly, as a PNG.

    Args:
        found: the results.
        pairs: those that it was made of.
        crops: samples of each source at most.
        path: where to write.

    Raises:
        UsageError: it cannot be written.
    """
    most = 2 + len({pair.facts.label for pair in pairs})  # with the overview and the ground truth
    columns = min(max(most, 5), COLUMNS)
    width = columns * TILE + (columns - 1) * GAP
    parts = [_title(width)]
    for source in {pair.source.name: pair.source for pair in pairs}.values():
        parts.append(_heading(source, width))
        mine = [pair for pair in pairs if pair.source is source]
        places, taken = Places(), min(crops, len(source.samples))
        chosen = np.linspace(0, len(source.samples) - 1, taken).round().astype(int).tolist()
        parts += [_sample(found, mine, index, places, width) for index in chosen]
    save(stacked(parts, width), path)


def _title(width: int) -> Image.Image:
    part = Part(width, 112)
    part.text((0, 0), "Benchmark", TITLE)
    region = f"the region of {SIDE}x{SIDE} pixels with most structure, {ZOOM} times as large"
    numbers = "numbers: PSNR at best gain, or NIQE where there is no ground truth"
    part.text((0, 64), f"{region}; {numbers}", BODY, QUIET)
    return part.image


def _heading(source: Source, width: int) -> Image.Image:
    part = Part(width, 100)
    part.draw.line((0, 12, width, 12), fill=HAIRLINE, width=2)
    part.text((0, 36), source.name, HEADING)
    return part.image


def _sample(found: Benchmark, pairs: Sequence[Pair], index: int, places: Places, width: int) -> Image.Image:
    source, sample = pairs[0].source, pairs[0].source.samples[index]
    truth = source.truth(sample)
    whole = truth.light() if truth is not None else _counted(sample, places)
    region = interesting(whole)
    tiles = [_overview(whole, region)]
    if truth is not None:
        tiles.append(_tile(whole, region, TRUTH, ""))
    for pair in pairs:
        result = found.result(pair.facts.label, source.name)
        judged = result.judged.get(sample.key)
        reason = result.samples[index].reason or ""
        tiles.append(_tile(pair.picture(index), region, pair.facts.label, _number(judged), reason))
    lines = [tiles[start : start + COLUMNS] for start in range(0, len(tiles), COLUMNS)]
    part = Part(width, 44 + len(lines) * (tiles[0].height + 8) + 20)
    part.text((0, 4), part.fitted(f"{sample.key}, frame {sample.centre}", BODY, width), BODY, QUIET)
    for row, line in enumerate(lines):
        for column, tile in enumerate(line):
            part.image.paste(tile, (column * (TILE + GAP), 44 + row * (tile.height + 8)))
    return part.image


def _counted(sample: Sample, places: Places) -> NDArray[np.float32]:
    return count_spikes(places.window(sample, WINDOW).spikes).astype(np.float32)


def _number(judged: Judged | None) -> str:
    if judged is None:
        return ""
    if judged.fitted is not None:
        return "" if judged.fitted.psnr is None else f"{judged.fitted.psnr:.1f} dB"
    score = judged.bright.get("niqe")
    return "" if score is None else f"{score:.2f}"


def _overview(picture: NDArray[np.float32], region: Region) -> Image.Image:
    """The whole picture, as large as a tile allows, and where the region is."""
    part = Part(TILE, TILE + 32)
    grey = _grey(picture)
    if grey is not None:
        scale = TILE / max(grey.shape)
        height, width = (max(round(length * scale), 1) for length in grey.shape)
        part.image.paste(resized(grey, width, height), (0, 0))
        left, top, end = (round(n * scale) for n in (region.left, region.top, region.side))
        part.draw.rectangle((left, top, left + end - 1, top + end - 1), outline=WINNER, width=2)
    return part.image


def _tile(
    image: NDArray[np.float32] | None, region: Region, name: str, number: str, reason: str = ""
) -> Image.Image:
    part = Part(TILE, TILE + 32)
    grey = None if image is None else _grey(image)
    if grey is None:
        part.draw.rectangle((0, 0, TILE - 1, TILE - 1), fill=BLANK, outline=HAIRLINE)
        part.block(wrapped(reason or "not a picture", TILE - 32, SMALL), TILE // 2, TILE // 2)
    else:
        crop = Image.fromarray(np.ascontiguousarray(region.of(grey)))
        part.image.paste(crop.resize((TILE, TILE), Image.Resampling.NEAREST), (0, 0))
    room = TILE - part.length(number, SMALL) - 8
    part.text((0, TILE + 5), part.fitted(name, SMALL, room), SMALL)
    part.text((TILE, TILE + 5), number, SMALL, QUIET, anchor="ra")
    return part.image


def _grey(image: NDArray[np.float32]) -> NDArray[np.uint8] | None:
    """The picture at the brightness that all share."""
    try:
        return to_uint8(image)
    except ScoreError:
        return None
