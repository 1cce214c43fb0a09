"""Finished builds become one: the bytes of a single build of everything, whatever happens on the way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from hqgen.builder.finish import Outcome
from hqgen.builder.merge import merge
from hqgen.builder.output import Output
from hqgen.builder.settings import BuildSettings, MergeSettings
from hqgen.cli import app
from hqgen.errors import PlanMismatchError, StoreError, UsageError
from hqgen.manifest import MergedPart, read_manifest
from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.recording import write_dat
from hqgen.store import StoreWriter
from hqgen.verify import verify
from tests.builder.small import Recorder, build_again, content, settings_for, stream, write_scenes

NAME = "folder-lab"


def merged(builds: Iterable[Path], out: Path, **changes: Any) -> Outcome:
    paths = [build / "manifest.json" for build in builds]
    return merge(paths, MergeSettings(out=out, **changes), Recorder())


def part(lab: Path, root: Path, scenes: Iterable[int], **changes: Any) -> BuildSettings:
    """Build some scenes of a folder, as another machine would that has only those."""
    folder = root / "lab"
    folder.mkdir(parents=True)
    shutil.copy(lab / "source.toml", folder)
    for scene in scenes:
        shutil.copy(lab / f"scene{scene}.dat", folder)
    wanted = settings_for(folder, **({"shard_size": 2} | changes))
    build_again(wanted)
    return wanted


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve scenes; one without spikes, one of two samples, one file that is not a recording."""
    folder = write_scenes(tmp_path_factory.mktemp("merge") / "lab", 12)
    write_dat(folder / "scene4.dat", PackedSpikes.pack(np.zeros((50, 96, 104), bool)))
    write_dat(folder / "scene5.dat", stream(5, frames=90))
    (folder / "scene9.dat").write_bytes(b"no recording")
    return folder


@pytest.fixture(scope="module")
def parts(lab: Path) -> tuple[Path, Path, Path]:
    """The twelve scenes in three builds: two interleave, and one scene is in both."""
    scenes = {"a": (0, 1, 2, 5, 11), "b": (3, 4, 5, 9, 10), "c": (6, 7, 8)}
    a, b, c = (part(lab, lab.parent / name, which).out for name, which in scenes.items())
    return a, b, c


@pytest.fixture(scope="module")
def whole(lab: Path) -> Path:
    wanted = settings_for(lab, shard_size=2)
    build_again(wanted)
    return wanted.out


def without_origin(out: Path) -> dict[str, bytes]:
    """All bytes, except those in the manifest that say where the store comes from."""
    files = content(out)
    manifest = json.loads(files["manifest"])
    manifest.pop("merged_from", None)
    for source in manifest["sources"]:
        del source["folder"]
    records = {
        str(path.relative_to(out)): path.read_bytes() for path in (out / "hq.build/records").rglob("*.json")
    }
    return files | records | {"manifest": json.dumps(manifest).encode()}


def test_parts_of_a_source_give_the_bytes_of_one_build(
    parts: tuple[Path, Path, Path], whole: Path, tmp_path: Path
) -> None:
    outcome = merged(parts, tmp_path / "new")
    assert (outcome.made, outcome.taken) == (0, 12)
    assert without_origin(tmp_path / "new") == without_origin(whole)
    assert verify(tmp_path / "new/manifest.json") == []
    assert outcome.manifest.quarantined == read_manifest(whole / "manifest.json").quarantined == 2


def test_the_manifest_says_what_came_from_where(parts: tuple[Path, Path, Path], tmp_path: Path) -> None:
    found = merged(parts, tmp_path / "new").manifest.merged_from
    assert found is not None
    assert [dict(item.samples) for item in found] == [{NAME: 6}, {NAME: 3}, {NAME: 3}]
    first = MergedPart(
        manifest=str(parts[0] / "manifest.json"),
        plan_id=read_manifest(parts[0] / "manifest.json").plan_id,
        samples={NAME: 6},
    )
    assert found[0] == first
    assert "merged_from" not in json.loads((parts[0] / "manifest.json").read_bytes())


def test_the_order_of_the_builds_does_not_matter(parts: tuple[Path, Path, Path], tmp_path: Path) -> None:
    merged(parts, tmp_path / "one")
    merged(parts[::-1], tmp_path / "two")
    assert without_origin(tmp_path / "one") == without_origin(tmp_path / "two")


@pytest.fixture(scope="module")
def built(lab: Path) -> Callable[[frozenset[int]], Path]:
    """Builds of some of the first four scenes, each made once."""

    @cache
    def of(scenes: frozenset[int]) -> Path:
        return part(lab, lab.parent / "-".join(map(str, sorted(scenes))), sorted(scenes)).out

    return of


@given(st.lists(st.frozensets(st.integers(0, 3), min_size=1), min_size=2, max_size=4))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_division_gives_the_same_store(
    tmp_path_factory: pytest.TempPathFactory,
    built: Callable[[frozenset[int]], Path],
    divided: list[frozenset[int]],
) -> None:
    """Each of four scenes is in some of the builds, in any order."""
    out = tmp_path_factory.mktemp("division")
    merged(map(built, divided), out)
    assert without_origin(out) == without_origin(built(frozenset().union(*divided)))


def test_different_sources_with_methods_of_their_own_are_one_store(lab: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(lab, tmp_path / "street", ignore=shutil.ignore_patterns("scene[2-9]*")))
    a = part(lab, tmp_path / "a", (0, 1), methods="tfp")
    b = settings_for(other, shard_size=2, out=tmp_path / "b")
    build_again(b)
    merged((b.out, a.out), tmp_path / "new")
    both = (*a.sources, *b.sources)
    build_again(b, sources=both, source_methods={NAME: "tfp"}, out=tmp_path / "fresh")
    assert without_origin(tmp_path / "new") == without_origin(tmp_path / "fresh")


def test_whole_shards_are_shared_and_the_new_store_outlives_the_builds(lab: Path, tmp_path: Path) -> None:
    a, b = part(lab, tmp_path / "a", (0, 1)), part(lab, tmp_path / "b", (2, 3))
    merged((a.out, b.out), tmp_path / "new")
    files = [StoreWriter(out / "hq.zarr").shard_file(NAME, 0) for out in (a.out, tmp_path / "new")]
    assert files[0].samefile(files[1])
    shutil.rmtree(a.out)
    shutil.rmtree(b.out)
    assert verify(tmp_path / "new/manifest.json") == []


def test_winners_only_are_merged_as_they_are(lab: Path, tmp_path: Path) -> None:
    a, b = (part(lab, tmp_path / name, (n, n + 2), keep_candidates=False) for n, name in enumerate("ab"))
    merged((a.out, b.out), tmp_path / "new")
    both = part(lab, tmp_path / "both", range(4), keep_candidates=False)
    assert without_origin(tmp_path / "new") == without_origin(both.out)


def test_a_build_continues_on_a_merged_store(
    parts: tuple[Path, Path, Path], lab: Path, tmp_path: Path
) -> None:
    merged(parts, tmp_path / "new")
    assert build_again(settings_for(lab, shard_size=2), out=tmp_path / "new").made == 0


def test_recordings_are_ordered_as_their_source_orders_them(tmp_path: Path) -> None:
    scenes = write_scenes(tmp_path / "lab", 3)
    (scenes / "source.toml").write_text('geometry = [96, 104]\norder = "number"\n')
    for number, name in enumerate(("b_scene0", "a_scene1", "c_scene2")):
        (scenes / f"scene{number}.dat").rename(scenes / f"{name}.dat")
    builds = []
    for kept in (("a_scene1",), ("b_scene0", "c_scene2")):
        folder = tmp_path / kept[0] / "lab"
        names = shutil.ignore_patterns(
            *({"a_scene1.dat", "b_scene0.dat", "c_scene2.dat"} - {f"{k}.dat" for k in kept})
        )
        shutil.copytree(scenes, folder, ignore=names)
        builds.append(settings_for(folder, shard_size=2))
        build_again(builds[-1])
    build_again(settings_for(scenes, shard_size=2))
    merged([build.out for build in builds], tmp_path / "new")
    assert without_origin(tmp_path / "new") == without_origin(tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"methods": "tfp,tfi,tfstp"}, f"source {NAME} methods added: tfstp"),
        ({"methods": "tfp:window=21,tfi"}, f"source {NAME} methods tfp window: 41 -> 21"),
        ({"metric": "brisque"}, "niqe -> brisque"),
        ({"judges": ()}, "judges gone: consistency"),
        ({"rule": "niqe-guarded", "max_score": 9.0}, "max score: none -> 9.0"),
        ({"shard_size": 3}, "shard size: 2 -> 3"),
        ({"keep_candidates": False}, "keep candidates: true -> false"),
    ],
    ids=str,
)
def test_builds_that_differ_are_refused_with_every_difference(
    lab: Path, parts: tuple[Path, Path, Path], tmp_path: Path, change: dict[str, Any], what: str
) -> None:
    other = part(lab, tmp_path / "other", (6,), **change)
    with pytest.raises(PlanMismatchError) as caught:
        merged((parts[0], other.out), tmp_path / "new")
    assert what in caught.value.message
    assert str(other.out) in caught.value.message
    assert "hqgen repick" in caught.value.hint
    assert not (tmp_path / "new").exists()


def test_two_recordings_of_one_path_are_refused(
    lab: Path, parts: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    changed = Path(shutil.copytree(lab, tmp_path / "changed"))
    write_dat(changed / "scene1.dat", stream(77))
    write_dat(changed / "scene9.dat", stream(9))
    other = part(changed, tmp_path / "other", (1, 2, 9))
    with pytest.raises(PlanMismatchError, match=r"2 recordings cannot be joined") as caught:
        merged((*parts, other.out), tmp_path / "new")
    assert "`scene1.dat` is not the same file in two builds" in caught.value.message
    assert "`scene9.dat` cannot be used in one build" in caught.value.message


def test_other_key_frames_and_another_camera_are_refused(
    lab: Path, parts: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    for name, line, what in (
        ("stride", '[key_frames]\nrule = "centre"\n', "`scene5.dat` has other key frames"),
        ("camera", '[camera]\nrow_order = "top-down"\n', f"source {NAME} camera"),
    ):
        folder = Path(shutil.copytree(lab, tmp_path / name))
        (folder / "source.toml").write_text(f"geometry = [96, 104]\n{line}")
        other = part(folder, tmp_path / f"{name} part", (5,))
        with pytest.raises(PlanMismatchError) as caught:
            merged((parts[0], other.out), tmp_path / "new")
        assert what in caught.value.message


def test_two_recordings_with_one_key_are_refused(lab: Path, tmp_path: Path) -> None:
    a = part(lab, tmp_path / "a", (0,))
    renamed = Path(shutil.copytree(lab, tmp_path / "renamed"))
    b = tmp_path / "b/lab"
    b.mkdir(parents=True)
    shutil.copy(lab / "source.toml", b)
    shutil.copy(renamed / "scene1.dat", b / "scene0.raw")
    other = settings_for(b, shard_size=2)
    build_again(other)
    with pytest.raises(PlanMismatchError, match=r"`scene0\.raw` has the sample"):
        merged((a.out, other.out), tmp_path / "new")


def test_a_damaged_shard_is_named(parts: tuple[Path, Path, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(parts[2], tmp_path / "copy"))
    store = StoreWriter(copy / "hq.zarr")
    pictures = store.read_shard(NAME, 0, 2, "candidates/tfi")
    store.write_shard(NAME, 0, pictures[::-1], "candidates/tfi")
    with pytest.raises(StoreError, match="`candidates/tfi` in shard 0 of `folder-lab` is damaged"):
        merged((parts[0], copy), tmp_path / "new")


def test_an_unfinished_build_is_refused(parts: tuple[Path, Path, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(parts[0], tmp_path / "copy"))
    (copy / "manifest.json").unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        merged((copy, parts[1]), tmp_path / "new")


def test_a_curated_store_is_refused(parts: tuple[Path, Path, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(parts[0], tmp_path / "copy"))
    manifest = json.loads((copy / "manifest.json").read_bytes())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"verdicts": []}))
    with pytest.raises(StoreError, match="describes a curated store") as caught:
        merged((copy, parts[1]), tmp_path / "new")
    assert "merge the builds first" in caught.value.hint


def test_a_store_is_never_merged_into_itself(parts: tuple[Path, Path, Path]) -> None:
    before = content(parts[0])
    with pytest.raises(UsageError, match="holds one of the builds to merge"):
        merged(parts, parts[0], existing="overwrite")
    with pytest.raises(UsageError, match="at least two builds"):
        merged(parts[:1], parts[0].parent / "new")
    assert content(parts[0]) == before


def test_another_merge_in_the_folder_is_refused_unless_it_may_go(
    parts: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    merged(parts[:2], tmp_path / "new")
    with pytest.raises(PlanMismatchError, match="holds a store of another plan"):
        merged(parts, tmp_path / "new")
    merged(parts, tmp_path / "new", existing="overwrite")
    assert verify(tmp_path / "new/manifest.json") == []


def test_two_merges_at_once_are_refused(parts: tuple[Path, Path, Path], tmp_path: Path) -> None:
    with Output(tmp_path / "new").locked(), pytest.raises(StoreError, match="another build is writing"):
        merged(parts, tmp_path / "new")


def test_a_stopped_merge_continues_and_a_finished_one_has_nothing_to_do(
    parts: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, write = iter(range(99)), Output.write_record

    def die(*arguments: Any) -> None:
        if next(records) == 2:
            raise KeyboardInterrupt
        write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Output, "write_record", die)
        with pytest.raises(KeyboardInterrupt):
            merged(parts, tmp_path / "new")
    assert not (tmp_path / "new/manifest.json").exists()
    assert 0 < merged(parts, tmp_path / "new").taken < 12
    merged(parts, tmp_path / "whole")
    assert content(tmp_path / "new") == content(tmp_path / "whole")
    assert merged(parts, tmp_path / "new").taken == 0


def test_the_command_says_where_the_new_store_is(parts: tuple[Path, Path, Path], tmp_path: Path) -> None:
    command = ["merge", *map(str, parts), "--out", str(tmp_path / "new"), "--json"]
    done = CliRunner().invoke(app, command, standalone_mode=False)
    assert done.return_value == 3, done.output
    assert json.loads(done.stdout)["taken"] == 12
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path / "new")])
    assert "merged from" in shown.stdout
