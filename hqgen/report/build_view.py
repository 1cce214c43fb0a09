"""What a build would do, and what it did, for the terminal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hqgen.text import byte_size, count, duration

if TYPE_CHECKING:
    from hqgen.builder.estimate import BuildEstimate
    from hqgen.builder.finish import Outcome


def estimate_view(found: BuildEstimate) -> RenderableType:
    """What would run: a row a source, then the whole."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("source", overflow="fold")
    for header in ("samples", "shards", "to do", "to read", "to store", "a sample"):
        table.add_column(header, justify="right", no_wrap=True)
    for source in found.sources:
        table.add_row(
            source.name,
            f"{source.samples:,}",
            f"{source.shards:,}",
            "?" if source.missing is None else f"{source.missing:,}",
            byte_size(source.read_bytes),
            byte_size(source.store_bytes + source.candidate_bytes),
            f"{sum(source.seconds.values()) * 1000:.1f} ms",
        )
    lines = [
        f"{source.name}: {count(source.quarantined, 'file')} cannot be used"
        for source in found.sources
        if source.quarantined
    ]
    if any(source.missing is None for source in found.sources):
        lines.append("to do: not known before the recordings are read once; the estimate takes all")
    samples = sum(source.samples for source in found.sources)
    if there := samples - sum(source.to_make for source in found.sources):
        lines.append(f"{there:,} of {count(samples, 'sample')} are there already, or are taken from there")
    candidates = sum(source.candidate_bytes for source in found.sources)
    if candidates:
        lines.append(
            f"to store: {byte_size(candidates)} of it are candidates; `--no-keep-candidates` drops them"
        )
    lines.append(f"{count(found.workers, 'worker')}, up to {byte_size(found.worker_bytes)} of memory each")
    costs = {name: seconds for source in found.sources for name, seconds in source.seconds.items()}
    per_method = ", ".join(f"{name} {seconds * 1000:.1f} ms" for name, seconds in costs.items())
    lines.append(f"about {duration(found.seconds)}; a candidate with its score takes {per_method}")
    return Group(table, *(Text(line) for line in lines))


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """What a build came to, for a script."""
    return {
        "manifest": str(outcome.output.manifest_path),
        "store": str(outcome.output.store.path),
        "plan_id": outcome.manifest.plan_id,
        "samples": {source.name: len(source.samples) for source in outcome.manifest.sources},
        "made": outcome.made,
        "taken": outcome.taken,
        "healed": outcome.healed,
        "left_out": sum(len(source.left_out or ()) for source in outcome.manifest.plan.sources),
        "quarantined": outcome.manifest.quarantined,
    }


def outcome_view(outcome: Outcome) -> RenderableType:
    """What a build came to, in a few lines."""
    manifest = outcome.manifest
    samples = sum(len(source.samples) for source in manifest.sources)
    made = f"{outcome.made:,} made now" if outcome.made else "all of them were there"
    made += "" if outcome.made or outcome.healed else ": nothing to do"
    if outcome.taken:
        made = f"{outcome.made:,} made now, {outcome.taken:,} taken from what was built before"
    lines = [Text(f"{count(samples, 'sample')} from {count(len(manifest.sources), 'source')}; {made}")]
    if outcome.healed:
        number = count(len(outcome.healed), "damage")
        lines.append(Text(f"{number} found and repaired", style="yellow"))
    for source in manifest.sources:
        wins = Counter(sample.method for sample in source.samples if sample.method is not None)
        ranking = wins.most_common()
        lines.append(Text(f"  {source.name}: " + ", ".join(f"{name} {number:,}" for name, number in ranking)))
    if manifest.quarantined:
        lines.append(Text(f"{manifest.quarantined:,} recordings or samples gave no picture", style="yellow"))
    path = outcome.output.manifest_path
    lines += [Text(f"store     {outcome.output.store.path}"), Text(f"manifest  {path}")]
    lines.append(Text(f"look at it with: hqgen inspect {path}", style="dim"))
    return Group(*lines)
