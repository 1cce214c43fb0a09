"""A store that grows: what is there is taken, and no byte is another than in a build from nothing."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hqgen.builder import legs
from hqgen.builder.output import Output
from hqgen.builder.settings import BuildSettings
from hqgen.errors import MethodError, PlanMismatchError
from hqgen.manifest import MethodSpec
from hqgen.methods.tfi import TFI
from hqgen.spikes.recording import write_dat
from hqgen.store import StoreWriter
from hqgen.verify import verify
from tests.builder.small import build_again, content, settings_for, stream, without_names, write_scenes

NAME = "folder-recordings"


def changed(recordings: Path) -> None:
    """One recording is repaired, one is gone, one is new and comes first, one has another name."""
    write_dat(recordings / "scene1.dat", stream(77))
    (recordings / "scene3.dat").unlink()
    write_dat(recordings / "a_new_one.dat", stream(9))
    (recordings / "scene2.dat").rename(recordings / "renamed.dat")


def same_as_from_nothing(settings: BuildSettings, **changes: Any) -> bool:
    fresh = settings.out.parent / "fresh"
    build_again(settings, out=fresh, existing="overwrite", **changes)
    assert verify(settings.out / "manifest.json") == []
    assert not (settings.out / "hq.build/earlier").exists()
    return content(settings.out) == content(fresh)


def test_forty_recordings_change_by_seven_and_six_are_made(tmp_path: Path) -> None:
    lab = write_scenes(tmp_path / "lab", 40)
    wanted = settings_for(lab, shard_size=8)
    build_again(wanted)
    for seed in (51, 52, 53, 54):
        write_dat(lab / f"scene{seed // 2}_{seed}.dat", stream(seed))
    for seed in (8, 31):
        write_dat(lab / f"scene{seed}.dat", stream(seed + 100))
    (lab / "scene17.dat").unlink()
    outcome = build_again(wanted, existing="update")
    assert (outcome.made, outcome.taken) == (6, 37)
    assert same_as_from_nothing(wanted)


@pytest.mark.parametrize("existing", ["update", "resume"])
def test_a_store_from_before_axes_had_names_is_continued(
    settings: BuildSettings, recordings: Path, existing: Literal["update", "resume"]
) -> None:
    build_again(settings)
    without_names(settings.out)
    if existing == "update":
        changed(recordings)
    else:
        (settings.out / "manifest.json").unlink()
        Output(settings.out).withdraw_record(NAME, 1)
    build_again(settings, existing=existing)
    assert same_as_from_nothing(settings)


@pytest.mark.parametrize(
    ("change", "made"),
    [
        ({}, 2),
        ({"shard_size": 3}, 2),
        ({"methods": "tfp"}, 2),
        ({"methods": "tfp,tfi,tfstp"}, 7),
        ({"methods": "tfp:window=21,tfi"}, 7),
        ({"judges": ("consistency", "grain")}, 7),
        ({"rule": "niqe-guarded", "max_score": 30.0}, 2),
        ({"keep_candidates": False}, 2),
    ],
)
def test_an_update_makes_the_new_plan_and_takes_what_still_holds(
    settings: BuildSettings, recordings: Path, change: dict[str, Any], made: int
) -> None:
    build_again(settings)
    changed(recordings)
    assert build_again(settings, existing="update", **change).made == made
    assert same_as_from_nothing(settings, **change)


@pytest.mark.parametrize(
    ("change", "made"),
    [
        ({}, 2),
        ({"methods": "tfp,tfi,tfstp"}, 7),
        ({"methods": "tfp"}, 7),
        ({"max_score": 24.0}, 7),
        ({"keep_candidates": True}, 7),
    ],
)
def test_of_winners_only_those_are_taken_that_must_win_again(
    settings: BuildSettings, recordings: Path, change: dict[str, Any], made: int
) -> None:
    build_again(settings, keep_candidates=False)
    changed(recordings)
    change = {"keep_candidates": False} | change
    assert build_again(settings, existing="update", **change).made == made
    assert same_as_from_nothing(settings, **change)


def test_a_method_that_is_new_runs_alone(
    settings: BuildSettings, recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_again(settings)
    (recordings / "scene0.dat").unlink()
    ran: list[tuple[str, ...]] = []
    run = legs.run_methods

    def watched(shard: Any, methods: Any, scoring: Any) -> Any:
        ran.append(tuple(method.spec.name for method in methods))
        return run(shard, methods, scoring)

    with monkeypatch.context() as patch:
        patch.setattr(legs, "run_methods", watched)
        build_again(settings, methods="tfp,tfi,tfstp", existing="update")
    assert set(ran) == {("tfstp",)}
    assert same_as_from_nothing(settings, methods="tfp,tfi,tfstp")


def test_the_same_plan_has_nothing_to_update(settings: BuildSettings) -> None:
    build_again(settings)
    before = content(settings.out)
    outcome = build_again(settings, existing="update")
    assert (outcome.made, outcome.taken) == (0, 0)
    assert content(settings.out) == before


def test_a_source_that_is_not_named_any_more_goes(settings: BuildSettings, tmp_path: Path) -> None:
    more = write_scenes(tmp_path / "more", 2)
    build_again(settings, sources=(*settings.sources, f"folder:{more}"))
    assert build_again(settings, existing="update").taken == 7
    assert same_as_from_nothing(settings)


@pytest.mark.parametrize("damage", ["images", "record", "lost"])
def test_what_is_damaged_is_made_again(settings: BuildSettings, recordings: Path, damage: str) -> None:
    build_again(settings)
    changed(recordings)
    store = StoreWriter(settings.out / "hq.zarr")
    if damage == "images":
        pictures = store.read_shard(NAME, 4, 2, "candidates/tfp")
        store.write_shard(NAME, 4, pictures[::-1], "candidates/tfp")
    elif damage == "record":
        (settings.out / f"hq.build/records/{NAME}/000002.json").write_text("{")
    else:
        store.shard_file(NAME, 2, "candidates/tfp").unlink()
    build_again(settings, existing="update")
    assert same_as_from_nothing(settings)


class Killed(BaseException):
    """Stands for a kill."""


@given(st.integers(0, 30), st.sampled_from(["update", "resume"]), st.booleans())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_update_that_was_killed_anywhere_continues(
    tmp_path_factory: pytest.TempPathFactory, step: int, then: str, back: bool
) -> None:
    """Killed before any rename of a file or folder, continued, or taken back to the plan before."""
    lab = write_scenes(tmp_path_factory.mktemp("killed") / "recordings", 4)
    wanted = settings_for(lab, shard_size=2)
    build_again(wanted)
    first = lab / "scene0.dat"
    first.rename(lab.parent / "kept")
    steps = iter(range(99))
    methods = {"rename": Path.rename, "replace": Path.replace}

    def dying(name: str) -> Any:
        def move(*arguments: Any) -> Any:
            if next(steps) == step:
                raise Killed
            return methods[name](*arguments)

        return move

    with pytest.MonkeyPatch.context() as patch:
        for name in methods:
            patch.setattr(Path, name, dying(name))
        with suppress(Killed):
            build_again(wanted, existing="update")
    if back:
        (lab.parent / "kept").rename(first)
        then = "update"
    try:
        build_again(wanted, existing=then)
    except PlanMismatchError:  # the kill came so early that the plan before is still there
        build_again(wanted, existing="update")
    assert same_as_from_nothing(wanted)


@pytest.fixture
def failing_once(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """tfi fails while the list is empty."""
    worked: list[str] = []
    reconstruct = TFI.reconstruct

    def fail(self: TFI, window: Any) -> Any:
        if not worked:
            raise MethodError("no good today")
        return reconstruct(self, window)

    monkeypatch.setattr(TFI, "reconstruct", fail)
    monkeypatch.setattr(TFI, "reconstruct_batch", lambda self, ws: [_tried(self, w) for w in ws])
    return worked


def _tried(method: TFI, window: Any) -> Any:
    try:
        return method.reconstruct(window)
    except MethodError as error:
        return error


def test_retry_makes_only_what_failed(
    settings: BuildSettings, failing_once: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build_again(settings)
    assert all(set(sample.reasons) == {"tfi"} for sample in first.manifest.sources[0].samples)
    assert build_again(settings).made == 0, "resume leaves failures alone"
    failing_once.append("works")
    ran: list[MethodSpec] = []
    run = legs.run_methods

    def watched(shard: Any, methods: Any, scoring: Any) -> Any:
        ran.extend(method.spec for method in methods)
        return run(shard, methods, scoring)

    with monkeypatch.context() as patch:
        patch.setattr(legs, "run_methods", watched)
        assert build_again(settings, existing="retry").made == 7
    assert {spec.name for spec in ran} == {"tfi"}
    assert same_as_from_nothing(settings)
    assert build_again(settings, existing="retry").made == 0


def test_a_kill_while_retrying_does_no_harm(
    settings: BuildSettings, failing_once: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worst moment: the images of a shard are new, its record is not written."""
    build_again(settings)
    failing_once.append("works")

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Output, "write_record", die)
        with pytest.raises(Killed):
            build_again(settings, existing="retry")
    build_again(settings, existing="retry")
    assert same_as_from_nothing(settings)


def test_an_update_tries_again_what_failed(
    settings: BuildSettings, recordings: Path, failing_once: list[str]
) -> None:
    build_again(settings)
    failing_once.append("works")
    (recordings / "scene0.dat").unlink()
    build_again(settings, existing="update")
    assert same_as_from_nothing(settings)


def test_retry_refuses_another_plan(settings: BuildSettings, recordings: Path) -> None:
    build_again(settings)
    changed(recordings)
    with pytest.raises(PlanMismatchError) as caught:
        build_again(settings, existing="retry")
    assert "--existing update" in caught.value.hint


def test_overwrite_forgets_what_was_set_aside(settings: BuildSettings) -> None:
    build_again(settings)
    output = Output(settings.out)
    with output.locked():
        output.set_aside()
    assert len(output.earlier()) == 1
    assert not output.store.path.exists()
    build_again(settings, existing="overwrite")
    assert same_as_from_nothing(settings)


def test_an_update_needs_no_recording_that_it_knows(settings: BuildSettings, recordings: Path) -> None:
    """The digests are remembered, and the pictures are taken: nothing reads the files again."""
    build_again(settings)
    (recordings / "scene0.dat").unlink()
    stamps = {path: path.stat().st_mtime_ns for path in recordings.glob("*.dat")}
    for path, stamp in stamps.items():
        content_size = path.stat().st_size
        path.write_bytes(bytes(content_size))
        os.utime(path, ns=(stamp, stamp))
    outcome = build_again(settings, existing="update")
    assert (outcome.made, outcome.taken) == (0, 6)
    assert outcome.manifest.quarantined == 0


def test_folders_can_move(settings: BuildSettings, recordings: Path, tmp_path: Path) -> None:
    """A source of another name with the same files: content counts, not names."""
    build_again(settings)
    moved = Path(shutil.copytree(recordings, tmp_path / "elsewhere"))
    assert build_again(settings, sources=(f"folder:{moved}",), existing="update").taken == 7
    assert same_as_from_nothing(settings, sources=(f"folder:{moved}",))
