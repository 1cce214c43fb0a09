"""Tables for the terminal: a manifest, and which sources, methods and weights are there.

Tables are as wide as the terminal, and good on 80 columns: what does not fit is folded, never cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hqgen.curation import VerdictSummary
from hqgen.inspection.statistics import ManifestStatistics, SourceStatistics
from hqgen.report.notes import heading, quartile_texts, source_heading, source_notes
from hqgen.sources.catalog import CatalogEntry
from hqgen.sources.fetching import what_can_be_fetched
from hqgen.text import byte_size, count, first, printable, shortened

if TYPE_CHECKING:
    from hqgen.inspection.truth import Means, SourceTruth
    from hqgen.methods.fetching import Fetched
    from hqgen.methods.registry import MethodRow
    from hqgen.methods.weights import WeightsEntry
    from hqgen.sources import SourceRow
    from hqgen.verify import Damage

SHOWN = 5
"""Quarantined files or samples that are listed for one reason; the rest is counted."""


SILENCE = VerdictSummary()
"""Nobody said anything."""


def show(found: ManifestStatistics, console: Console, verdicts: VerdictSummary = SILENCE) -> None:
    """Print a manifest: how it was made, a table a source, the quarantine."""
    console.print(_heading(found, verdicts))
    for source in found.sources:
        console.print()
        console.print(_source(source, found))
    if any(source.quarantined_recordings or source.quarantined_samples for source in found.sources):
        console.print()
        console.print(quarantine_view(found))


def _heading(found: ManifestStatistics, verdicts: VerdictSummary) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in heading(found, verdicts).items():
        grid.add_row(name, Text(value, style="bold" if name == "HQ store" else ""))
    return grid


def _source(source: SourceStatistics, found: ManifestStatistics) -> RenderableType:
    headers = ("method", "wins", "share", f"{found.scorer} 25 %", "median", "75 %", "failed")
    table = house_table(*headers, right=range(1, len(headers)))
    for method in source.methods:
        share = f"{method.share:.0%}" if method.wins else ""
        failed = f"{method.failed:,}" if method.failed else ""
        add_row(table, method.name, f"{method.wins:,}", share, *quartile_texts(method.scores), failed)
    table.add_section()
    add_row(table, "winners", f"{source.pictures:,}", "", *quartile_texts(source.winners), "", style="bold")
    add_row(table, "margin", "", "", *quartile_texts(source.margins), "")
    notes = Text("\n".join(source_notes(source)), style="dim")
    title = Text.assemble((source.name, "bold"), (f"  {source_heading(source)}", "dim"))
    judges = [_judges(source, found.judges)] if found.judges else []
    return Group(title, table, *judges, *([Padding(notes, (0, 1))] if notes else []))


def _judges(source: SourceStatistics, judges: Sequence[str]) -> RenderableType:
    """The medians of every judge's values."""
    table = house_table("median of", *judges, right=range(1, len(judges) + 1))
    for method in source.methods:
        add_row(table, method.name, *(quartile_texts(method.judges[judge])[1] for judge in judges))
    table.add_section()
    medians = (quartile_texts(source.winner_judges[judge])[1] for judge in judges)
    add_row(table, "winners", *medians, style="bold")
    return table


def quarantine_view(found: ManifestStatistics) -> RenderableType:
    """Recordings and samples without a picture, grouped by reason."""
    table = house_table("source", "without a picture", "why")
    for source in found.sources:
        entries = [(item.reason, item.path) for item in source.quarantined_recordings]
        entries += [(item.refused or _reasons(item.reasons), item.key) for item in source.quarantined_samples]
        entries.sort()
        for reason, group in groupby(entries, key=lambda entry: entry[0]):
            names = first([shortened(name, 32) for _, name in group], SHOWN)
            add_row(table, source.name, "\n".join(names), reason)
    return Group(Text("quarantined", style="bold yellow"), table)


def _reasons(reasons: dict[str, str]) -> str:
    """Reasons by method, methods of one reason together."""
    by_reason: dict[str, list[str]] = {}
    for method, reason in reasons.items():
        by_reason.setdefault(reason, []).append(method)
    return "\n".join(f"{', '.join(methods)}: {reason}" for reason, methods in by_reason.items())


def truth_view(sources: Sequence[SourceTruth], scorer: str) -> RenderableType:
    """The picks beside the ground truth: a table a source, a row a method that has picks."""
    if not sources:
        return Text("no source of this store has ground truth", style="yellow")
    return Group(*(part for source in sources for part in (Text(""), _truth(source, scorer))))


def _truth(source: SourceTruth, scorer: str) -> RenderableType:
    table = house_table("picks of", "count", "PSNR dB", "SSIM", scorer, "of the truth", right=range(1, 6))
    for name, means in source.methods.items():
        add_row(table, *_means_cells(name, means))
    table.add_section()
    add_row(table, *_means_cells("all", source.all), style="bold")
    rate = source.rate_per_brightness
    rule = f"rate / {rate:g}, clipped" if rate else "no PSNR: the source says no `rate_per_brightness`"
    notes = [f"means; {rule}; nothing is fitted to a picture"]
    notes += first([f"{item.key}: {item.reason}" for item in source.skipped], SHOWN)
    covered = f"  {len(source.picks):,} of {count(source.pictures, 'picture')} beside the ground truth"
    title = Text.assemble((source.name, "bold"), (covered, "dim"))
    return Group(title, table, Padding(Text("\n".join(notes), style="dim"), (0, 1)))


def _means_cells(name: str, means: Means) -> list[str]:
    values = [(means.psnr, ".1f"), (means.ssim, ".3f"), (means.score, ".2f"), (means.truth_score, ".2f")]
    cells = ["-" if value is None else format(value, digits) for value, digits in values]
    return [name, f"{means.picks:,}", *cells]


def sources_view(rows: Iterable[SourceRow], shown: int = SHOWN) -> RenderableType:
    """What is there of some sources; below it, how to get what is missing, and what cannot be used.

    Args:
        rows: the sources.
        shown: unusable files of each that are listed at most.
    """
    rows = list(rows)
    table = house_table(
        "source", "pixels", "light", "recordings", "samples", "size", "state", right=(3, 4, 5)
    )
    notes = [
        _note("\n", row.name, f": {row.missing}\n", (_how_to_get(row), "dim")) for row in rows if row.missing
    ]
    for row in rows:
        geometry = f"{row.geometry[0]}x{row.geometry[1]}" if row.geometry else "-"
        state = Text("missing", style="yellow") if row.missing else Text("ready", style="green")
        if row.rejected and not row.missing:
            state = Text(f"{len(row.rejected):,} unusable", style="yellow")
            listed = first([f"{item.path}: {item.reason}" for item in row.rejected], shown)
            notes.append(_note("\n", row.name, "\n".join([": unusable files", *listed])))
        numbers = [f"{row.recordings:,}", f"{row.samples:,}", byte_size(row.size)]
        cells = ["-"] * 3 if row.missing else numbers
        add_row(table, shortened(row.name, 24), geometry, row.entry.light, *cells, state)
    return Group(table, *notes)


def _how_to_get(row: SourceRow) -> str:
    part = what_can_be_fetched(row.entry) if isinstance(row.entry, CatalogEntry) else ""
    fetch = f"\n`hqgen sources fetch {row.name}` gets {part}." if part else ""
    return row.entry.obtain + fetch


def _note(before: str, name: str, *more: str | tuple[str, str]) -> RenderableType:
    """What is said of a name below a table."""
    return Padding(Text.assemble(before, (name, "bold"), *more), (0, 1))


def methods_view(rows: Iterable[MethodRow]) -> RenderableType:
    """The methods by rank, with parameters and defaults; below it, why some are not available."""
    rows = list(rows)
    table = house_table("method", "leg", "frames", "parameters", "state")
    for row in rows:
        span = f"-{row.span[0]} .. +{row.span[1]}" if row.span else "-"
        parameters = ", ".join(f"{item.name}={item.default}" for item in row.parameters)
        ready = Text("ready" if row.in_default else "ready, by name", style="green")
        state = ready if row.available else Text("not ready", style="yellow")
        add_row(table, row.name, row.leg or "-", span, parameters, state)
    missing = [_note("", row.name, f": {row.reason}") for row in rows if not row.available]
    if any(row.weights_licence and not row.available for row in rows):
        missing.append(_note("\n", "hqgen weights fetch all", " gets published weights: docs/weights.md"))
    return Group(table, *([Text("")] if missing else []), *missing)


def weights_view(entries: Iterable[WeightsEntry]) -> RenderableType:
    """The registered weights."""
    table = house_table("weights", "sha256", "licence", "from")
    for entry in entries:
        add_row(table, entry.name, entry.sha256[:12], entry.licence, entry.source)
    if not table.row_count:
        return Text("no weights are registered; `hqgen weights fetch` or `hqgen weights add` does it")
    return table


def fetched_view(found: Iterable[Fetched]) -> RenderableType:
    """What `hqgen weights fetch` did."""
    table = house_table("method", "from", "sha256", "state")
    for item in found:
        state = Text("ready" if item.downloaded else "ready before", style="green")
        failed = Text("failed", style="yellow")
        digest = "-" if item.sha256 is None else item.sha256[:12]
        add_row(table, item.method, item.origin or "-", digest, failed if item.problem else state)
    return table


def damage_view(damage: Sequence[Damage]) -> RenderableType:
    """What `verify` found."""
    if not damage:
        return Text("the store holds what the manifest says", style="green")
    table = house_table("source", "shard", "row", "damage", right=(1, 2))
    for item in damage[:50]:
        shard, row = ("" if number is None else str(number) for number in (item.shard, item.row))
        add_row(table, item.source or "-", shard, row, item.what)
    more = [Text(f"and {len(damage) - 50:,} more", style="dim")] if len(damage) > 50 else []
    return Group(Text(f"damaged: {count(len(damage), 'finding')}", style="bold red"), table, *more)


def add_row(table: Table, *cells: str | Text, style: str = "") -> None:
    """Add a row; cells are shown as text, for names of files may look like markup, or steer a terminal."""
    table.add_row(*(Text(printable(cell)) if isinstance(cell, str) else cell for cell in cells), style=style)


def house_table(*headers: str, right: Sequence[int] = ()) -> Table:
    """An empty table in the house style: thin lines, long cells folded."""
    table = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False, padding=(0, 1))
    for index, header in enumerate(headers):
        table.add_column(header, justify="right" if index in right else "left", overflow="fold")
    return table
