"""A manifest as one HTML file that needs nothing else: tables, histograms, pictures."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from string import Template

from PIL import Image

from hqgen.errors import HqgenError, UsageError
from hqgen.inspection.picks import Gallery, Pick, Picture, Tile
from hqgen.inspection.statistics import (
    ManifestStatistics,
    MethodStatistics,
    Quartiles,
    SourceStatistics,
    statistics,
)
from hqgen.manifest import SourceManifest
from hqgen.report.notes import source_notes
from hqgen.report.svg import histograms
from hqgen.text import count, duration

__all__ = ["html_page"]

LISTED = 500
"""Quarantined files and samples of one source that are listed; the manifest has them all."""

EACH = 1
"""Picks of every kind; every picture makes the file larger by about 100 kB."""

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --ink: #1c1c1e; --quiet: #6c6c72; --line: #dedee2; --paper: #fff;
  --blank: #f6f6f7; --accent: #0062b2; --bar: #b9bdc6; --warning: #b23c28; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececee; --quiet: #9a9aa2; --line: #3a3a3e;
  --paper: #161618; --blank: #222225; --accent: #58a6e8; --bar: #5c606a; --warning: #e8806c; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 78rem; margin: 3rem auto; padding: 0 1.5rem; }
h1, h2, h3 { font-weight: 500; line-height: 1.2; }
h1 { font-size: 2rem; margin: 0 0 1rem; }
h2 { font-size: 1.5rem; margin: 3rem 0 .3rem; padding-top: 1.5rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.8rem 0 .5rem; }
.quiet, dt, th, figcaption span { color: var(--quiet); font-weight: 400; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1.5rem; margin: 0; }
dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .25rem 1rem .25rem 0; text-align: right; font-variant-numeric: tabular-nums;
  vertical-align: top; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child, .text th, .text td { text-align: left; overflow-wrap: anywhere; }
tr.sum td { font-weight: 600; }
td.wins { min-width: 12rem; }
td.wins i { display: block; height: .8rem; margin-top: .35rem; background: var(--accent); }
svg { display: block; width: 100%; max-width: 45rem; margin-top: 1.5rem; font-size: 13px;
  fill: var(--quiet); }
svg line { stroke: var(--line); } svg .bar { fill: var(--bar); } svg .accent { fill: var(--accent); }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1.1rem; }
figure { margin: 0; min-width: 0; }
figure img, .blank { display: block; width: 100%; height: auto; outline: 4px solid transparent; }
.winner img { outline-color: var(--accent); }
.winner b { color: var(--accent); }
.blank { background: var(--blank); color: var(--quiet); display: grid; place-items: center;
  text-align: center; font-size: .85rem; padding: 1rem; box-sizing: border-box; overflow-wrap: anywhere; }
figcaption { display: flex; justify-content: space-between; margin-top: .4rem; }
figcaption b { font-weight: 500; }
.note { margin: 0; }
.warning { color: var(--warning); font-size: .85rem; }
</style>
</head>
<body>
<h1>$title</h1>
$summary
$sources
</body>
</html>
""")


def html_page(manifest_path: str | Path, out_html: str | Path, data_root: Path | None = None) -> None:
    """Write a page that shows a manifest.

    Candidates are made again from the recordings; where those are gone, the page shows the winners alone,
    which are in the store, and says so.

    Args:
        manifest_path: the manifest of a finished store.
        out_html: where to write.
        data_root: where the catalog's folders lie, for sources that are no longer where they were.

    Raises:
        StoreError: there is no manifest or no complete store, or the store is of another plan.
        UsageError: the file cannot be written.
    """
    gallery = Gallery(manifest_path, data_root)
    found = statistics(gallery.manifest)
    sources = "\n".join(
        _source(gallery, index, source, found.scorer) for index, source in enumerate(found.sources)
    )
    title = f"{count(found.pictures, 'picture')} of {count(found.samples, 'sample')}"
    page = _PAGE.substitute(title=title, summary=_summary(found), sources=sources)
    try:
        Path(out_html).write_text(page, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"`{out_html}` cannot be written: {error.strerror or error}",
            hint="name a file in a folder that is there",
        ) from error


def _summary(found: ManifestStatistics) -> str:
    entries = {
        "HQ store": found.store,
        "plan": found.plan_id,
        "scorer": f"{found.scorer}, lower is better",
        "finished": f"{found.finished}, after {duration(found.seconds)}",
        "software": ", ".join(f"{name} {version}" for name, version in found.software.items()),
    }
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in entries.items())
    return f"<dl>{rows}</dl>"


def _source(gallery: Gallery, index: int, source: SourceStatistics, scorer: str) -> str:
    unit = scorer.upper()
    head = f"{source.height} x {source.width}, {count(source.samples, 'sample')} in "
    parts = [
        f"<h2>{escape(source.name)}</h2>",
        f'<p class="quiet">{head}{count(source.recordings, "recording")}</p>',
        _method_table(source, unit),
        "".join(f'<p class="quiet note">{escape(note)}</p>' for note in source_notes(source)),
        histograms(_scores(gallery.manifest.sources[index], source), marked="winners", unit=unit),
        *(_pick(pick) for pick in _picks(gallery, index)),
        _quarantine(source),
    ]
    return "\n".join(part for part in parts if part)


def _method_table(source: SourceStatistics, unit: str) -> str:
    head = "".join(
        f"<th>{title}</th>"
        for title in ("method", "", "wins", "share", f"{unit} 25 %", "median", "75 %", "failed")
    )
    rows = [_method_row(method) for method in source.methods]
    winners = ["winners", "", f"{source.pictures:,}", "", *_quartiles(source.winners), ""]
    margin = ["margin", "", "", "", *_quartiles(source.margins), ""]
    rows += [f'<tr class="sum">{_cells(winners)}</tr>', f"<tr>{_cells(margin)}</tr>"]
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _method_row(method: MethodStatistics) -> str:
    bar = f'<td class="wins"><i style="width:{method.share:.1%}"></i></td>'
    rest = [f"{method.wins:,}", f"{method.share:.0%}", *_quartiles(method.scores), f"{method.failed:,}"]
    return f"<tr>{_cells([method.name])}{bar}{_cells(rest)}</tr>"


def _cells(values: Iterable[str]) -> str:
    return "".join(f"<td>{escape(value)}</td>" for value in values)


def _quartiles(values: Quartiles | None) -> list[str]:
    if values is None:
        return ["-", "-", "-"]
    return [f"{value:.2f}" for value in (values.lower, values.median, values.upper)]


def _scores(found: SourceManifest, source: SourceStatistics) -> dict[str, Sequence[float]]:
    """Scores of every method's candidates, and of the winners."""
    scores: dict[str, Sequence[float]] = {
        method.name: [score for s in found.samples if (score := s.scores[method.name]) is not None]
        for method in source.methods
    }
    return scores | {"winners": [sample.score for sample in found.samples if sample.score is not None]}


def _picks(gallery: Gallery, index: int) -> Iterator[Pick]:
    try:
        yield from gallery.picks(index, each=EACH)
    except HqgenError as error:
        yield from gallery.stored_picks(index, error.message, each=EACH)


def _pick(pick: Pick) -> str:
    margin = "" if pick.margin is None else f", margin {pick.margin:.3f}"
    unsure = ", ambiguous" if pick.ambiguous else ""
    kinds = ", ".join(pick.kinds).capitalize()
    text = f"{pick.key}, frame {pick.frame}{margin}{unsure}"
    tiles = "".join(_tile(tile, pick.shape) for tile in pick.tiles)
    return f'<h3>{kinds} <span class="quiet">{escape(text)}</span></h3>\n<div class="tiles">{tiles}</div>'


def _tile(tile: Tile, shape: tuple[int, int]) -> str:
    height, width = shape
    if tile.picture is None:
        size = f"aspect-ratio:{width}/{height}"
        body = f'<div class="blank" style="{size}">{escape(tile.note)}</div>'
    else:
        size = f'width="{width}" height="{height}"'
        body = f'<img alt="{escape(tile.method)}" {size} src="{_embedded(tile.picture)}">'
    score = "" if tile.score is None else f"{tile.score:.3f}"
    name = f"{tile.method}, winner" if tile.winner else tile.method
    note = f'<div class="warning">{escape(tile.note)}</div>' if tile.note and tile.picture is not None else ""
    kind = ' class="winner"' if tile.winner else ""
    caption = f"<figcaption><b>{escape(name)}</b><span>{score}</span></figcaption>"
    return f"<figure{kind}>{body}{caption}{note}</figure>"


def _embedded(picture: Picture) -> str:
    """The picture as a PNG in the page: what is judged here is noise, which JPEG would change."""
    file = BytesIO()
    Image.fromarray(picture).save(file, format="PNG")
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"


def _quarantine(source: SourceStatistics) -> str:
    entries = [(item.path, item.reason) for item in source.quarantined_recordings]
    entries += [
        (sample.key, "; ".join(f"{name}: {why}" for name, why in sample.reasons.items()))
        for sample in source.quarantined_samples
    ]
    if not entries:
        return ""
    rows = "".join(f"<tr>{_cells(entry)}</tr>" for entry in entries[:LISTED])
    more = (
        f"<p>and {len(entries) - LISTED:,} more; the manifest has them all</p>"
        if len(entries) > LISTED
        else ""
    )
    head = "<tr><th>recording or sample</th><th>why there is no picture</th></tr>"
    table = f'<table class="text">{head}{rows}</table>'
    return f"<details open><summary>quarantined: {len(entries):,}</summary>{table}{more}</details>"
