"""What a page and a terminal both say of a store and its sources, in plain lines."""

from __future__ import annotations

import re
from collections import Counter

from hqgen.curation import VerdictSummary
from hqgen.inspection.statistics import AMBIGUOUS, ManifestStatistics, Quartiles, SourceStatistics
from hqgen.text import count, duration

REASONS = 5
"""Reasons of failed candidates that are given; the rest is counted."""

_NUMBER = re.compile(r"\d+")


def heading(found: ManifestStatistics, verdicts: VerdictSummary) -> dict[str, str]:
    """How the store was made and what people say of it, by name."""
    pictures = f"{found.pictures:,} of {count(found.samples, 'sample')}"
    return {
        "HQ store": found.store,
        "pictures": f"{pictures}, {count(len(found.sources), 'source')}",
        "plan": found.plan_id,
        "scorer": f"{found.scorer}, lower is better",
        "rule": _rule(found),
        **({"judges": ", ".join(found.judges)} if found.judges else {}),
        "candidates": "in the store" if found.keep_candidates else "not in the store",
        **({"picked from": found.repicked_from} if found.repicked_from else {}),
        **({"merged from": ", ".join(found.merged_from)} if found.merged_from else {}),
        **_verdicts(verdicts),
        "finished": f"{found.finished}, after {duration(found.seconds)}",
        "software": ", ".join(f"{name} {version}" for name, version in found.software.items()),
    }


def _verdicts(found: VerdictSummary) -> dict[str, str]:
    """What people say, on one line; nothing where nobody said anything."""
    if found.problem is not None:
        return {"verdicts": f"not read: {found.problem}"}
    if not found.total and not found.to_apply:
        return {}
    numbers = f"{found.picked:,} picked, {found.rejected:,} rejected, {found.marked:,} marked"
    later = f"; {found.to_apply:,} to apply (`hqgen curate apply`)" if found.to_apply else ""
    return {"verdicts": numbers + later}


def _rule(found: ManifestStatistics) -> str:
    """The rule, and the limits that its picks must keep."""
    limits = []
    if found.max_score is not None:
        limits.append(f"{found.scorer} at most {found.max_score:g}")
    if found.min_consistency is not None:
        limits.append(f"consistency at least {found.min_consistency:.0%}")
    return ", ".join([found.rule, *limits])


def source_heading(source: SourceStatistics) -> str:
    """Size of a source: pixels, samples, recordings."""
    size = f"{source.height}x{source.width}, {count(source.samples, 'sample')}"
    return f"{size} in {count(source.recordings, 'recording')}"


def quartile_texts(values: Quartiles | None) -> list[str]:
    """Lower quartile, median and upper quartile."""
    return ["-"] * 3 if values is None else [f"{v:.2f}" for v in (values.lower, values.median, values.upper)]


def source_notes(source: SourceStatistics) -> list[str]:
    """How sure the picks are, and why candidates failed: a line each."""
    notes = []
    if source.ambiguous is not None and source.contested:
        share = f"{source.ambiguous / source.contested:.0%}"
        picks = f"{source.ambiguous:,} of {count(source.contested, 'pick')} ({share})"
        notes.append(f"ambiguous: {picks}, the margin is below {AMBIGUOUS}")
    if source.left_out:
        key_frames = count(source.samples + len(source.left_out), "key frame")
        example = f"{source.left_out[0].key}, {source.left_out[0].reason}"
        notes.append(f"left out: {len(source.left_out):,} of {key_frames}, as {example}")
    if source.overruled:
        notes.append(_overruled(source))
    if source.picked_by_hand or source.rejected_by_hand:
        notes.append(f"by hand: {source.picked_by_hand:,} picked, {source.rejected_by_hand:,} rejected")
    limited = [s for s in source.quarantined_samples if s.refused is not None and not s.by_hand]
    refused = len(limited)
    if refused:
        notes.append(f"refused by a limit: {count(refused, 'pick')}")
    if source.unopposed:
        notes.append(f"without a runner-up: {source.unopposed:,}")
    if source.niqe_blocks is not None:
        notes.append(f"a score rests on {count(source.niqe_blocks, 'block')} of 96x96 pixels")
    if source.mirrored.samples:
        notes.append(_mirrored(source))
    return notes + _failures(source)


def _mirrored(source: SourceStatistics) -> str:
    """How many windows reach over an end of their recording, and how far those of the winners do."""
    found = source.mirrored
    samples = f"mirrored windows: {found.samples:,} of {count(source.samples, 'sample')}"
    if not found.pictures:
        return f"{samples}, no winner among them"
    shares = f"{found.mean:.0%} of their frames on average, at most {found.largest:.0%}"
    return f"{samples}; {count(found.pictures, 'winner')}, {shares}"


def _overruled(source: SourceStatistics) -> str:
    """How often the rule preferred a candidate with a worse score, and what that cost."""
    costs = [pick.worse_by for pick in source.overruled]
    mean, most = sum(costs) / len(costs), source.overruled[0]
    example = f"{most.key}, {most.method} instead of {most.instead_of}"
    share = f"{len(costs):,} of {count(source.pictures, 'pick')} do not have the smallest score"
    return f"overruled: {share}, by {mean:.2f} on average, {most.worse_by:.2f} at {example}"


def _failures(source: SourceStatistics) -> list[str]:
    """The most frequent reasons with the methods they hit; those that differ in numbers alone are one."""
    kinds: dict[str, list[tuple[str, int, str]]] = {}
    for method in source.methods:
        for item in method.reasons:
            kinds.setdefault(_NUMBER.sub("", item.reason), []).append((method.name, item.count, item.reason))
    ranked = sorted(kinds.values(), key=lambda hits: -sum(number for _, number, _ in hits))
    lines = [f"failed: {_hits(hits)}" for hits in ranked[:REASONS]]
    return lines + ([f"failed: {len(ranked) - REASONS:,} more reasons"] if len(ranked) > REASONS else [])


def _hits(hits: list[tuple[str, int, str]]) -> str:
    """How often each method failed for reasons of one kind, and the first of them."""
    methods = Counter[str]()
    for name, number, _ in hits:
        methods[name] += number
    reasons = dict.fromkeys(reason for _, _, reason in hits)
    alike = f" (and {len(reasons) - 1:,} alike)" if len(reasons) > 1 else ""
    return (
        f"{', '.join(f'{name} {number:,}' for name, number in methods.items())}: {next(iter(reasons))}{alike}"
    )
