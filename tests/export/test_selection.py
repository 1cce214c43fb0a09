"""What leaves a store: limits, splits, verdicts."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from hqgen.curation import Journal
from hqgen.errors import UsageError
from hqgen.export.selection import Selection, select
from hqgen.export.settings import SelectionSettings
from hqgen.manifest import Verdict, read_manifest
from tests.made import rewrite


@pytest.fixture
def store(ugly: Path, tmp_path: Path) -> Path:
    """A copy of the manifest alone, for verdicts."""
    return Path(shutil.copy(ugly, tmp_path / "manifest.json"))


def chosen(path: Path, **changes: Any) -> Selection:
    return select(path, read_manifest(path), SelectionSettings(**changes))


def keys(selection: Selection) -> set[str]:
    return {item.record.key for item in selection.samples}


def test_samples_with_a_picture_leave(ugly: Path) -> None:
    found = chosen(ugly)
    assert len(found.samples) == 13
    assert found.left_out == {"without a picture": 2}
    assert not keys(found) & {"one/dark", "two/dark"}


def test_limits_of_score_and_margin_leave_samples_out(ugly: Path) -> None:
    found = chosen(ugly, max_score=4.5, min_margin=0.5)
    assert all(item.score <= 4.5 and (item.record.margin or 0) >= 0.5 for item in found.samples)
    assert found.left_out == {"with a larger score": 8, "with a smaller margin": 1, "without a picture": 2}
    assert keys(found) == {"one/a/1", "two/1", "two/2", "two/3"}


def test_a_winner_without_another_candidate_has_no_margin_to_fail(ugly: Path, tmp_path: Path) -> None:
    made = read_manifest(ugly)
    alone = made.sources[0].samples[0].model_copy(update={"margin": None})
    sources = (
        made.sources[0].model_copy(update={"samples": (alone, *made.sources[0].samples[1:])}),
        made.sources[1],
    )
    path = rewrite(tmp_path / "manifest.json", made.model_copy(update={"sources": sources}))
    assert "one/a/1" in keys(chosen(path, min_margin=100))


def test_nothing_left_is_an_error_that_says_why(ugly: Path) -> None:
    with pytest.raises(UsageError, match=r"13 with a larger score, 2 without a picture"):
        chosen(ugly, max_score=0.5)


def test_all_samples_of_a_recording_are_in_one_split(ugly: Path) -> None:
    found = chosen(ugly, split="train=0.5,val=0.3,test=0.2")
    places: dict[str, set[str]] = {}
    for item in found.samples:
        places.setdefault(item.recording.blake3, set()).add(item.split)
    assert all(len(splits) == 1 for splits in places.values())
    assert len({item.split for item in found.samples}) == 3
    assert found.splits == ("train", "val", "test")


def test_rejected_samples_stay_and_marked_ones_leave(store: Path) -> None:
    journal = Journal(store)
    journal.add("reject", ["one/a/1", "two/1"], note="blurred")
    journal.add("mark", ["two/2"])
    found = chosen(store)
    assert not keys(found) & {"one/a/1", "two/1"}
    assert found.left_out["rejected"] == found.rejected == 2
    assert [item.record.key for item in found.samples if item.verdict is not None] == ["two/2"]
    assert {"one/a/1", "two/1"} <= keys(chosen(store, curation="ignore"))


def test_a_pick_of_the_winner_changes_nothing(store: Path) -> None:
    Journal(store).add("pick", ["one/a/1"], method="tfp")
    assert len(chosen(store).samples) == 13


def test_a_pick_of_a_candidate_that_the_store_lacks_is_refused(store: Path) -> None:
    Journal(store).add("pick", ["one/a/1", "two/0"], method="tfi")
    with pytest.raises(UsageError, match=r"2 verdicts in `.*curation.json` ask for a picture") as caught:
        chosen(store)
    assert "hqgen curate apply" in caught.value.hint
    assert len(chosen(store, curation="ignore").samples) == 13


def test_a_verdict_of_the_store_that_is_taken_back_must_be_applied(store: Path) -> None:
    made = read_manifest(store)
    applied = Verdict(number=1, time="now", source="one", key="one/a/1", action="pick", method="tfp")
    rewrite(store, made.model_copy(update={"verdicts": (applied,)}))
    assert len(chosen(store).samples) == 13
    Journal(store).add("clear", ["one/a/1"])
    with pytest.raises(
        UsageError, match=r"1 verdict in .* asks for a picture that the store does not have: `one/a/1`"
    ):
        chosen(store)
