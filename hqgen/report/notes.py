"""What is to be said of a source beside its numbers, in plain lines."""

from __future__ import annotations

from hqgen.report.statistics import AMBIGUOUS, SourceStatistics
from hqgen.report.words import count

__all__ = ["source_notes"]

REASONS = 5
"""Reasons of failed candidates that are given; the rest is counted."""


def source_notes(source: SourceStatistics) -> list[str]:
    """How sure the picks are, and why candidates failed: a line each."""
    notes = []
    if source.ambiguous is not None and source.contested:
        share = f"{source.ambiguous / source.contested:.0%}"
        picks = f"{source.ambiguous:,} of {count(source.contested, 'pick')} ({share})"
        notes.append(f"ambiguous: {picks}, the margin is below {AMBIGUOUS}")
    if source.unopposed:
        notes.append(f"without a runner-up: {source.unopposed:,}")
    if source.niqe_blocks is not None:
        notes.append(f"a score rests on {count(source.niqe_blocks, 'block')} of 96x96 pixels")
    return notes + _failures(source)


def _failures(source: SourceStatistics) -> list[str]:
    """The most frequent reasons, each with the methods that it hit."""
    by_reason: dict[str, list[tuple[int, str]]] = {}
    for method in source.methods:
        for item in method.reasons:
            by_reason.setdefault(item.reason, []).append((item.count, method.name))
    ranked = sorted(by_reason.items(), key=lambda entry: -sum(number for number, _ in entry[1]))
    lines = [
        f"failed: {', '.join(f'{name} {number:,}' for number, name in hits)}: {reason}"
        for reason, hits in ranked[:REASONS]
    ]
    return lines + ([f"failed: {len(ranked) - REASONS:,} more reasons"] if len(ranked) > REASONS else [])
