"""The results as tables: for a terminal, as a Markdown page, as LaTeX."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from hqgen.benchmark.results import Benchmark, Judged, MethodFacts, Result, SourceFacts
from hqgen.inspection.regret import RuleRegret
from hqgen.tables import Cell, Column, ResultRow, Table, TerminalTable, latex, markdown
from hqgen.text import byte_size, count

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

TRUTH = "ground truth"
"""The row of what the judges say of the ground truth itself."""

DISTANCES = (
    Column("psnr", "PSNR (dB)", "plain", 2, "higher"),
    Column("ssim", "SSIM", "plain", 3, "higher"),
    Column("psnr_fitted", "PSNR (dB)", "best gain", 2, "higher"),
    Column("ssim_fitted", "SSIM", "best gain", 3, "higher"),
)
CONSISTENCY = Column("consistency", "Consistency", "bright", 3, "lower")

REGRETS = tuple(
    Column(f"{name}_{key}", title, group, digits, "lower" if key in ("mean", "worst") else None)
    for name, group, digits in (("psnr", "PSNR (dB)", 2), ("ssim", "SSIM", 3))
    for key, title in (("mean", "Mean"), ("low", "95 % from"), ("high", "to"), ("worst", "Worst"))
)

EXPLANATION = (
    "All numbers are means over samples.",
    "Plain: the output as brightness, by the scale that the method declares, with nothing fitted.",
    "Best gain: after the factor that brings it nearest to the ground truth.",
    "Raw: judged as it is, with 1 as white, as in most published tables.",
    "Bright: judged as the 8-bit picture that hqgen's rule of normalisation makes of it.",
    "Consistency: the bright picture beside the spikes around the key frame; 1 is the noise of these spikes.",
    "Regret: what the picks of a rule lack to the best method, at the best gain.",
    "Seconds: median per picture of a warm process, from packed spikes to the image.",
    "Memory: the peak of that process, less what it had before the first picture.",
)


class Section(NamedTuple):
    """A table with its heading."""

    heading: str
    table: Table


def sections(found: Benchmark) -> list[Section]:
    """A table per source, or per split of a source with several; then the costs."""
    parts = [
        Section(heading, _quality(found, source, keys))
        for source in found.sources
        for heading, keys in _splits(source)
    ]
    parts += [Section(f"regret, {name}", _regret(rules)) for name, rules in found.regrets.items()]
    return [*parts, Section("cost", _cost(found))]


def _splits(source: SourceFacts) -> Iterator[tuple[str, list[str]]]:
    names = list(dict.fromkeys(sample.split for sample in source.samples))
    for name in names:
        heading = source.name if len(names) == 1 else f"{source.name}, {name}"
        yield heading, [sample.key for sample in source.samples if sample.split == name]


def _quality(found: Benchmark, source: SourceFacts, keys: Sequence[str]) -> Table:
    rows = (
        [ResultRow(TRUTH, _means(source.truth, keys), competes=False)]
        if source.truth.keys() & {*keys}
        else []
    )
    notes = list[str]()
    for method in found.methods:
        result = found.result(method.label, source.name)
        rows.append(ResultRow(method.label, _means(result.judged, keys)))
        notes += _failures(result, keys)
    known = {key for row in rows for key in row.cells}
    columns = (column for column in _columns(found) if column.key in known)
    about: dict[str, str | int] = {"samples": len(keys), "pixels": f"{source.height}x{source.width}"}
    if mirrored := _mirrored(found, source, keys):
        about["samples with mirrored frames for some method"] = mirrored
    return Table(tuple(columns), tuple(rows), about, tuple(notes))


def _mirrored(found: Benchmark, source: SourceFacts, keys: Sequence[str]) -> int:
    """Samples whose window reaches over an end of the recording."""
    results = [result for result in found.results if result.source == source.name]
    return len({item.key for result in results for item in result.samples if item.mirrored} & {*keys})


def _columns(found: Benchmark) -> Iterator[Column]:
    yield from DISTANCES
    for group in ("raw", "bright"):
        for name in found.rules["scorers"]:
            yield Column(f"{name}_{group}", name.upper(), group, 2, "lower")
    yield CONSISTENCY


def _means(judged: dict[str, Judged], keys: Iterable[str]) -> dict[str, Cell]:
    """Means over the samples that have the number."""
    values: dict[str, list[float]] = {}
    for key in keys:
        if key in judged:
            for name, value in _numbers(judged[key]):
                if value is not None:
                    values.setdefault(name, []).append(value)
    return {name: Cell(statistics.fmean(numbers)) for name, numbers in values.items()}


def _numbers(judged: Judged) -> Iterator[tuple[str, float | None]]:
    for distance, end in ((judged.plain, ""), (judged.fitted, "_fitted")):
        if distance is not None:
            yield f"psnr{end}", distance.psnr
            yield f"ssim{end}", distance.ssim
    for group in ("raw", "bright"):
        for name, value in getattr(judged, group).items():
            yield f"{name}_{group}", value
    yield "consistency", judged.consistency


def _failures(result: Result, keys: Sequence[str]) -> Iterator[str]:
    """How many samples are not in the means of a method, and why."""
    reasons = Counter(item.reason for item in result.samples if item.key in keys and item.reason is not None)
    for reason, times in reasons.items():
        yield f"{result.method}: no picture of {times} of {count(len(keys), 'sample')}: {reason}"


def _regret(rules: Sequence[RuleRegret]) -> Table:
    """What the picks of each rule lack to the best method of each sample."""
    rows = []
    for regret in rules:
        cells = dict[str, Cell]()
        for name, lack in (("psnr", regret.psnr), ("ssim", regret.ssim)):
            if lack is not None:
                values = {"mean": lack.mean, "low": lack.low, "high": lack.high, "worst": lack.worst}
                cells |= {f"{name}_{key}": Cell(value) for key, value in values.items()}
        rows.append(ResultRow(regret.rule, cells))
    notes = [f"{item.rule}: {item.missing}" for item in rules if item.missing is not None]
    notes += [f"{item.rule}: no pick of {count(item.unpicked, 'sample')}" for item in rules if item.unpicked]
    return Table(REGRETS, tuple(rows), {"samples": max(item.samples for item in rules)}, tuple(notes), "rule")


def _cost(found: Benchmark) -> Table:
    columns = [
        column
        for source in found.sources
        for column in (
            Column(f"processor_{source.name}", "Processor (s)", source.name, 3, "lower"),
            Column(f"wall_{source.name}", "Wall (s)", source.name, 3, "lower"),
            Column(f"memory_{source.name}", "Memory (MB)", source.name, 0, "lower"),
        )
    ]
    rows = [ResultRow(method.label, _costs(found, method)) for method in found.methods]
    weights = [
        f"{method.label}: weights {method.weights_sha256[:12]}"
        for method in found.methods
        if method.weights_sha256
    ]
    learned = Column("trained", "Parameters (M)", "network", 3, None)
    return Table((*columns, learned), tuple(rows), {}, tuple(weights))


def _costs(found: Benchmark, method: MethodFacts) -> dict[str, Cell]:
    cells = {"trained": Cell(method.trained / 1e6)}
    for source in found.sources:
        result = found.result(method.label, source.name)
        times = [item.seconds for item in result.samples if item.seconds is not None]
        if times:
            cells[f"processor_{source.name}"] = Cell(statistics.median(item.processor for item in times))
            cells[f"wall_{source.name}"] = Cell(statistics.median(item.wall for item in times))
        if result.memory is not None:
            cells[f"memory_{source.name}"] = Cell((result.memory.peak - result.memory.start) / 1e6)
    return cells


def _about(found: Benchmark) -> list[str]:
    """What it ran on, and what could not be had."""
    versions = ", ".join(f"{name} {number}" for name, number in found.software.items())
    on = found.machine
    cores = f"{count(on.cores, 'core')}, {count(on.threads, 'thread')} used"
    hardware = f"{on.processor}, {cores}, {byte_size(on.memory_bytes)}; networks on {on.gpu or on.device}"
    lines = [f"software: {versions}", f"machine: {hardware}"]
    lines += found.notes
    return lines


def _unavailable(found: Benchmark) -> list[str]:
    return [f"{name}: {' '.join(reason.split())}" for name, reason in found.unavailable.items()]


def markdown_document(found: Benchmark) -> str:
    """A page: a table per section, what the columns mean, what it ran on, what could not run."""
    parts = ["# Benchmark\n"]
    parts += [
        f"## {heading[0].upper()}{heading[1:]}\n\n{markdown(table)}" for heading, table in sections(found)
    ]
    parts += [
        f"## What the columns mean\n\n{_bullets(EXPLANATION)}",
        f"## Measured with\n\n{_bullets(_about(found))}",
    ]
    if found.unavailable:
        parts.append(f"## Methods that could not run\n\n{_bullets(_unavailable(found))}")
    return "\n".join(parts)


def _bullets(lines: Iterable[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)


def latex_document(found: Benchmark) -> str:
    """A `tabular` for booktabs per section, below a comment that says which."""
    head = "".join(f"% {line}\n" for line in [*_about(found), *EXPLANATION, *_unavailable(found)])
    return "\n".join([head, *(f"% {heading}\n{latex(table)}" for heading, table in sections(found))])


@dataclass(frozen=True)
class TerminalView:
    """For a terminal: the tables, then what could not run."""

    found: Benchmark

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        for heading, table in sections(self.found):
            yield Text(heading, style="bold")
            yield TerminalTable(table)
        for lines in (EXPLANATION, _about(self.found)):
            yield Text("\n".join(lines), style="dim")
        if self.found.unavailable:
            yield Text("not available", style="bold yellow")
            yield Text("\n".join(_unavailable(self.found)))
