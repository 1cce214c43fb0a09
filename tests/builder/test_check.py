"""A finished build whose files were damaged: what is found, and what the same command makes of it."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hqgen.builder.check import verify_build
from hqgen.builder.merge import merge
from hqgen.builder.output import Output
from hqgen.builder.settings import BuildSettings, MergeSettings
from hqgen.documents import unsealed
from hqgen.errors import PlanMismatchError, StoreError
from hqgen.progress import SILENT
from hqgen.store import StoreWriter
from tests import command_line
from tests.builder.small import build_again, content, settings_for, write_scenes
from tests.faults import DAMAGES, change_digit, file_for_folder, flip_bit

LAB = "folder-lab"


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> BuildSettings:
    """The settings of a finished build of three shards."""
    settings = settings_for(write_scenes(tmp_path_factory.mktemp("check") / "lab", 3), shard_size=1)
    build_again(settings)
    return settings


@pytest.fixture
def settings(wanted: BuildSettings, tmp_path: Path) -> BuildSettings:
    """The same of a copy of it, to be damaged."""
    shutil.copytree(wanted.out, tmp_path / "out")
    return wanted.model_copy(update={"out": tmp_path / "out"})


def found(settings: BuildSettings) -> list[str]:
    return [str(damage) for damage in verify_build(settings.out / "manifest.json")]


def plan_part(settings: BuildSettings) -> str:
    (path,) = (settings.out / "hq.build/plans").iterdir()
    return f"hq.build/plans/{path.name}"


TOGETHER: dict[str, dict[str, str]] = {
    "shards": {
        f"hq.zarr/{LAB}/images/c/0/0/0": f"`{LAB}`, shard 0: ",
        f"hq.zarr/{LAB}/candidates/tfi/c/1/0/0": f"`{LAB}`, shard 1: ",
        f"hq.build/records/{LAB}/000002.json": f"`{LAB}`, shard 2: its record",
    },
    "documents": {
        "hq.build/plan.json": "the store: `hq.build/plan.json`",
        "PART": "the store: `hq.build/plans/",
        "hq.build/sources.json": "the store: `hq.build/sources.json`",
    }
    | {
        f"hq.zarr/{LAB}/{file}": f"`{LAB}`: `{LAB}/{file}`"
        for file in ("method/c/0", "valid/zarr.json", "judges/zarr.json", "judges/consistency/c/0/0")
    },
    "descriptions": {
        "hq.zarr/zarr.json": "the store: `zarr.json`",
        f"hq.zarr/{LAB}/zarr.json": f"`{LAB}`: `{LAB}/zarr.json`",
        f"hq.zarr/{LAB}/images/zarr.json": f"`{LAB}`: `{LAB}/images/zarr.json`",
        f"hq.zarr/{LAB}/candidates/zarr.json": f"`{LAB}`: `{LAB}/candidates/zarr.json`",
    },
}
"""Files that are damaged together, and how the one line begins that speaks of each."""


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("group", TOGETHER)
def test_every_damage_is_found_and_the_same_command_repairs_it(
    settings: BuildSettings, wanted: BuildSettings, group: str, kind: str
) -> None:
    chance = random.Random(kind + group)
    expected = {plan_part(settings) if k == "PART" else k: line for k, line in TOGETHER[group].items()}
    for name in expected:
        DAMAGES[kind](settings.out / name, chance)
    lines = found(settings)
    assert len(lines) == len(expected), lines
    assert all(any(line.startswith(begin) for line in lines) for begin in expected.values()), lines
    outcome = build_again(settings)
    assert len(outcome.healed) == len(expected), outcome.healed
    assert outcome.made == (3 if group == "shards" else 0)
    assert content(settings.out) == content(wanted.out)
    assert found(settings) == []
    assert not build_again(settings).healed


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_manifest_is_written_again(
    settings: BuildSettings, wanted: BuildSettings, kind: str
) -> None:
    DAMAGES[kind](settings.out / "manifest.json", random.Random(kind))
    try:
        lines = found(settings)
    except StoreError as error:
        lines = [error.message]
    assert len(lines) == 1
    assert "manifest" in lines[0]
    assert build_again(settings).made == 0
    assert content(settings.out) == content(wanted.out)


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("cache", ["blake3.json", "readings.json"])
def test_damaged_notes_on_recordings_are_made_again(settings: BuildSettings, cache: str, kind: str) -> None:
    file = settings.out / "hq.build" / cache
    before = file.read_bytes()
    DAMAGES[kind](file, random.Random(kind))
    assert len(found(settings)) == (kind != "delete")
    assert build_again(settings).made == 0
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "folder",
    [
        f"hq.zarr/{LAB}/images/c",
        f"hq.zarr/{LAB}/candidates",
        f"hq.zarr/{LAB}/margin/c",
        f"hq.zarr/{LAB}",
        "hq.zarr",
        f"hq.build/records/{LAB}",
        "hq.build/plans",
    ],
)
def test_a_file_in_the_place_of_a_folder_is_replaced(
    settings: BuildSettings, wanted: BuildSettings, folder: str
) -> None:
    file_for_folder(settings.out / folder)
    assert build_again(settings).healed
    assert content(settings.out) == content(wanted.out)
    assert found(settings) == []


@pytest.mark.parametrize(
    "place", ["manifest.json", f"hq.build/records/{LAB}/000001.json", f"hq.zarr/{LAB}/images/c/1/0/0"]
)
def test_a_folder_with_content_in_the_place_of_a_file_is_never_removed(
    settings: BuildSettings, place: str
) -> None:
    (settings.out / place).unlink()
    (settings.out / place).mkdir()
    precious = settings.out / place / "thesis.tex"
    precious.write_text("five years of work")
    with pytest.raises(StoreError, match=f"{place}` cannot be written: Directory not empty"):
        build_again(settings)
    assert precious.exists()


def other_pictures(settings: BuildSettings, shard: int) -> None:
    """Change pictures so that their file can be decoded; its size is as before."""
    file = StoreWriter(settings.out / "hq.zarr").shard_file(LAB, shard, "candidates/tfp")
    chance, before = random.Random(0), file.read_bytes()
    while file.read_bytes() == before:
        flip_bit(file, chance)


def test_pictures_are_read_of_some_shards_and_of_all_with_verify(
    settings: BuildSettings, wanted: BuildSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_pictures(settings, 2)
    monkeypatch.setattr("hqgen.builder.check.SAMPLE", 0)
    assert not build_again(settings).healed
    outcome = build_again(settings, verify=True)
    assert (outcome.made, len(outcome.healed)) == (1, 1)
    other_pictures(settings, 0)
    monkeypatch.setattr("hqgen.builder.check.SAMPLE", 3)
    assert build_again(settings).made == 1
    assert content(settings.out) == content(wanted.out)


def test_a_build_that_was_stopped_looks_for_damage_too(
    settings: BuildSettings, wanted: BuildSettings
) -> None:
    """Neither the manifest nor the plan can be read; the records say that they are of this plan."""
    (settings.out / "manifest.json").unlink()
    (settings.out / f"hq.build/records/{LAB}/000000.json").unlink()
    change_digit(settings.out / f"hq.build/records/{LAB}/000001.json", random.Random(1))
    change_digit(settings.out / f"hq.zarr/{LAB}/images/zarr.json", random.Random(1))
    (settings.out / "hq.build/plan.json").write_text("{")
    outcome = build_again(settings)
    assert outcome.made == 2
    assert content(settings.out) == content(wanted.out)


def test_a_damaged_plan_is_not_guessed_where_records_are_of_another_one(settings: BuildSettings) -> None:
    (settings.out / "manifest.json").unlink()
    (settings.out / "hq.build/plan.json").write_text("{")
    with pytest.raises(StoreError, match=r"plan\.json` cannot be read"):
        build_again(settings, methods="tfp")


def test_damage_without_the_recordings_is_a_clear_error(wanted: BuildSettings, tmp_path: Path) -> None:
    settings = settings_for(write_scenes(tmp_path / "lab", 3), shard_size=1)
    build_again(settings)
    StoreWriter(settings.out / "hq.zarr").shard_file(LAB, 1).unlink()
    (tmp_path / "lab" / "scene1.dat").unlink()
    with pytest.raises(PlanMismatchError, match=r"recordings gone: scene1\.dat"):
        build_again(settings)


def from_before_seals(settings: BuildSettings) -> None:
    """Make it a build of the time before seals, sizes and digests of files."""
    for name in ("manifest.json", *[str(p) for p in (settings.out / "hq.build").rglob("*.json")]):
        file = settings.out / name
        text, _ = unsealed(file.read_bytes())
        document = json.loads(text)
        for member in ("store_files", "sizes"):
            document.pop(member, None)
        file.write_text(json.dumps(document))


def in_a_record(settings: BuildSettings) -> None:
    file = settings.out / f"hq.build/records/{LAB}/000001.json"
    file.write_text(file.read_text().replace('"margin": ', '"margin": 1', 1))


def a_chunk(settings: BuildSettings) -> None:
    (settings.out / f"hq.zarr/{LAB}/method/c/0").unlink()


@pytest.mark.parametrize(
    ("damaging", "line"),
    [
        (in_a_record, f"`{LAB}`, shard 1: its record is not what the manifest says"),
        (a_chunk, f"`{LAB}`: a file of `method` is missing"),
    ],
)
def test_a_build_of_the_time_before_seals_is_read_and_checked(
    settings: BuildSettings,
    wanted: BuildSettings,
    damaging: Callable[[BuildSettings], None],
    line: str,
) -> None:
    from_before_seals(settings)
    assert found(settings) == []
    assert build_again(settings).made == 0
    damaging(settings)
    assert found(settings) == [line]
    build_again(settings, verify=True)
    assert content(settings.out) == content(wanted.out)


def test_a_store_without_its_build_is_verified(settings: BuildSettings) -> None:
    shutil.rmtree(settings.out / "hq.build")
    assert found(settings) == []
    (settings.out / f"hq.zarr/{LAB}/method/c/0").unlink()
    assert [line.split(" cannot")[0] for line in found(settings)] == [f"`{LAB}`: `{LAB}/method/c/0`"]


def test_the_command_names_what_it_repairs(settings: BuildSettings) -> None:
    shard = StoreWriter(settings.out / "hq.zarr").shard_file(LAB, 1)
    size = shard.stat().st_size
    shard.write_bytes(b"short")
    command = ["build", "--sources", settings.sources[0], "--methods", "tfp,tfi", "--judges", "consistency"]
    command += ["--scheduler", "sync", "--shard-size", "1", "--verify", "--out", str(settings.out)]
    done = command_line.run(*command)
    assert done.returncode == 0, done.stderr
    assert f"damaged: `{LAB}`, shard 1: its file has 5 of {size:,} bytes" in done.stderr
    assert "3 samples from 1 source; 1 made now" in done.stdout
    assert "1 damage found and repaired" in done.stdout
    assert "nothing to do" in command_line.run(*command).stdout


def test_a_merged_store_is_repaired_by_the_same_command(settings: BuildSettings, tmp_path: Path) -> None:
    other = settings_for(write_scenes(tmp_path / "more", 2), shard_size=1, out=tmp_path / "other")
    build_again(other)
    parts, merging = [settings.out, other.out], MergeSettings(out=tmp_path / "merged")
    manifests = [part / "manifest.json" for part in parts]
    merge(manifests, merging, SILENT)
    before = content(merging.out)
    shard = Output(merging.out).store.shard_file("folder-more", 1)
    shard.unlink()
    shard.write_bytes(b"short")
    (merging.out / "hq.zarr/folder-lab/margin/c/0").unlink()
    outcome = merge(manifests, merging, SILENT)
    assert (len(outcome.healed), outcome.taken) == (2, 1)
    assert content(merging.out) == before
    assert merge(manifests, merging, SILENT).taken == 0
