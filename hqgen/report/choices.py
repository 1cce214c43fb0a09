"""Candidates beside the ground truth, and the regret of rules, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from hqgen.report.terminal import SHOWN, add_row, house_table
from hqgen.text import count, first, shortened

if TYPE_CHECKING:
    from hqgen.inspection.choices import ComparedCandidates, SourceChoices
    from hqgen.inspection.regret import Lack, RuleRegret

ROWS = 20
"""Samples of one source that are listed; `--json` has them all."""


def choices_view(sources: Sequence[SourceChoices]) -> RenderableType:
    """A table of candidates and one of rules per source; nothing where no source has any."""
    return Group(*(part for source in sources for part in (Text(""), _candidates(source), _rules(source))))


def _candidates(source: SourceChoices) -> RenderableType:
    """PSNR of every candidate, a row a sample; below it the means."""
    table = house_table("PSNR dB", *source.psnr, right=range(1, len(source.psnr) + 1))
    for sample in source.samples[:ROWS]:
        table.add_row(Text(shortened(sample.key, 32)), *_cells(sample))
    if len(source.samples) > ROWS:
        add_row(table, f"and {len(source.samples) - ROWS:,} more")
    table.add_section()
    add_row(table, "mean", *(_text(value, ".1f") for value in source.psnr.values()), style="bold")
    add_row(table, "mean SSIM", *(_text(value, ".3f") for value in source.ssim.values()))
    notes = ["each at the gain that fits it best; the winner is bold"]
    notes += first([f"{key}: {reason}" for key, reason in source.skipped.items()], SHOWN)
    about = f"  candidates of {count(len(source.samples), 'sample')} beside the ground truth"
    title = Text.assemble((source.name, "bold"), (about, "dim"))
    return Group(title, table, Padding(Text("\n".join(notes), style="dim"), (0, 1)), Text(""))


def _cells(sample: ComparedCandidates) -> list[Text]:
    styles = {method: "bold" if method == sample.winner else "" for method in sample.psnr}
    return [Text(_text(value, ".1f"), style=styles[method]) for method, value in sample.psnr.items()]


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
