"""Two builds side by side: what differs is found, and nothing else."""

from __future__ import annotations

import json
import shutil
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from hqgen.builder import comparison
from hqgen.builder.comparison import BuildDifference, compare_builds
from hqgen.builder.settings import BuildSettings
from hqgen.cli import app
from hqgen.errors import StoreError
from hqgen.report.difference import difference_view
from hqgen.spikes.recording import write_dat
from tests.builder.small import build_again, stream

NAME = "folder-recordings"


def compared(one: Path, other: Path) -> BuildDifference:
    return compare_builds(one / "manifest.json", other / "manifest.json")


def shown(found: BuildDifference) -> str:
    file = StringIO()
    Console(file=file, width=80).print(difference_view(found))
    return file.getvalue()


def test_a_build_is_the_same_as_its_copy_and_no_picture_is_read(
    settings: BuildSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_again(settings)
    shutil.copytree(settings.out, tmp_path / "copy")
    monkeypatch.setattr(comparison, "open_described", lambda _: pytest.fail("the digests are enough"))
    found = compared(settings.out, tmp_path / "copy")
    assert found.same
    assert [source.samples for source in found.sources] == [7]
    assert "the same plan, samples, winners, scores and pixels: 7 samples" in shown(found)


def test_a_changed_source_has_other_samples_and_one_other_picture(
    settings: BuildSettings, recordings: Path, tmp_path: Path
) -> None:
    build_again(settings)
    write_dat(recordings / "scene1.dat", stream(77))
    write_dat(recordings / "a_new_one.dat", stream(9))
    (recordings / "scene3.dat").unlink()
    build_again(settings, out=tmp_path / "later")
    (source,) = compared(settings.out, tmp_path / "later").sources
    assert source.samples == 6
    assert [key.split("/")[1] for key in source.only_before] == ["scene3"]
    assert [key.split("/")[1] for key in source.only_after] == ["a_new_one"]
    assert [key.split("/")[1] for key in source.other_pixels] == ["scene1"]
    assert source.other_scores == source.other_pixels
    back = compared(tmp_path / "later", settings.out).sources[0]
    assert (back.only_before, back.only_after) == (source.only_after, source.only_before)


def test_another_rule_has_other_winners_with_the_same_scores(settings: BuildSettings, tmp_path: Path) -> None:
    settings = settings.model_copy(update={"methods": "tfp,tfi,tfstp"})
    build_again(settings)
    build_again(settings, out=tmp_path / "other", rule="niqe-guarded", max_score=43.0)
    found = compared(settings.out, tmp_path / "other")
    (source,) = found.sources
    assert source.other_winner
    assert not source.other_scores
    assert {item.key for item in source.other_winner} == set(source.other_pixels)
    text = shown(found)
    assert "plan: rule name: niqe -> niqe-guarded" in text
    assert f"{NAME}: other winner: " in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_other_shards_of_the_same_samples_are_compared_by_their_pixels(
    settings: BuildSettings, tmp_path: Path
) -> None:
    build_again(settings)
    build_again(settings, out=tmp_path / "other", shard_size=3)
    found = compared(settings.out, tmp_path / "other")
    assert found.plan == ("shard size: 2 -> 3",)
    assert not found.sources[0].other_pixels
    assert not found.same
    shutil.rmtree(tmp_path / "other/hq.zarr")
    without = compared(settings.out, tmp_path / "other")
    assert without.sources[0].not_compared == 6, "the last shard has one sample in both"
    assert "the pixels of 6 samples need both stores" in shown(without)


def test_sources_of_one_build_alone_have_all_their_samples_there(
    settings: BuildSettings, tmp_path: Path, recordings: Path
) -> None:
    shutil.copytree(recordings, tmp_path / "more")
    build_again(settings)
    build_again(settings, sources=(*settings.sources, f"folder:{tmp_path / 'more'}"), out=tmp_path / "two")
    more, same = compared(settings.out, tmp_path / "two").sources
    assert (more.name, more.samples, len(more.only_after)) == ("folder-more", 0, 7)
    assert (same.name, same.samples, same.only_after) == (NAME, 7, ())


def test_a_store_of_another_build_is_not_compared_in_silence(settings: BuildSettings, tmp_path: Path) -> None:
    build_again(settings)
    build_again(settings, out=tmp_path / "other", shard_size=3)
    shutil.copy(settings.out / "manifest.json", tmp_path / "manifest.json")
    shutil.copytree(tmp_path / "other/hq.zarr", tmp_path / "hq.zarr")
    with pytest.raises(StoreError, match="of another plan"):
        compare_builds(tmp_path / "manifest.json", tmp_path / "other/manifest.json")


def test_the_command_gives_keys_as_json(settings: BuildSettings, recordings: Path, tmp_path: Path) -> None:
    build_again(settings)
    (recordings / "scene0.dat").unlink()
    build_again(settings, out=tmp_path / "later")
    command = ["diff", str(settings.out), str(tmp_path / "later"), "--json"]
    done = CliRunner().invoke(app, command, standalone_mode=False)
    assert done.return_value == 0, done.output
    found = json.loads(done.stdout)
    assert found["same"] is False
    assert len(found["sources"][0]["only_before"]) == 1
