"""Damage that `verify` must find, and name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from hqgen.errors import StoreError
from hqgen.manifest import Manifest, SampleRecord, read_manifest
from hqgen.verify import Damage, verify
from tests.made import manifest, rewrite, sample, write

SAMPLES = {
    "demo": [sample("d0", 4.0, None)],
    "reds": [
        sample("r0", 5, 4, 6),
        sample("r1", 3.1, 3.2, 5),
        sample("r2", None, None, None),
        sample("r3", 4, 4, 4),
        sample("r4", 7, None, 6),
    ],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(manifest(SAMPLES), tmp_path)


def shard_file(path: Path, source: str, shard: int) -> Path:
    return path.parent / "hq.zarr" / source / "images" / "c" / str(shard) / "0" / "0"


def with_sample(path: Path, source: int, row: int, changed: SampleRecord) -> None:
    """Rewrite the manifest with another sample at one place."""
    made: Manifest = read_manifest(path)
    samples = list(made.sources[source].samples)
    samples[row] = changed
    sources = list(made.sources)
    sources[source] = sources[source].model_copy(update={"samples": tuple(samples)})
    rewrite(path, made.model_copy(update={"sources": tuple(sources)}))


def test_a_sound_store_has_no_damage_and_every_sample_is_told(path: Path) -> None:
    told: list[int] = []
    assert verify(path, advance=told.append) == []
    assert sorted(told) == [1, 1, 2, 2]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("place", [0.3, 0.7, -1])
def test_a_flipped_byte_names_its_shard_and_no_other(path: Path, place: float, threads: int) -> None:
    file = shard_file(path, "reds", 1)
    content = bytearray(file.read_bytes())
    content[int(place * len(content)) if place > 0 else -1] ^= 0x40
    file.write_bytes(content)
    (damage,) = verify(path, threads=threads)
    assert (damage.source, damage.shard, damage.row) == ("reds", 1, None)


def test_a_missing_shard_is_told_from_a_black_one(path: Path) -> None:
    shard_file(path, "demo", 0).unlink()
    assert verify(path) == [Damage("demo", 0, None, "its file is missing")]


def test_a_truncated_shard_cannot_be_decoded(path: Path) -> None:
    file = shard_file(path, "reds", 2)
    file.write_bytes(file.read_bytes()[:100])
    (damage,) = verify(path)
    assert (damage.source, damage.shard) == ("reds", 2)
    assert "cannot be decoded" in damage.what


def test_several_damages_come_in_the_order_of_the_store(path: Path) -> None:
    for shard in (2, 0):
        shard_file(path, "reds", shard).unlink()
    shard_file(path, "demo", 0).unlink()
    assert [(item.source, item.shard) for item in verify(path)] == [("demo", 0), ("reds", 0), ("reds", 2)]


@pytest.mark.parametrize(
    ("column", "value"),
    [("scores", np.nan), ("method", 2), ("margin", np.inf), ("valid", False), ("keys", "another")],
)
def test_a_changed_small_array_names_the_row(path: Path, column: str, value: Any) -> None:
    zarr.open_array(path.parent / "hq.zarr" / "reds" / column, mode="r+")[1] = value
    (damage,) = verify(path)
    assert (damage.source, damage.row) == ("reds", 1)
    assert f"`{column}`" in damage.what


def test_a_small_array_that_is_gone_is_named(path: Path) -> None:
    (path.parent / "hq.zarr" / "reds" / "margin" / "zarr.json").unlink()
    (damage,) = verify(path)
    assert damage.source == "reds"
    assert "`margin` cannot be read" in damage.what


def test_pictures_that_lost_their_array_are_damage_and_no_crash(path: Path) -> None:
    (path.parent / "hq.zarr" / "reds" / "images" / "zarr.json").unlink()
    damage = verify(path)
    assert {item.source for item in damage} == {"reds"}
    assert [item.shard for item in damage if item.shard is not None] == [0, 1, 2]


def test_a_winner_that_is_not_the_best_is_found(path: Path) -> None:
    with_sample(path, 1, 0, sample("r0", 5, 4, 6).model_copy(update={"method": "tfp"}))
    found = verify(path)
    assert Damage("reds", None, 0, "the manifest's winner is tfp, by the rule it is tfi") in found


def test_of_equal_scores_the_lower_rank_must_win(path: Path) -> None:
    with_sample(path, 1, 3, sample("r3", 4, 4, 4).model_copy(update={"method": "tfstp"}))
    assert any("by the rule it is tfp" in item.what for item in verify(path))


def test_a_margin_that_does_not_follow_from_the_scores_is_found(path: Path) -> None:
    with_sample(path, 1, 0, sample("r0", 5, 4, 6).model_copy(update={"margin": 0.5}))
    assert any(item.row == 0 and "by the scores it is 1.0" in item.what for item in verify(path))


def test_a_missing_score_of_a_planned_method_is_found(path: Path) -> None:
    with_sample(path, 1, 0, sample("r0", 5, 4))
    assert [(item.source, item.row) for item in verify(path)] == [("reds", 0)]


def test_samples_of_another_plan_are_found(path: Path) -> None:
    with_sample(path, 1, 0, sample("other", 5, 4, 6))
    (damage,) = verify(path)
    assert "samples" in damage.what


def test_a_store_of_another_plan_is_one_finding(path: Path, tmp_path: Path) -> None:
    other = write(manifest({"reds": SAMPLES["reds"][:2]}), tmp_path / "other")
    (other.parent / "hq.zarr").rename(tmp_path / "hq.other")
    (path.parent / "hq.zarr").rename(other.parent / "hq.zarr")
    (damage,) = verify(other)
    assert (damage.source, damage.shard) == (None, None)
    assert "of the plan" in damage.what
    assert str(damage).startswith("the store: ")


def test_a_manifest_whose_plan_was_edited_is_found(path: Path) -> None:
    made = read_manifest(path)
    rewrite(path, made.model_copy(update={"plan": made.plan.model_copy(update={"shard_size": 3})}))
    assert "holds the plan" in verify(path)[0].what


def test_without_a_store_there_is_nothing_to_verify(tmp_path: Path) -> None:
    path = rewrite(tmp_path / "manifest.json", manifest(SAMPLES))
    with pytest.raises(StoreError, match="no HQ store"):
        verify(path)
