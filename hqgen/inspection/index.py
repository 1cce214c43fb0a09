"""An index of all samples of a store in columns, to filter, sort and search 100,000 of them in a moment.

A *row* is the number of a sample over all sources, in the order of the manifest.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hqgen.inspection.statistics import is_ambiguous
from hqgen.manifest import Manifest, SampleRecord

Order = Literal["store", "key", "score", "margin", "winner"]
"""What samples can be sorted by."""

ORDERS: tuple[Order, ...] = get_args(Order)

NO_WINNER = -1
"""The column `winner` of a sample without a picture."""

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]
Range = tuple[float | None, float | None]


@dataclass(frozen=True)
class Query:
    """Which samples to show, and in which order; the default is all, in the order of the store.

    Attributes:
        text: what the key contains; upper and lower case are the same.
        sources: names; empty for all.
        winners: methods, and an empty name for samples without a picture; empty for all.
        score: smallest and largest score of the winner; with a limit, samples without one are left out.
        margin: the same of its lead.
        ambiguous: whether the pick is ambiguous; None for both.
        quarantined: whether there is no picture; None for both.
        reason: one of `SampleIndex.reasons`; empty for all.
        verdicts: what people say of the sample, of `pick`, `reject`, `mark` and `none`; empty for all.
        order: what to sort by; samples without such a value come last.
        descending: whether the largest comes first.
    """

    text: str = ""
    sources: frozenset[str] = frozenset()
    winners: frozenset[str] = frozenset()
    score: Range = (None, None)
    margin: Range = (None, None)
    ambiguous: bool | None = None
    quarantined: bool | None = None
    reason: str = ""
    verdicts: frozenset[str] = frozenset()
    order: Order = "store"
    descending: bool = False


@dataclass(frozen=True, eq=False)
class Selection:
    """What a query found.

    Attributes:
        rows: int64, in the query's order.
        sources: samples by name of the source, if the query named no sources.
        winners: samples by method (empty without a picture), if the query named no winners.
        scores: edges and counts of a histogram of the winners' scores, if the query had no limits of them.
        margins: the same of their leads.
    """

    rows: Rows
    sources: dict[str, int]
    winners: dict[str, int]
    scores: Histogram
    margins: Histogram


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts between `low` and `high`, in intervals of equal length; no counts where there are no values."""

    low: float
    high: float
    counts: tuple[int, ...]


BINS = 32
"""Intervals of a histogram."""


@dataclass(frozen=True, eq=False)
class SampleIndex:
    """The samples of a manifest in columns of N rows.

    Attributes:
        sources: names of the sources.
        methods: names of all methods of all sources, by rank.
        keys: of the samples.
        source: int16, index into `sources`.
        winner: int16, index into `methods`, or `NO_WINNER`.
        score: float32, of the winner; NaN without one.
        margin: float32, its lead; NaN without a winner or another candidate.
        ambiguous: whether that lead says little.
        reasons: by text, with numbers left out, the rows in which a candidate has no score, or the pick is
            refused, for that reason; the most frequent first.
    """

    sources: tuple[str, ...]
    methods: tuple[str, ...]
    keys: tuple[str, ...]
    source: NDArray[np.int16]
    winner: NDArray[np.int16]
    score: NDArray[np.float32]
    margin: NDArray[np.float32]
    ambiguous: Mask
    reasons: Mapping[str, Rows] = field(repr=False)

    @classmethod
    def of(cls, manifest: Manifest) -> SampleIndex:
        """The index of what a manifest says."""
        ranks = {m.name: m.rank for spec in manifest.plan.sources for m in spec.methods}
        methods = tuple(sorted(ranks, key=lambda name: (ranks[name], name)))
        columns = {name: column for column, name in enumerate(methods)} | {None: NO_WINNER}
        samples = [sample for source in manifest.sources for sample in source.samples]
        lengths = [len(source.samples) for source in manifest.sources]
        margins = [sample.margin for sample in samples]
        scorer = str(manifest.plan.scorer["name"])
        return cls(
            sources=tuple(source.name for source in manifest.sources),
            methods=methods,
            keys=tuple(sample.key for sample in samples),
            source=np.repeat(np.arange(len(lengths), dtype=np.int16), lengths),
            winner=np.array([columns[sample.method] for sample in samples], np.int16),
            score=np.array([_number(sample.score) for sample in samples], np.float32),
            margin=np.array([_number(margin) for margin in margins], np.float32),
            ambiguous=np.array([is_ambiguous(margin, scorer) for margin in margins], np.bool_),
            reasons=_reasons(samples),
        )

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def quarantined(self) -> Mask:
        """Whether a sample has no picture: bool (N,)."""
        mask: Mask = self.winner == NO_WINNER
        return mask

    def select(self, query: Query, verdicts: Mapping[int, str] | None = None) -> Selection:
        """The rows that a query asks for, and counts for its next step.

        Args:
            query: what to find; an unknown name finds no rows.
            verdicts: by row, what people say of it: `pick`, `reject` or `mark`.
        """
        masks = self._masks(query, verdicts or {})
        rows = np.flatnonzero(_all(masks, len(self)))
        by_source = np.bincount(self.source[_all(masks, len(self), "sources")], minlength=len(self.sources))
        others = self.winner[_all(masks, len(self), "winners")]
        by_winner = np.bincount(others - NO_WINNER, minlength=len(self.methods) + 1)
        return Selection(
            rows=self._ordered(rows, query),
            sources=dict(zip(self.sources, by_source.tolist(), strict=True)),
            winners=dict(zip(("", *self.methods), by_winner.tolist(), strict=True)),
            scores=histogram(self.score, _all(masks, len(self), "score")),
            margins=histogram(self.margin, _all(masks, len(self), "margin")),
        )

    def _masks(self, query: Query, verdicts: Mapping[int, str]) -> dict[str, Mask]:
        """The rows that each condition of a query leaves, by its name; no mask for no condition."""
        masks: dict[str, Mask] = {}
        if query.text:
            masks["text"] = np.char.find(self._lowered, query.text.lower()) >= 0
        if query.sources:
            masks["sources"] = np.isin(self.source, _places(self.sources, query.sources))
        if query.winners:
            masks["winners"] = np.isin(self.winner, _places(("", *self.methods), query.winners) + NO_WINNER)
        for name, limits in (("score", query.score), ("margin", query.margin)):
            if limits != (None, None):
                masks[name] = _within(getattr(self, name), limits)
        for name, wanted in (("ambiguous", query.ambiguous), ("quarantined", query.quarantined)):
            if wanted is not None:
                masks[name] = getattr(self, name) == wanted
        if query.reason:
            masks["reason"] = self._mask_of(self.reasons.get(query.reason, ()))
        if query.verdicts:
            masks["verdicts"] = self._with_verdicts(query.verdicts, verdicts)
        return masks

    def _with_verdicts(self, wanted: frozenset[str], verdicts: Mapping[int, str]) -> Mask:
        mask = self._mask_of([row for row, name in verdicts.items() if name in wanted])
        return mask | ~self._mask_of(list(verdicts)) if "none" in wanted else mask

    def _mask_of(self, rows: Iterable[int]) -> Mask:
        mask = np.zeros(len(self), np.bool_)
        mask[np.asarray(rows, np.int64)] = True
        return mask

    @cached_property
    def _lowered(self) -> NDArray[np.str_]:
        return np.array([key.lower() for key in self.keys], np.str_)

    @cached_property
    def _key_rank(self) -> Rows:
        """The place of every row in the order of the keys, in which 10 comes after 9."""
        order = sorted(range(len(self)), key=lambda row: _natural(self.keys[row]))
        ranks = np.empty(len(self), np.int64)
        ranks[order] = np.arange(len(self))
        return ranks

    def _ordered(self, rows: Rows, query: Query) -> Rows:
        if query.order == "store":
            return rows[::-1] if query.descending else rows
        if query.order == "key":
            values = self._key_rank[rows].astype(np.float64)
        elif query.order == "winner":
            values = np.where(self.quarantined[rows], np.nan, self.winner[rows])
        else:
            values = (self.score if query.order == "score" else self.margin)[rows].astype(np.float64)
        # Rows without a value are NaN, which argsort puts last in either direction.
        return rows[np.argsort(-values if query.descending else values, kind="stable")]


def histogram(values: NDArray[np.float32], mask: Mask) -> Histogram:
    """A histogram of the finite values in a mask, over the range of all finite values."""
    finite = np.isfinite(values)
    if not finite.any():
        return Histogram(0.0, 0.0, ())
    low, high = float(values[finite].min()), float(values[finite].max())
    counts, _ = np.histogram(values[finite & mask], BINS, (low, high if high > low else low + 1))
    return Histogram(low, high, tuple(counts.tolist()))


def _all(masks: Mapping[str, Mask], count: int, without: str = "") -> Mask:
    """The rows in all masks except one."""
    found = np.ones(count, np.bool_)
    for name, mask in masks.items():
        if name != without:
            found &= mask
    return found


def _places(names: tuple[str, ...], wanted: frozenset[str]) -> NDArray[np.int16]:
    return np.array([place for place, name in enumerate(names) if name in wanted], np.int16)


def _within(values: NDArray[np.float32], limits: Range) -> Mask:
    """Values between two limits; a NaN is not."""
    low, high = (-np.inf if limits[0] is None else limits[0]), (np.inf if limits[1] is None else limits[1])
    # People type what they read, which is rounded: the limits reach half of the last digit shown further.
    return (values >= low - 5e-4) & (values <= high + 5e-4)


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _natural(key: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", key)]


def _reasons(samples: Iterable[SampleRecord]) -> dict[str, Rows]:
    found: dict[str, list[int]] = defaultdict(list)
    for row, sample in enumerate(samples):
        texts = {_without_numbers(text) for text in (*sample.reasons.values(), sample.refused) if text}
        for text in texts:
            found[text].append(row)
    ordered = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    return {text: np.array(rows, np.int64) for text, rows in ordered}


def _without_numbers(text: str) -> str:
    """A reason without its numbers: those with other numbers are the same reason."""
    return re.sub(r"\d[\d.,]*(?<=\d)", "…", text)
