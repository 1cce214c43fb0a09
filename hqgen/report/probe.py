"""What `hqgen probe` found, as tables for the terminal and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Group, RenderableType
from rich.text import Text

from hqgen.drawing import GAP, HEADING, INK, QUIET, SMALL, WARNING, WINNER, Part, resized, save, stacked
from hqgen.errors import ScoreError
from hqgen.quality.normalise import to_uint8
from hqgen.report.terminal import add_row, house_table
from hqgen.spikes.camera import VIDAR
from hqgen.spikes.plausibility import Reading
from hqgen.spikes.probe import Facts, Probe
from hqgen.text import byte_size, count

SHOWN = 4
"""Readings of a file that a picture shows."""

TILE, HEIGHT = 400, 300

VERDICTS = {
    "fits": "is plausible as it is read",
    "unclear": "shows too little light or structure to say how it must be read",
    "doubtful": "may be misread",
    "misread": "is not read as it was written",
}


def probe_view(probes: Sequence[Probe]) -> RenderableType:
    """A heading, a table of readings and the facts of each file."""
    return Group(*(part for probe in probes for part in _parts(probe)))


def _parts(probe: Probe) -> list[RenderableType]:
    table = house_table("reading", "frames", "pixels", "rows", "columns", "pause", "", right=range(1, 6))
    for reading in probe.readings:
        row = describe(probe, reading)
        add_row(table, *row, style="" if reading is probe.best else "dim")
    lines = [Text.assemble((str(probe.path), "bold"), f"  {byte_size(probe.size)}  {conclusion(probe)}")]
    return [*lines, table, Text(facts_line(probe), style="dim"), Text("")]


def describe(probe: Probe, reading: Reading) -> list[str]:
    """A row of the table: the reading, its size, its signs and what it is."""
    frames, height, width = reading.shape
    signs = reading.signs
    given = probe.verdict is not None and reading is probe.verdict.given
    marks = [mark for mark, holds in (("as asked", given), ("best", reading is probe.best)) if holds]
    numbers = [f"{signs.rows:.2f}", f"{signs.columns:.2f}", f"{signs.pause:.2f}"]
    return [name_of(reading), f"{frames:,}", f"{height}x{width}", *numbers, ", ".join(marks)]


def name_of(reading: Reading) -> str:
    """What distinguishes a reading: its size on disk, and what is not usual of it."""
    camera = reading.camera
    unusual = {name: value for name, value in camera.described().items() if name not in ("axes", "padding")}
    columns = f"{reading.shape[2]}+{camera.padding}" if camera.padding else f"{reading.shape[2]}"
    parts = [f"{reading.shape[1]}x{columns}", camera.axes or "", *(str(value) for value in unusual.values())]
    return " ".join(part for part in parts if part and part != "THW")


def conclusion(probe: Probe) -> str:
    """What to do with the file, in one line."""
    if probe.verdict is None:
        what = f"cannot be read as asked: {probe.problem}"
    else:
        what = VERDICTS[probe.verdict.kind] + (f": {probe.verdict.reason}" if probe.verdict.reason else "")
    if probe.best is None:
        return f"{what}; no other reading is plausible"
    return f"{what}; use: {probe.proposal}" if probe.proposal else what


def facts_line(probe: Probe) -> str:
    """What the frames hold, and what cannot be seen."""
    facts = probe.facts
    pixels = (probe.best or probe.readings[0]).signs.pixels
    parts = [
        f"{facts.rate:.4f} spikes per frame and pixel",
        f"{count(facts.hot, 'hot pixel')}",
        f"{facts.dead / pixels:.1%} never fire in the first window",
        f"{facts.saturated / pixels:.1%} are saturated",
        _flicker(facts),
    ]
    if facts.padding:
        parts.append(
            f"the last {facts.padding} columns do not look like picture: `--padding {facts.padding}`"
        )
    unseen = "upside down"
    if (probe.best or probe.readings[0]).shape[1:] not in (VIDAR, VIDAR[::-1]):
        unseen += ", or with rows and columns exchanged,"
    return "\n".join([*parts, f"whether the picture is {unseen} cannot be seen without ground truth"])


def _flicker(facts: Facts) -> str:
    varies = f"the brightness of whole frames varies by {facts.flicker:.1%}"
    return varies + (f", with a period of {facts.flicker_period:.0f} frames" if facts.flicker_period else "")


def draw(probes: Sequence[Probe], path: Path) -> None:
    """Draw the most plausible readings of each file, and the one that was asked for.

    Raises:
        UsageError: the picture cannot be written.
    """
    width = SHOWN * TILE + (SHOWN - 1) * GAP
    save(stacked([part for probe in probes for part in _drawn(probe, width)], width), path)


def _drawn(probe: Probe, width: int) -> list[Image.Image]:
    title = Part(width, 84)
    title.text((0, 0), title.fitted(probe.path.name, HEADING, width), HEADING)
    title.text((0, 44), title.fitted(conclusion(probe), SMALL, width), SMALL, QUIET)
    chosen = [place for place, reading in enumerate(probe.readings) if _asked(probe, reading)]
    chosen += [place for place in range(len(probe.readings)) if place not in chosen]
    row = Part(width, HEIGHT + 96)
    for column, place in enumerate(chosen[:SHOWN]):
        reading = probe.readings[place]
        left = column * (TILE + GAP)
        picture = _picture(probe.pictures[place])
        row.image.paste(picture, (left, 0))
        colour = WINNER if reading is probe.best else WARNING if _asked(probe, reading) else INK
        cells = describe(probe, reading)
        mark = f" ({cells[-1]})" if cells[-1] else ""
        row.text((left, picture.height + 8), row.fitted(cells[0] + mark, SMALL, TILE), SMALL, colour)
        signs = f"rows {cells[3]}, columns {cells[4]}, pause {cells[5]}"
        row.text((left, picture.height + 34), signs, SMALL, QUIET)
    return [title.image, row.image]


def as_json(probe: Probe) -> dict[str, Any]:
    """The same for a script; without the pictures."""
    verdict = probe.verdict
    return {
        "path": str(probe.path),
        "size": probe.size,
        "verdict": "unreadable" if verdict is None else verdict.kind,
        "reason": probe.problem if verdict is None else verdict.reason,
        "proposal": probe.proposal,
        "camera": None if probe.best is None else probe.best.camera.stated(),
        "facts": asdict(probe.facts),
        "readings": [
            {"camera": reading.camera.stated(), "shape": reading.shape, "signs": asdict(reading.signs)}
            for reading in probe.readings
        ],
    }


def _asked(probe: Probe, reading: Reading) -> bool:
    return probe.verdict is not None and reading is probe.verdict.given


def _picture(counts: Any) -> Image.Image:
    height, width = counts.shape
    scale = min(TILE / width, HEIGHT / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    try:
        return resized(to_uint8(counts), *size)
    except ScoreError:  # a dark picture has no white point
        return Image.new("L", size, 0)
