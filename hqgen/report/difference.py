"""What two builds differ in, for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from hqgen.report.terminal import house_table
from hqgen.text import count, first

if TYPE_CHECKING:
    from hqgen.builder.comparison import BuildDifference, SourceDifference

SHOWN = 5
"""Keys or changes that are listed for one kind of difference; the rest is counted."""


def difference_view(found: BuildDifference) -> RenderableType:
    """A row a source, then the names: differences of the plans, and the first samples of each kind."""
    if found.same:
        samples = sum(source.samples for source in found.sources)
        return Text(f"the same plan, samples, winners, scores and pixels: {count(samples, 'sample')}")
    headers = ("source", "in both", "only A", "only B", "winner", "scores", "pixels")
    table = house_table(*headers, right=range(1, len(headers)))
    for source in found.sources:
        pixels = "?" if source.not_compared else f"{len(source.other_pixels):,}"
        kinds = (source.only_before, source.only_after, source.other_winner, source.other_scores)
        table.add_row(source.name, f"{source.samples:,}", *(f"{len(keys):,}" for keys in kinds), pixels)
    lines = [f"A  {found.before}", f"B  {found.after}"]
    lines += [f"plan: {line}" for line in found.plan]
    lines += [line for source in found.sources for line in _named(source)]
    return Group(table, *(Text(line) for line in lines))


def _named(source: SourceDifference) -> Iterator[str]:
    wins = Counter((item.before or "no picture", item.after or "no picture") for item in source.other_winner)
    kinds = {
        "only in A": source.only_before,
        "only in B": source.only_after,
        "other winner": [f"{a} -> {b} {number:,}" for (a, b), number in wins.most_common()],
        "other scores": source.other_scores,
        "other pixels": source.other_pixels,
    }
    for kind, names in kinds.items():
        if names:
            yield f"{source.name}: {kind}: {', '.join(first(names, SHOWN))}"
    if source.not_compared:
        yield f"{source.name}: the pixels of {count(source.not_compared, 'sample')} need both stores"
