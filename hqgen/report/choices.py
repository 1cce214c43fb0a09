"""Candidates beside the ground truth, and the regret of rules, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from hqgen.report.terminal import SHOWN, add_row, house_table
from hqgen.text import count, first, shortened

if TYPE_CHECKING:
    from rich.table import Table

    from hqgen.inspection.choices import SourceChoices
    from hqgen.inspection.regret import Lack, RuleRegret

ROWS = 20
"""Samples of one source that are listed; `--json` has them all."""

KEY = 32
"""Letters of a sample's key at most."""


def choices_view(sources: Sequence[SourceChoices]) -> RenderableType:
    """A table of candidates and one of rules per source; nothing where no source has any."""
    return Group(*(part for source in sources for part in (Text(""), _candidates(source), _rules(source))))


def _candidates(source: SourceChoices) -> RenderableType:
    """PSNR of every candidate, a row a sample; below it the means. Many methods take several tables."""
    keys = max((min(len(sample.key), KEY) for sample in source.samples[:ROWS]), default=0)
    tables = [_candidate_table(source, methods) for methods in _fitting(list(source.psnr), 76 - keys)]
    notes = ["each at the gain that fits it best; the winner is bold"]
    notes += first([f"{key}: {reason}" for key, reason in source.skipped.items()], SHOWN)
    about = f"  candidates of {count(len(source.samples), 'sample')} beside the ground truth"
    title = Text.assemble((source.name, "bold"), (about, "dim"))
    return Group(title, *tables, Padding(Text("\n".join(notes), style="dim"), (0, 1)), Text(""))


def _fitting(methods: list[str], room: int) -> Iterator[list[str]]:
    """Methods in groups whose columns fit into so many letters, at least one in each."""
    group, left = list[str](), room
    for method in methods:
        needed = max(len(method), 5) + 3
        if group and needed > left:
            yield group
            group, left = [], room
        group, left = [*group, method], left - needed
    yield group


def _candidate_table(source: SourceChoices, methods: list[str]) -> Table:
    table = house_table("PSNR dB", *methods, right=range(1, len(methods) + 1))
    for sample in source.samples[:ROWS]:
        cells = (
            Text(_text(sample.psnr[method], ".1f"), style="bold" if method == sample.winner else "")
            for method in methods
        )
        table.add_row(Text(shortened(sample.key, KEY)), *cells)
    if len(source.samples) > ROWS:
        add_row(table, f"and {len(source.samples) - ROWS:,} more")
    table.add_section()
    add_row(table, "mean", *(_text(source.psnr[method], ".1f") for method in methods), style="bold")
    add_row(table, "mean SSIM", *(_text(source.ssim[method], ".3f") for method in methods))
    return table


def _rules(source: SourceChoices) -> RenderableType:
    """What the picks of every rule lack to the best candidates."""
    table = house_table(
        "rule", "picks", "lacks dB", "95 %", "worst", "lacks SSIM", "worst", right=range(1, 7)
    )
    for regret in source.regrets:
        add_row(table, *_rule_cells(regret))
    reasons = [f"{item.rule}: {item.missing}" for item in source.regrets if item.missing]
    notes = ["what the picks of a rule lack to the best candidates", *reasons]
    return Group(table, Padding(Text("\n".join(notes), style="dim"), (0, 1)))


def _rule_cells(regret: RuleRegret) -> list[str]:
    psnr, ssim = regret.psnr, regret.ssim
    between = "-" if psnr is None else f"{psnr.low:.2f} to {psnr.high:.2f}"
    return [regret.rule, f"{regret.samples:,}", *_lack(psnr, ".2f", between), *_lack(ssim, ".3f")]


def _lack(lack: Lack | None, digits: str, *between: str) -> list[str]:
    values = (None, None) if lack is None else (lack.mean, lack.worst)
    mean, worst = (_text(value, digits) for value in values)
    return [mean, *between, worst]


def _text(value: float | None, digits: str) -> str:
    return "-" if value is None else format(value, digits)
