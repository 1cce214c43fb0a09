"""What a manifest says in numbers."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.inspection.statistics import (
    AMBIGUOUS,
    OverruledPick,
    QuarantinedSample,
    Quartiles,
    ReasonCount,
    niqe_blocks,
    statistics,
)
from hqgen.manifest import SampleRecord
from hqgen.quality import niqe, read_picture
from tests.made import manifest, sample


def test_wins_shares_and_quartiles_are_those_of_the_samples() -> None:
    samples = [sample("a", 5, 4, 6), sample("b", 3, 4, 5), sample("c", 7, 4.5, 9), sample("d", 8, 4, 9)]
    (source,) = statistics(manifest({"reds": samples})).sources
    assert [(method.name, method.wins, method.share) for method in source.methods] == [
        ("tfp", 1, 0.25),
        ("tfi", 3, 0.75),
        ("tfstp", 0, 0.0),
    ]
    assert source.methods[0].scores == Quartiles(4, 4.5, 6.0, 7.25)
    assert source.winners == Quartiles(4, 3.75, 4.0, 4.125)
    assert source.margins == Quartiles(4, 1.0, 1.75, 2.875)


def test_a_pick_is_ambiguous_below_the_threshold_and_not_at_it() -> None:
    samples = [sample("a", 4, 4.25), sample("b", 4, 4 + AMBIGUOUS + 1e-3), sample("c", 4, 4)]
    found = statistics(manifest({"reds": samples}))
    assert found.sources[0].ambiguous == 2
    assert found.ambiguous_below == AMBIGUOUS


def test_of_another_metric_than_niqe_nothing_is_called_ambiguous() -> None:
    found = statistics(manifest({"reds": [sample("a", 40, 40.01)]}, scorer="brisque"))
    assert found.ambiguous_below is None
    assert (found.sources[0].ambiguous, found.sources[0].niqe_blocks) == (None, None)


def test_one_method_only_wins_everything_unopposed() -> None:
    (source,) = statistics(manifest({"reds": [sample("a", 5), sample("b", 4)]})).sources
    assert (source.unopposed, source.contested, source.margins, source.ambiguous) == (2, 0, None, 0)
    assert source.methods[0].share == 1.0


def test_a_source_without_any_valid_sample_has_no_winners() -> None:
    (source,) = statistics(manifest({"reds": [sample("a", None, None), sample("b", None, None)]})).sources
    assert (source.pictures, source.winners, source.margins) == (0, None, None)
    assert [(method.wins, method.share, method.scores) for method in source.methods] == [(0, 0.0, None)] * 2
    assert [item.key for item in source.quarantined_samples] == ["a", "b"]
    assert source.quarantined_samples[0].reasons == {"tfp": "it is dark", "tfi": "it is dark"}


def test_a_source_without_samples_is_described_too() -> None:
    (source,) = statistics(manifest({"reds": []})).sources
    assert (source.samples, source.pictures, source.winners) == (0, 0, None)


def overruled(key: str, *scores: float) -> SampleRecord:
    """A sample whose winner is tfp, whatever the scores are."""
    lead = min(scores[1:]) - scores[0]
    return sample(key, *scores).model_copy(update={"method": "tfp", "margin": lead})


def test_winners_without_the_smallest_score_are_listed_the_most_costly_first() -> None:
    samples = [sample("a", 4, 5), overruled("b", 5, 4.5)]
    (source,) = statistics(manifest({"reds": samples})).sources
    assert source.overruled == (OverruledPick("b", "tfp", "tfi", 0.5),)
    assert source.ambiguous == 0
    (source,) = statistics(manifest({"reds": [overruled("c", 6, 4), overruled("b", 5, 4.5)]})).sources
    assert [(pick.key, pick.worse_by) for pick in source.overruled] == [("c", 2.0), ("b", 0.5)]


def test_judges_have_quartiles_by_method_and_for_the_winners() -> None:
    values = {"consistency": {"tfp": 1.0, "tfi": None}}
    made = manifest({"reds": [sample("a", 4, 5).model_copy(update={"judges": values})]})
    plan = made.plan.model_copy(update={"judges": ({"name": "consistency"},)})
    found = statistics(made.model_copy(update={"plan": plan}))
    assert found.judges == ("consistency",)
    (source,) = found.sources
    assert source.winner_judges == {"consistency": Quartiles(1, 1.0, 1.0, 1.0)}
    assert [method.judges["consistency"] for method in source.methods] == [Quartiles(1, 1.0, 1.0, 1.0), None]


def test_a_refused_pick_is_quarantined_with_its_reason() -> None:
    refused = sample("a", 8).model_copy(update={"method": None, "margin": None, "refused": "too bad"})
    (source,) = statistics(manifest({"reds": [refused]})).sources
    assert source.quarantined_samples == (QuarantinedSample("a", {}, "too bad"),)


def test_reasons_are_counted_by_method_and_text() -> None:
    samples = [sample("a", None, 4), sample("b", None, 4, reason="too short"), sample("c", None, 4)]
    tfp, tfi = statistics(manifest({"reds": samples})).sources[0].methods
    assert tfp.reasons == (ReasonCount("it is dark", 2), ReasonCount("too short", 1))
    assert (tfp.failed, tfi.reasons) == (3, ())


def test_quarantined_recordings_keep_their_reasons() -> None:
    made = manifest({"reds": [sample("a", 4)]}, quarantined=[("b.dat", "is empty")])
    (item,) = statistics(made).sources[0].quarantined_recordings
    assert (item.path, item.reason) == ("b.dat", "is empty")


def test_all_of_it_is_plain_json() -> None:
    made = manifest({"a": [sample("x", None, None), sample("y", 4, 4)], "b": [sample("z", 1)]})
    assert json.loads(json.dumps(asdict(statistics(made)), allow_nan=False))["plan_id"] == made.plan_id


@pytest.mark.parametrize(
    ("size", "blocks"), [((250, 400), 8), ((96, 96), 1), ((250, 250), 4), ((95, 400), 0)]
)
def test_niqe_counts_whole_blocks(size: tuple[int, int], blocks: int) -> None:
    assert niqe_blocks(*size) == blocks


scores = st.one_of(st.none(), st.floats(0, 100, width=32))


@given(st.lists(st.tuples(scores, scores, scores), min_size=1, max_size=20))
def test_wins_add_up_to_the_pictures_and_quartiles_are_in_order(rows: list[tuple[float | None, ...]]) -> None:
    samples = [sample(str(number), *row) for number, row in enumerate(rows)]
    (source,) = statistics(manifest({"reds": samples})).sources
    assert sum(method.wins for method in source.methods) == source.pictures
    assert source.pictures + len(source.quarantined_samples) == len(rows)
    for values in (source.winners, source.margins, *(method.scores for method in source.methods)):
        assert values is None or values.lower <= values.median <= values.upper


@pytest.mark.real
def test_the_threshold_is_what_a_shift_by_one_pixel_does_to_a_real_picture(data_root: Path) -> None:
    """See docs/inspect.md: nine of ten shifts move NIQE by less than the threshold, one of ten by more."""
    moves = []
    for path in sorted(data_root.glob("spike-reds/*/gt/*.png")):
        picture = read_picture(path)
        height, width = picture.shape
        crops = [picture[y : height - 3 + y, x : width - 3 + x] for y in range(4) for x in range(4)]
        moved = niqe(np.stack(crops)).reshape(4, 4)
        moves += [*np.abs(np.diff(moved, axis=0)).flat, *np.abs(np.diff(moved, axis=1)).flat]
    assert len(moves) >= 200
    assert np.quantile(moves, 0.9) == pytest.approx(AMBIGUOUS, abs=0.05)
