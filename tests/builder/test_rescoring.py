"""Stored candidates measured again: the bytes of a build with that metric and those judges."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hqgen.builder.scoring import Scoring
from hqgen.builder.settings import BuildSettings
from hqgen.errors import RecordingError, ScoreError, SourceError, StoreError, UnknownNameError, UsageError
from hqgen.manifest import read_manifest
from hqgen.quality import scorers
from hqgen.quality.batch import NO_STRUCTURE
from hqgen.sources.recordings import FileRecording
from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.recording import write_dat
from hqgen.store import StoreWriter
from hqgen.verify import verify
from tests.builder.small import build_again, content, settings_for, stream, write_scenes
from tests.builder.test_repick import repicked, without_origin

DARK = "scene2.dat"
"""A recording without spikes: no method makes a candidate of it."""


@dataclass(frozen=True)
class Picky:
    """Scores a picture by its mean; an even sum of grey levels has no score."""

    name: str = "picky"
    version: int = 1

    def parameters(self) -> dict[str, Any]:
        return {}

    def score(self, images: NDArray[Any]) -> tuple[NDArray[np.float64], list[str | None]]:
        even = images.sum(axis=(1, 2), dtype=np.int64) % 2 == 0
        return np.where(even, np.inf, images.mean(axis=(1, 2))), [NO_STRUCTURE if e else None for e in even]


@pytest.fixture(autouse=True)
def _picky(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(scorers._SCORERS, "picky", Picky())


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_scenes(tmp_path_factory.mktemp("rescoring") / "lab", 5)
    write_dat(folder / DARK, PackedSpikes.pack(np.zeros((50, 96, 104), bool)))
    write_dat(folder / "scene3.dat", stream(3, frames=90))
    return folder


@pytest.fixture(scope="module")
def wanted(recordings: Path) -> BuildSettings:
    judges = ("consistency", "grain")
    return settings_for(recordings, methods="tfp,tfi,tfstp", shard_size=2, judges=judges)


@pytest.fixture(scope="module")
def built(wanted: BuildSettings) -> Path:
    build_again(wanted)
    return wanted.out


def same_as_a_build(out: Path, wanted: BuildSettings, **changes: Any) -> bool:
    fresh = out.with_name("fresh")
    build_again(wanted, out=fresh, **changes)
    assert verify(out / "manifest.json") == []
    return without_origin(out) == without_origin(fresh)


@pytest.mark.parametrize(
    "change",
    [
        {"metric": "brisque"},
        {"metric": "grain"},
        {"metric": "piqe", "judges": ("consistency", "niqe")},
        {"metric": "brisque", "judges": ("consistency", "grain"), "rule": "consensus"},
        {"judges": ("piqe",)},
        {"judges": ()},
        {"metric": "picky"},
        {"metric": "picky", "rule": "niqe-guarded", "keep_candidates": False},
        {"metric": "picky", "judges": ("niqe",)},
    ],
    ids=str,
)
def test_the_bytes_are_those_of_a_build(
    built: Path,
    wanted: BuildSettings,
    tmp_path: Path,
    change: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(FileRecording, "open", lambda _: pytest.fail("a recording was opened"))
        outcome = repicked(built, tmp_path / "new", **change)
    assert outcome.made == 6
    assert same_as_a_build(tmp_path / "new", wanted, **change)


def test_a_judge_without_a_value_gets_its_reason_as_a_metric(wanted: BuildSettings, tmp_path: Path) -> None:
    build_again(wanted, out=tmp_path / "judged", judges=("picky", "consistency"))
    (source,) = repicked(tmp_path / "judged", tmp_path / "new", metric="picky").manifest.sources
    reasons = [reason for sample in source.samples for reason in sample.reasons.values()]
    assert 0 < reasons.count(NO_STRUCTURE) < 12
    assert same_as_a_build(tmp_path / "new", wanted, metric="picky", judges=("consistency",))


def test_stored_values_are_taken_without_a_look_at_the_pictures(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        pytest.fail("a picture was scored")

    for name in ("score", "judge", "compare"):
        monkeypatch.setattr(Scoring, name, fail)
    repicked(built, tmp_path / "new", metric="grain", judges=("niqe", "consistency"))
    assert read_manifest(tmp_path / "new/manifest.json").plan.scorer["name"] == "grain"


def test_the_way_there_and_back_gives_the_first_store_again(built: Path, tmp_path: Path) -> None:
    repicked(built, tmp_path / "there", metric="brisque", judges=("consistency", "grain", "niqe"))
    repicked(tmp_path / "there", tmp_path / "back", metric="niqe", judges=("consistency", "grain"))
    assert without_origin(tmp_path / "back") == without_origin(built)


def test_a_candidate_that_the_old_metric_lost_is_named(wanted: BuildSettings, tmp_path: Path) -> None:
    build_again(wanted, out=tmp_path / "picked", metric="picky")
    with pytest.raises(
        StoreError, match=r"`brisque` may score \d+ candidates that `picky` could not"
    ) as caught:
        repicked(tmp_path / "picked", tmp_path / "new", metric="brisque")
    assert "`--metric brisque`" in caught.value.hint
    assert not (tmp_path / "new").exists()
    repicked(tmp_path / "picked", tmp_path / "new", metric="picky", judges=("niqe",))
    assert same_as_a_build(tmp_path / "new", wanted, metric="picky", judges=("niqe",))


@pytest.fixture
def without_consistency(wanted: BuildSettings, recordings: Path, tmp_path: Path) -> BuildSettings:
    """A build of a copy of the recordings, without `consistency`."""
    folder = Path(shutil.copytree(recordings, tmp_path / "lab"))
    build_again(wanted, sources=(f"folder:{folder}",), out=tmp_path / "plain", judges=("grain",))
    return wanted.model_copy(update={"sources": (f"folder:{folder}",)})


JUDGED: dict[str, Any] = {"judges": ("consistency", "grain"), "rule": "niqe-guarded", "min_consistency": 0.5}


def test_consistency_comes_from_the_recordings(without_consistency: BuildSettings, tmp_path: Path) -> None:
    repicked(tmp_path / "plain", tmp_path / "new", metric="picky", **JUDGED)
    assert same_as_a_build(tmp_path / "new", without_consistency, metric="picky", **JUDGED)


def test_recordings_that_moved_are_found_in_the_data_root(
    without_consistency: BuildSettings, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "lab").rename(tmp_path / "data/lab")
    with pytest.raises(SourceError, match="the recordings of `folder-lab` are gone") as caught:
        repicked(tmp_path / "plain", tmp_path / "new", **JUDGED)
    assert "--data-root" in caught.value.hint
    repicked(tmp_path / "plain", tmp_path / "new", data_root=tmp_path / "data", **JUDGED)
    assert verify(tmp_path / "new/manifest.json") == []


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_recording_that_is_gone_or_changed_is_named(
    without_consistency: BuildSettings, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "lab/scene4.dat"
    if damage == "gone":
        path.unlink()
    else:
        write_dat(path, stream(99))
    with pytest.raises(RecordingError, match=r"`scene4\.dat` of `folder-lab`") as caught:
        repicked(tmp_path / "plain", tmp_path / "new", **JUDGED)
    assert "leave `consistency` out" in caught.value.hint
    assert not (tmp_path / "new/hq.zarr").exists()
    repicked(tmp_path / "plain", tmp_path / "new", judges=("grain",))


def test_a_metric_that_cannot_take_the_pictures_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "source.toml").write_text("geometry = [40, 48]\n")
    spikes = np.random.default_rng(0).random((50, 40, 48)) < 0.3
    write_dat(lab / "small.dat", PackedSpikes.pack(spikes))
    build_again(settings_for(lab, metric="brisque", judges=()))
    with pytest.raises(ScoreError, match="40x48 pixels is too small: `niqe` needs 96x96"):
        repicked(tmp_path / "out", tmp_path / "new", metric="niqe")
    assert not (tmp_path / "new").exists()


def test_names_and_needs_are_checked_first(built: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown metric `nique`"):
        repicked(built, tmp_path / "new", metric="nique")
    with pytest.raises(UnknownNameError, match="unknown judge `grane`"):
        repicked(built, tmp_path / "new", judges=("grane",))
    with pytest.raises(UsageError, match="needs the judge `grain`"):
        repicked(built, tmp_path / "new", judges=("consistency",), rule="consensus")
    assert not (tmp_path / "new").exists()


def test_a_damaged_candidate_is_found_before_it_is_scored(built: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(built, tmp_path / "copy"))
    store = StoreWriter(copy / "hq.zarr")
    store.write_shard(
        "folder-lab", 0, store.read_shard("folder-lab", 0, 2, "candidates/tfi")[::-1], "candidates/tfi"
    )
    with pytest.raises(StoreError, match="the candidates of `tfi` in shard 0 of `folder-lab` are damaged"):
        repicked(copy, tmp_path / "new", metric="brisque")


def test_a_scoring_that_was_stopped_continues(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, scored = iter(range(99)), Picky.score

    def die(self: Picky, images: NDArray[Any]) -> Any:
        if next(left) == 5:
            raise KeyboardInterrupt
        return scored(self, images)

    with monkeypatch.context() as patch:
        patch.setattr("os.cpu_count", lambda: 1)
        patch.setattr(Picky, "score", die)
        with pytest.raises(KeyboardInterrupt):
            repicked(built, tmp_path / "new", metric="picky")
    assert 0 < repicked(built, tmp_path / "new", metric="picky").made < 6
    repicked(built, tmp_path / "whole", metric="picky")
    assert content(tmp_path / "new") == content(tmp_path / "whole")
