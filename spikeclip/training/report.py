"""A training as one page: how it learns, what it makes of the same samples, its tables, settings and time.

The training writes `report.html` after each epoch and at its end. `spikeclip view` shows the same page live,
with pictures that are files of a server instead of parts of the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from hqgen.files import write_atomically
from hqgen.plot import Line, curve_panel
from hqgen.report.page import data_uri, environment, resource, whole_page
from hqgen.text import count, duration
from spikeclip.training.settings import TrainSettings
from spikeclip.training.status import Frame, StageStatus, TrainingStatus, read_status

PACKAGE = "spikeclip.training"

FRAMES = 40
"""Epochs whose pictures are in a page; each makes it larger by about 40 kB."""

LINE_POINTS = 500
"""Points of a drawn line. Neighbours of a longer curve are averaged."""


def write_report(folder: Path, *, running: bool) -> None:
    """Write `report.html` of a training, whole or not at all.

    Args:
        folder: of the training.
        running: whether the training continues after this.

    Raises:
        OSError: it cannot be written.
    """
    status = read_status(folder, running=running)
    values = page_values(status, lambda frame: data_uri(frame.path.read_bytes(), "image/webp"))
    written = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    text = whole_page(
        report_environment(),
        "report.html",
        title=title(status),
        style=style(),
        script=resource("page.js", PACKAGE),
        written=written,
        **values,
    )
    write_atomically(status.folder.report, text)


def renew_report(folder: Path) -> None:
    """Write the report again where there is one and no training renews it: something else has changed.

    Raises:
        OSError: it cannot be written.
    """
    status = read_status(folder)
    if status.folder.report.is_file() and status.state != "running":
        write_report(folder, running=False)


@cache
def report_environment(*packages: str) -> Environment:
    """The templates of the page, and those of other packages."""
    made = environment(*packages, PACKAGE)
    made.filters |= {"duration": duration, "rate": _rate, "loss": "{:.4g}".format}
    return made


def style() -> str:
    """The CSS of the page."""
    return resource("style.css") + resource("training.css", PACKAGE)


def title(status: TrainingStatus) -> str:
    """What a tab of a browser calls the page."""
    return f"{status.name}: {headline(status)}"


def headline(status: TrainingStatus) -> str:
    """How far a training is, in one line."""
    stage = status.current
    if status.state == "absent":
        return "no training yet"
    if status.state == "complete":
        total = sum(stage.seconds for stage in status.stages)
        return f"complete, {count(len(status.stages), 'stage')} in {duration(total)}"
    if stage is None:
        return f"{status.state}, no steps yet"
    return f"{status.state}, {_place(stage)}"


def _place(stage: StageStatus) -> str:
    if not stage.points:
        return f"stage {stage.name}, no steps yet"
    of = f" of {stage.epochs:,}" if stage.epochs else ""
    percent = f", {100 * stage.step / stage.steps:.0f} %" if stage.steps else ""
    return f"stage {stage.name}, epoch {stage.points[-1].epoch:,}{of}{percent}"


def page_values(status: TrainingStatus, source: Callable[[Frame], str]) -> dict[str, Any]:
    """What `templates/report.html` shows of a training.

    Args:
        status: of the training.
        source: the address of a row of pictures.
    """
    frames, references = spread(status.frames, FRAMES), status.references
    return {
        "status": status,
        "headline": headline(status),
        "curves": [(stage, list(panels(stage))) for stage in status.stages if stage.points],
        "frames": [(frame.name, source(frame)) for frame in frames],
        "references": [(frame.name, source(frame)) for frame in references],
        "left_out": len(status.frames) - len(frames),
        "shape": _shape(frames, len(status.classes)),
        "settings": settings_rows(status.settings),
    }


def spread(frames: Sequence[Frame], most: int) -> list[Frame]:
    """All frames, or `most` of them at about equal distances, the first and the last among them."""
    if len(frames) <= most:
        return list(frames)
    return [frames[round(place * (len(frames) - 1) / (most - 1))] for place in range(most)]


def _shape(frames: Sequence[Frame], samples: int) -> tuple[int, int] | None:
    """Height and width of one of the pictures that are side by side; None where none can be read."""
    from PIL import Image

    for frame in frames:
        with suppress(OSError), Image.open(frame.path) as image:
            return image.height, image.width // max(samples, 1)
    return None


def panels(stage: StageStatus) -> Iterator[Markup]:
    """The curves of a stage: each loss, that of the held-out samples beside the first, the learning rate."""
    for number, name in enumerate(stage.points[0].losses):
        lines = {name: _line((point.step, point.losses[name]) for point in stage.points)}
        if number == 0 and stage.ends:
            lines["held-out samples"] = _line((end.step, end.held_out) for end in stage.ends)
        yield Markup(curve_panel(f"{stage.name}: {name}", lines, "step"))
    if rates := _line((point.step, point.learning_rate) for point in stage.points):
        yield Markup(curve_panel(f"{stage.name}: learning rate", {"rate": rates}, "step"))


def _line(points: Iterable[tuple[int, float | None]]) -> Line:
    """The points of a line; means of neighbours where there are more than can be seen."""
    known = [(step, value) for step, value in points if value is not None]
    size = max(1, -(-len(known) // LINE_POINTS))
    groups = [known[start : start + size] for start in range(0, len(known), size)]
    return [(group[-1][0], fmean(value for _, value in group)) for group in groups]


def settings_rows(settings: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """The settings by their names, such as `fine.epochs`, as text; and whether each is not the default."""
    defaults = dict(_flat(TrainSettings().model_dump(mode="json", by_alias=True, exclude_none=True)))
    return [(name, text, defaults.get(name) != text) for name, text in _flat(settings)]


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", _text(value)


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _rate(rate: float) -> str:
    return f"{rate:.1f}" if rate >= 1 else f"{rate:.2g}"
