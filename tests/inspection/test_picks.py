"""Which picks are shown, and whether their candidates are what the build made."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hqgen.errors import SourceError, StoreError
from hqgen.inspection.picks import Gallery, Pick, choose
from hqgen.manifest import Manifest, read_manifest
from hqgen.methods.tfi import TFI
from hqgen.quality import score_images
from hqgen.store import open_store
from tests.builder.small import HEIGHT, WIDTH, build_again, settings_for, stream, write_scenes
from tests.made import rewrite, sample


def picks(built: Path, data_root: Path | None = None, each: int = 9) -> list[Pick]:
    return list(Gallery(built / "manifest.json", data_root).picks(0, each=each))


def changed(built: Path, **normalisation: object) -> Manifest:
    """The manifest as if the plan had had another normalisation; the store's plan id goes along."""
    made = read_manifest(built / "manifest.json")
    plan = made.plan.model_copy(update={"normalisation": made.plan.normalisation | normalisation})
    return made.model_copy(update={"plan": plan})


def test_a_row_that_is_an_example_twice_comes_once() -> None:
    assert choose([sample("a", 4, 4.1)], each=2) == [(0, ("best", "smallest margin"))]


def test_best_worst_and_closest_are_chosen_in_this_order() -> None:
    samples = [sample(str(n), 4 + n, 5 + 2 * n) for n in (3, 0, 5, 1, 4, 2)] + [sample("dark", None, None)]
    assert choose(samples, each=1) == [
        (1, ("best", "smallest margin")),
        (2, ("worst",)),
        (6, ("no picture",)),
    ]
    assert [row for row, kinds in choose(samples, each=2) if "worst" in kinds] == [2, 4]


def test_the_picks_that_the_rule_overruled_most_are_chosen_and_are_not_close() -> None:
    samples = [sample("a", 4, 4.1), sample("b", 4, 5)]
    overruled = [
        sample(str(n), 5, 5 - n).model_copy(update={"method": "tfp", "margin": -float(n)}) for n in (1, 3, 2)
    ]
    found = dict(choose([*samples, *overruled], each=1))
    assert [row for row, kinds in found.items() if "overruled" in kinds] == [3]
    assert [row for row, kinds in found.items() if "smallest margin" in kinds] == [0]


def test_nothing_is_chosen_from_nothing() -> None:
    assert choose([]) == []


def test_no_sample_is_both_best_and_worst() -> None:
    kinds = dict(choose([sample(str(n), 4.0 + n) for n in range(3)], each=2)).values()
    assert [("best" in each, "worst" in each) for each in kinds] == [
        (True, False),
        (True, False),
        (False, True),
    ]


def test_every_candidate_made_again_has_the_score_of_the_manifest(built: Path) -> None:
    tiles = [tile for pick in picks(built) for tile in pick.tiles if tile.score is not None]
    assert len(tiles) == 8
    for tile in tiles:
        assert tile.picture is not None
        scores, _ = score_images(tile.picture)
        assert np.float32(scores[0]) == np.float32(tile.score)
        assert tile.note == ""


def test_winners_are_the_stored_pictures(built: Path) -> None:
    stored = open_store(built / "hq.zarr")["folder-lab"]
    for pick in picks(built):
        winner = pick.winner
        if winner is not None and winner.picture is not None:
            np.testing.assert_array_equal(winner.picture, stored.images[stored.keys.index(pick.key)])


def test_a_candidate_without_a_score_shows_the_reason(built: Path) -> None:
    (dark,) = [pick for pick in picks(built) if "no picture" in pick.kinds]
    assert dark.key == "folder-lab/dark/000020"
    assert dark.winner is None
    assert [tile.picture for tile in dark.tiles] == [None, None]
    assert ["dark image" in tile.note for tile in dark.tiles] == [True, False]
    assert "flat image" in dark.tiles[1].note


def test_a_recording_that_changed_since_is_noted_at_its_winner(moved: Path, tmp_path: Path) -> None:
    from hqgen.spikes.recording import write_dat

    write_dat(tmp_path / "new" / "lab" / "scene1.dat", stream(99))
    notes = {pick.recording: pick.winner.note for pick in picks(moved, tmp_path / "new") if pick.winner}
    assert "of the pixels differ from the store, by up to" in notes.pop("scene1.dat")
    assert set(notes.values()) == {""}


def test_a_single_recording_that_is_gone_costs_its_candidates_only(moved: Path, tmp_path: Path) -> None:
    (tmp_path / "new" / "lab" / "scene1.dat").unlink()
    for pick in picks(moved, tmp_path / "new"):
        lost = [tile for tile in pick.tiles if tile.note.startswith("not made again")]
        assert len(lost) == (2 if pick.recording == "scene1.dat" else 0)
        assert pick.winner is None or pick.winner.picture is not None


def test_recordings_that_are_gone_are_an_error_that_names_the_folder(moved: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=str(tmp_path / "gone" / "lab")) as caught:
        picks(moved)
    assert "--data-root" in caught.value.hint
    with pytest.raises(SourceError, match=f"{tmp_path}/elsewhere/lab"):
        picks(moved, tmp_path / "elsewhere")


def test_stored_picks_need_no_recordings(moved: Path) -> None:
    for pick in Gallery(moved / "manifest.json").picks(0, each=9, or_stored=True):
        for tile in pick.tiles:
            assert (tile.picture is not None) == tile.winner
            assert tile.winner or tile.score is None or "are gone" in tile.note
            assert not (tile.winner and tile.note)


def test_stored_candidates_are_shown_without_recordings_or_methods(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(write_scenes(tmp_path / "lab", 3))
    build_again(settings)
    shutil.rmtree(tmp_path / "lab")
    monkeypatch.setattr(TFI, "version", TFI.version + 1)
    stored = open_store(settings.out / "hq.zarr")["folder-lab"]
    for pick in picks(settings.out):
        row = stored.keys.index(pick.key)
        assert [tile.note for tile in pick.tiles] == ["", ""]
        for tile in pick.tiles:
            np.testing.assert_array_equal(tile.picture, stored.candidates[tile.method][row])


def test_a_method_of_another_version_is_not_run(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TFI, "version", TFI.version + 1)
    for pick in picks(built):
        tfp, tfi = pick.tiles
        if tfi.score is not None:
            assert f"has version {TFI.version} now" in tfi.note
            assert tfp.note == ""


def test_a_method_that_fails_against_its_contract_is_a_note(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr(TFI, "reconstruct", fail)
    notes = [tile.note for pick in picks(built) for tile in pick.tiles if tile.method == "tfi" and tile.score]
    assert all("ZeroDivisionError: of all things" in note for note in notes)
    assert len(notes) == 4


def test_another_normalisation_than_the_plans_is_refused(built: Path) -> None:
    rewrite(built / "manifest.json", changed(built, version=99))
    with pytest.raises(StoreError, match="version: 99 -> 1"):
        picks(built)


def test_a_store_of_another_plan_is_refused(built: Path) -> None:
    made = read_manifest(built / "manifest.json")
    rewrite(built / "manifest.json", made.model_copy(update={"plan_id": "0123456789abcdef"}))
    with pytest.raises(StoreError, match="another plan"):
        Gallery(built / "manifest.json")


def test_picks_know_their_shape(built: Path) -> None:
    assert {pick.shape for pick in picks(built)} == {(HEIGHT, WIDTH)}
    assert replace(picks(built)[0], tiles=()).winner is None
