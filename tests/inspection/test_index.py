"""The index finds what a search of every sample, one after the other, would find."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hqgen.inspection.index import ORDERS, Query, SampleIndex
from hqgen.manifest import Manifest, SampleRecord
from tests.made import manifest, sample

scores = st.none() | st.integers(0, 12).map(float)
limits = st.tuples(st.none() | st.integers(0, 12).map(float), st.none() | st.integers(0, 12).map(float))
flags = st.none() | st.booleans()


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Two sources of some samples with two scores each, some of them without."""
    pairs = draw(st.lists(st.tuples(scores, scores), min_size=2, max_size=12))
    cut = draw(st.integers(1, len(pairs) - 1))
    made = [sample(f"lab/{'aB'[i % 2]}{i}", *pair) for i, pair in enumerate(pairs)]
    return manifest({"one": made[:cut], "two": made[cut:]})


@st.composite
def queries(draw: st.DrawFn) -> Query:
    return Query(
        text=draw(st.sampled_from(["", "A", "b1", "1", "none of them"])),
        sources=draw(st.frozensets(st.sampled_from(["one", "two", "gone"]))),
        winners=draw(st.frozensets(st.sampled_from(["", "tfp", "tfi", "gone"]))),
        score=draw(limits),
        margin=draw(limits),
        ambiguous=draw(flags),
        quarantined=draw(flags),
        verdicts=draw(st.frozensets(st.sampled_from(["pick", "reject", "mark", "none"]))),
        order=draw(st.sampled_from(ORDERS)),
        descending=draw(st.booleans()),
    )


def within(value: float | None, low: float | None, high: float | None) -> bool:
    if low is None and high is None:
        return True
    return value is not None and (low is None or value >= low) and (high is None or value <= high)


def fits(found: SampleRecord, source: str, verdict: str, query: Query, ambiguous: bool) -> bool:
    return (
        query.text.lower() in found.key.lower()
        and (not query.sources or source in query.sources)
        and (not query.winners or (found.method or "") in query.winners)
        and within(found.score, *query.score)
        and within(found.margin, *query.margin)
        and query.ambiguous in (None, ambiguous)
        and query.quarantined in (None, found.method is None)
        and (not query.verdicts or verdict in query.verdicts)
    )


@given(
    manifests(), queries(), st.dictionaries(st.integers(0, 1), st.sampled_from(["pick", "reject", "mark"]))
)
def test_a_query_finds_what_fits_and_nothing_else(
    made: Manifest, query: Query, verdicts: dict[int, str]
) -> None:
    index = SampleIndex.of(made)
    found = index.select(query, verdicts).rows
    everything = [(source.name, item) for source in made.sources for item in source.samples]
    expected = [
        row
        for row, (source, item) in enumerate(everything)
        if fits(item, source, verdicts.get(row, "none"), query, bool(index.ambiguous[row]))
    ]
    assert sorted(found.tolist()) == expected


@given(manifests(), st.sampled_from(["score", "margin"]), st.booleans())
def test_rows_are_sorted_and_those_without_a_value_are_last(
    made: Manifest, order: str, descending: bool
) -> None:
    index = SampleIndex.of(made)
    rows = index.select(Query(order=order, descending=descending)).rows  # type: ignore[arg-type]
    values = getattr(index, order)[rows]
    there = values[: np.count_nonzero(~np.isnan(values))]
    assert not np.isnan(there).any()
    assert np.all(np.diff(there) <= 0 if descending else np.diff(there) >= 0)


def test_keys_are_sorted_as_people_count() -> None:
    made = manifest({"one": [sample(f"lab/{n}", 4.0) for n in ("part10", "part9", "part1")]})
    index = SampleIndex.of(made)
    assert [index.keys[row] for row in index.select(Query(order="key")).rows] == [
        "lab/part1",
        "lab/part9",
        "lab/part10",
    ]


def test_the_same_reason_with_other_numbers_is_one() -> None:
    rows = [sample(f"lab/{n}", None, 4.0, reason=f"dark: {n}.5% of it is black") for n in range(3)]
    index = SampleIndex.of(manifest({"one": rows}))
    assert {text: found.tolist() for text, found in index.reasons.items()} == {
        "dark: …% of it is black": [0, 1, 2]
    }


def test_an_empty_store_has_no_rows() -> None:
    index = SampleIndex.of(manifest({"one": []}))
    found = index.select(Query(order="key"))
    assert (len(index), found.rows.tolist(), found.scores.counts) == (0, [], ())
