"""A contact sheet: the best, worst and most ambiguous picks of every source, all candidates side by side."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from hqgen.drawing import (
    BLANK,
    BODY,
    GAP,
    HAIRLINE,
    HEADING,
    INK,
    QUIET,
    SMALL,
    TITLE,
    WARNING,
    WINNER,
    Part,
    resized,
    save,
    stacked,
    wrapped,
)
from hqgen.inspection.picks import Gallery, Pick, Tile
from hqgen.inspection.statistics import ManifestStatistics, SourceStatistics, statistics
from hqgen.text import count

COLUMNS = 6
"""Candidates in a line; more go to a second line, so that a sheet stays as wide as a page can show."""

TILE = 400
"""Pixels that a picture is wide at most: one of a Vidar camera is shown pixel by pixel."""

LEAST = 960
"""Pixels that the content of a sheet is wide at least, so that its title has room above small pictures."""

FRAME = 5
"""Pixels of the frame around a winner; it is outside the picture, of which it hides nothing."""

CAPTION = 40


def contact_sheet(manifest_path: str | Path, out_png: str | Path, data_root: Path | None = None) -> None:
    """Draw a contact sheet as a PNG.

    Args:
        manifest_path: the manifest of a finished store.
        out_png: where to write.
        data_root: where the catalog's folders are, for sources that are no longer where they were.

    Raises:
        SourceError: recordings are gone; the message names the folder.
        StoreError: there is no manifest or no complete store, or it cannot be made again by this version.
        UsageError: the picture cannot be written.
    """
    gallery = Gallery(manifest_path, data_root)
    found = statistics(gallery.manifest)
    width = _content_width(found)
    parts = [_title(found, width)]
    for index, source in enumerate(found.sources):
        parts.append(_source_heading(source, found.scorer, width))
        parts += [draw_pick(pick, width) for pick in gallery.picks(index)]
    save(stacked(parts, width), out_png)


def sample_sheet(
    manifest_path: str | Path, key: str, out_png: str | Path, data_root: Path | None = None
) -> None:
    """Draw one sample, with all its candidates side by side, as a PNG.

    Args:
        manifest_path: the manifest of a finished store.
        key: of the sample.
        out_png: where to write.
        data_root: where the catalog's folders are, for sources that are no longer where they were.

    Raises:
        UnknownNameError: the store has no such sample.
        SourceError, StoreError, UsageError: as `contact_sheet`.
    """
    pick = Gallery(manifest_path, data_root).sample(key)
    width, _ = _tile_size(pick)
    columns = min(max(len(pick.tiles), 3), COLUMNS)
    width = columns * width + (columns - 1) * GAP
    save(stacked([draw_pick(pick, width)], width), out_png)


def _content_width(found: ManifestStatistics) -> int:
    """As wide as the widest line of candidates; a few columns at least, so that captions have room."""
    columns = [min(max(len(source.methods), 3), COLUMNS) for source in found.sources]
    tiles = [min(source.width, TILE) for source in found.sources]
    return max(LEAST, *(n * tile + (n - 1) * GAP for n, tile in zip(columns, tiles, strict=True)))


def _title(found: ManifestStatistics, width: int) -> Image.Image:
    part = Part(width, 120)
    part.text((0, 0), f"{count(found.pictures, 'picture')} of {count(found.samples, 'sample')}", TITLE)
    plan = f"plan {found.plan_id}, {found.finished[:10]}"
    part.text((width, 20), plan, BODY, QUIET, anchor="ra")
    part.draw.rectangle((2, 72, 28, 92), outline=WINNER, width=FRAME)
    legend = f"the winner, as it is in the store; numbers are {found.scorer.upper()}, lower is better"
    part.text((42, 68), legend, BODY, QUIET)
    return part.image


def _source_heading(source: SourceStatistics, scorer: str, width: int) -> Image.Image:
    geometry = f"{source.height} x {source.width}, {source.pictures:,} of {count(source.samples, 'sample')}"
    summary = _summary(source, scorer)
    part = Part(width, 128)
    name = part.length(source.name, HEADING)
    fits = name + part.length(geometry, BODY) + part.length(summary, BODY) + 3 * 24 <= width
    if not fits:
        part = Part(width, 160)
    part.draw.line((0, 20, width, 20), fill=HAIRLINE, width=2)
    part.text((0, 44), source.name, HEADING)
    part.text((name + 24, 53), geometry, BODY, QUIET)
    if fits:
        part.text((width, 53), summary, BODY, QUIET, anchor="ra")
    else:
        part.text((0, 92), part.fitted(summary, BODY, width), BODY, QUIET)
    return part.image


def _summary(source: SourceStatistics, scorer: str) -> str:
    ranking = sorted(source.methods, key=lambda method: -method.wins)
    wins = ", ".join(f"{method.name} {method.wins:,}" for method in ranking[:3] if method.wins)
    if source.winners is None:
        return "no sample has a picture"
    return f"won by {wins}; median {scorer.upper()} of the winners {source.winners.median:.2f}"


def draw_pick(pick: Pick, width: int) -> Image.Image:
    """Draw a sample: a caption, then its candidates in lines.

    Args:
        pick: the sample.
        width: of the content, in pixels.

    Returns:
        An RGB image that is wider by `FRAME` at both sides.
    """
    tile_width, tile_height = _tile_size(pick)
    tiles = [_draw_tile(tile, tile_width, tile_height) for tile in pick.tiles]
    lines = [tiles[start : start + COLUMNS] for start in range(0, len(tiles), COLUMNS)]
    heights = [max(tile.height for tile in line) for line in lines]
    part = Part(width + 2 * FRAME, CAPTION + sum(heights) + 28)
    _caption(part, pick, width)
    top = CAPTION
    for line, height in zip(lines, heights, strict=True):
        for column, tile in enumerate(line):
            part.image.paste(tile, (column * (tile_width + GAP), top))
        top += height
    return part.image


def _tile_size(pick: Pick) -> tuple[int, int]:
    """Width and height of a picture as it is shown."""
    height, width = pick.shape
    shown = min(width, TILE)
    return shown, round(height * shown / width)


def _caption(part: Part, pick: Pick, width: int) -> None:
    right = "" if pick.winner is None else _margin(pick)
    part.text((FRAME + width, 8), right, BODY, QUIET, anchor="ra")
    left = FRAME
    if pick.kinds:
        kinds = ", ".join(pick.kinds).capitalize()
        part.text((FRAME, 8), kinds, BODY)
        left += part.length(kinds, BODY) + 24
    room = width - left - part.length(right, BODY) - 24
    part.text((left, 8), part.fitted(f"{pick.key}, frame {pick.frame}", BODY, room), BODY, QUIET)


def _margin(pick: Pick) -> str:
    if pick.margin is None:
        return "no runner-up"
    return f"margin {pick.margin:.3f}{', ambiguous' if pick.ambiguous else ''}"


def _draw_tile(tile: Tile, width: int, height: int) -> Image.Image:
    """A candidate in the room of its frame, with its name, score and, if there is one, its note."""
    note = wrapped(tile.note, width, SMALL) if tile.picture is not None else []
    part = Part(width + 2 * FRAME, height + 2 * FRAME + 46 + 24 * len(note))
    left, right, below = FRAME, FRAME + width, 2 * FRAME + height
    if tile.picture is None:
        part.draw.rectangle((left, FRAME, right - 1, FRAME + height - 1), fill=BLANK, outline=HAIRLINE)
        part.block(wrapped(tile.note, width - 48, SMALL), left + width // 2, FRAME + height // 2)
    else:
        part.image.paste(resized(tile.picture, width, height), (left, FRAME))
    if tile.winner:
        part.draw.rectangle((0, 0, right + FRAME - 1, below - 1), outline=WINNER, width=FRAME)
    colour = WINNER if tile.winner else INK
    score = "" if tile.score is None else f"{tile.score:.3f}"
    name = f"{tile.method}, winner" if tile.winner else tile.method
    if part.length(f"{name}  {score}", BODY) > width:
        name = tile.method  # the frame says the rest
    part.text((left, below + 4), name, BODY, colour)
    part.text((right, below + 4), score, BODY, colour, anchor="ra")
    for number, line in enumerate(note):
        part.text((left, below + 34 + 24 * number), line, SMALL, WARNING)
    return part.image
