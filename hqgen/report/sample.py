"""One sample for the terminal: what every judge says of every candidate, and who decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from hqgen.curation import Verdict
from hqgen.inspection.picks import find_sample
from hqgen.inspection.statistics import is_ambiguous
from hqgen.manifest import Manifest, SampleRecord
from hqgen.report.terminal import add_row, house_table
from hqgen.text import printable

PER_TABLE = 6
"""Judges in one table, so that it fits on 80 columns."""


@dataclass(frozen=True)
class ShownSample:
    """One sample of a manifest; plain values, for a view or for JSON.

    Attributes:
        source: its source.
        recording: path of its recording, relative to the source's folder.
        frame: its centre frame, counted from 0.
        scorer: name of the score.
        ambiguous: whether the winner leads by little.
        record: what came of it.
        verdict: what a person says of it now; None for nothing.
    """

    source: str
    recording: str
    frame: int
    scorer: str
    ambiguous: bool
    record: SampleRecord
    verdict: Verdict | None


def shown_sample(manifest: Manifest, key: str, verdict: Verdict | None = None) -> ShownSample:
    """Find a sample in a manifest.

    Raises:
        UnknownNameError: there is no such sample.
    """
    number, row = find_sample(manifest, key)
    spec, record = manifest.plan.sources[number], manifest.sources[number].samples[row]
    place, scorer = spec.samples[row], str(manifest.plan.scorer["name"])
    return ShownSample(
        source=spec.name,
        recording=spec.recordings[place.recording].path,
        frame=place.centre,
        scorer=scorer,
        ambiguous=is_ambiguous(record.margin, scorer),
        record=record,
        verdict=verdict,
    )


def sample_view(found: ShownSample) -> RenderableType:
    """A row per candidate, the winner in bold; below it, why some are missing and what a person says."""
    record = found.record
    title = Text.assemble(
        (printable(record.key), "bold"),
        (f"  {printable(found.recording)}, frame {found.frame}, {_outcome(found)}", "dim"),
    )
    measures = {found.scorer: record.scores, **record.judges}
    names = list(measures)
    tables = [
        _table(record, {name: measures[name] for name in names[start : start + PER_TABLE]})
        for start in range(0, len(names), PER_TABLE)
    ]
    notes = [f"{method}: {reason}" for method, reason in record.reasons.items()]
    notes += [record.refused] if record.refused else []
    notes += _said(found)
    more = [Padding(Text(printable("\n".join(notes)), style="dim"), (0, 1))] if notes else []
    return Group(title, *tables, *more)


def _table(record: SampleRecord, measures: dict[str, dict[str, float | None]]) -> RenderableType:
    table = house_table("method", *measures, right=range(1, len(measures) + 1))
    for method in record.scores:
        won = method == record.method
        values: Sequence[float | None] = [values[method] for values in measures.values()]
        cells = ["-" if value is None else f"{value:.3f}" for value in values]
        add_row(table, f"{method}, winner" if won else method, *cells, style="bold" if won else "")
    return table


def _outcome(found: ShownSample) -> str:
    if found.record.method is None:
        return "no picture"
    if found.record.margin is None:
        return "no runner-up"
    return f"margin {found.record.margin:.3f}{', ambiguous' if found.ambiguous else ''}"


def _said(found: ShownSample) -> list[str]:
    """What people say of it, a line each."""
    lines = []
    if found.record.by_hand is not None and found.record.method is not None:
        lines.append(f"picked by hand: {found.record.by_hand}".rstrip(": "))
    if found.verdict is not None:
        what = " ".join(filter(None, (found.verdict.action, found.verdict.method)))
        by = f" by {found.verdict.author}" if found.verdict.author else ""
        lines.append(f"verdict{by}: {what}{'. ' if found.verdict.note else ''}{found.verdict.note}")
    return lines
