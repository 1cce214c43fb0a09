from __future__ import annotations

import math
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from hqgen.builder.comparison import compare_builds
from hqgen.builder.estimate import estimate
from hqgen.builder.merge import merge
from hqgen.builder.near_duplicates import MotionRule, find_near_duplicates, runs_of_one_picture
from hqgen.builder.run import build
from hqgen.builder.settings import MergeSettings
from hqgen.errors import PlanMismatchError, UsageError
from hqgen.inspection.statistics import statistics
from hqgen.manifest import read_manifest
from hqgen.progress import SILENT
from hqgen.report.notes import source_notes
from hqgen.simulation.camera import preset, simulate
from hqgen.simulation.motion import Motion, moving_picture
from hqgen.sources.catalog import SourceSettings, Stride
from hqgen.sources.source import Source, read_folder
from hqgen.spikes.camera import Camera
from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.recording import write_dat
from tests.builder.small import HEIGHT, WIDTH, Recorder, build_again, content, settings_for

STRIDE = 20
FRAMES = 141
"""Key frames 20, 40, ... 120: six of them."""


def filmed(motion: Motion, light: str = "normal", frames: int = FRAMES) -> PackedSpikes:
    noise = gaussian_filter(np.random.default_rng(0).standard_normal((300, 320)), 2)
    picture = np.clip(0.5 + noise / noise.std() / 5, 0.05, 0.95).astype(np.float32)
    return simulate(moving_picture(picture, frames, HEIGHT, WIDTH, motion), preset(light), seed=1)


def constant(rate: float, frames: int = FRAMES) -> PackedSpikes:
    return PackedSpikes.pack(np.random.default_rng(0).random((frames, HEIGHT, WIDTH)) < rate)


def source_of(folder: Path, **recordings: PackedSpikes) -> Source:
    folder.mkdir(exist_ok=True)
    for name, spikes in recordings.items():
        write_dat(folder / f"{name}.dat", spikes)
    entry = SourceSettings(
        key_frames=Stride(rule="stride", stride=STRIDE), camera=Camera(height=HEIGHT, width=WIDTH)
    )
    return read_folder("lab", entry, folder)


def kept(source: Source, least: float) -> list[int]:
    found = find_near_duplicates([source], MotionRule(least), SILENT)["lab"]
    lost = {item.sample for item in found}
    assert all(item.moved < least and item.like not in lost for item in found)
    assert all(item.like.centre < item.sample.centre for item in found)
    return [sample.centre for sample in source.samples if sample not in lost]


@pytest.mark.parametrize("light", ["normal", "low"])
def test_of_a_scene_that_stands_still_one_key_frame_stays(light: str, tmp_path: Path) -> None:
    assert kept(source_of(tmp_path / "lab", still=filmed(Motion(), light)), 0.5) == [20]


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.5, 1.0])
def test_of_a_dark_noisy_or_saturated_recording_one_key_frame_stays(rate: float, tmp_path: Path) -> None:
    assert kept(source_of(tmp_path / "lab", wall=constant(rate)), 1) == [20]


@pytest.mark.parametrize(("speed", "least"), [(0.05, 1.6), (0.05, 2.6), (0.15, 2.5), (0.15, 8)])
def test_of_a_steady_motion_every_so_many_key_frames_stay(speed: float, least: float, tmp_path: Path) -> None:
    source = source_of(tmp_path / "lab", moving=filmed(Motion(right=speed)))
    every = math.ceil(least / (speed * STRIDE))
    assert kept(source, least) == [sample.centre for sample in source.samples[::every]]


def test_a_least_motion_of_0_leaves_out_nothing(tmp_path: Path) -> None:
    source = source_of(tmp_path / "lab", still=filmed(Motion()), dark=constant(0))
    assert find_near_duplicates([source], MotionRule(0), SILENT) == {"lab": ()}


def test_recordings_of_one_sample_or_one_frame_stay(tmp_path: Path) -> None:
    source = source_of(tmp_path / "lab", one=constant(0.5, 1), two=constant(0.5, 2), short=constant(0.5, 41))
    assert len(source.samples) == 3
    assert find_near_duplicates([source], MotionRule(16), SILENT) == {"lab": ()}


def test_key_frames_side_by_side_are_compared_without_shared_frames(tmp_path: Path) -> None:
    source = source_of(tmp_path / "lab", moving=filmed(Motion(right=0.1), frames=60))
    entry = SourceSettings(
        key_frames=Stride(rule="stride", stride=1), camera=Camera(height=HEIGHT, width=WIDTH)
    )
    source = read_folder("lab", entry, tmp_path / "lab")
    assert len(source.samples) == 20
    assert kept(source, 1) == pytest.approx([20, 30], abs=3)


def test_a_recording_that_cannot_be_read_is_left_to_the_build(tmp_path: Path) -> None:
    source = source_of(tmp_path / "lab", still=filmed(Motion()), gone=filmed(Motion()))
    (tmp_path / "lab" / "gone.dat").unlink()
    found = find_near_duplicates([source], MotionRule(1), SILENT)["lab"]
    assert {item.sample.recording.name for item in found} == {"still.dat"}


def test_the_result_does_not_depend_on_the_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    motions = {f"m{number}": filmed(Motion(right=0.02 * number)) for number in range(4)}
    source, found = source_of(tmp_path / "lab", **motions), []
    for threads in (1, 7):
        monkeypatch.setattr(os, "cpu_count", lambda threads=threads: threads)
        found.append(find_near_duplicates([source], MotionRule(1), SILENT))
    assert found[0] == found[1]
    assert [item.sample for item in found[0]["lab"]] == [
        sample for sample in source.samples if sample in {item.sample for item in found[0]["lab"]}
    ]


WAYS = st.lists(st.integers(0, 9), min_size=1, max_size=30)


def lost_of(places: list[int], least: float) -> set[int]:
    found = runs_of_one_picture(len(places), lambda a, b: abs(places[b] - places[a]), least)
    return {index for index, _, _ in found}


@given(WAYS, st.integers(0, 30))
def test_each_picture_is_kept_or_like_the_one_kept_last(places: list[int], least: int) -> None:
    found = list(runs_of_one_picture(len(places), lambda a, b: abs(places[b] - places[a]), least))
    lost = {index for index, _, _ in found}
    stay = [index for index in range(len(places)) if index not in lost]
    assert stay[0] == 0
    assert all(abs(places[b] - places[a]) >= least for a, b in pairwise(stay))
    for index, like, moved in found:
        assert like == max(one for one in stay if one < index)
        assert moved == abs(places[index] - places[like]) < least


@given(WAYS, st.integers(0, 30), st.integers(0, 30))
def test_a_larger_least_motion_leaves_out_more_while_the_picture_moves_one_way(
    steps: list[int], one: int, other: int
) -> None:
    places = [int(place) for place in np.cumsum(steps)]
    small, large = sorted((one, other))
    assert len(lost_of(places, small)) <= len(lost_of(places, large))


def test_a_larger_least_motion_may_leave_out_less_where_the_picture_moves_to_and_fro() -> None:
    places = [0, 4, 7, 1, 7, 1]
    assert len(lost_of(places, 4)) == 4
    assert len(lost_of(places, 6)) == 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    source_of(folder, still=filmed(Motion()), moving=filmed(Motion(right=0.05)))
    (folder / "source.toml").write_text(
        f'geometry = [{HEIGHT}, {WIDTH}]\nkey_frames = {{ rule = "stride", stride = {STRIDE} }}\n'
    )
    return folder


def test_a_build_names_what_it_leaves_out_with_the_motion(folder: Path) -> None:
    observer = Recorder()
    outcome = build(settings_for(folder, min_motion=1.6), observer)
    assert observer.notes == [
        "folder-recordings: 8 of 12 key frames left out, they move less than 1.6 pixels"
    ]
    manifest = read_manifest(outcome.output.manifest_path)
    (spec,) = manifest.plan.sources
    assert [sample.key for sample in manifest.sources[0].samples] == [item.key for item in spec.samples]
    assert len(spec.samples) == 4
    assert len(spec.left_out or ()) == 8
    assert {item.near_duplicate_of for item in spec.left_out or ()} <= {item.key for item in spec.samples}
    (source,) = statistics(manifest).sources
    first = source.left_out[0]
    assert first.key == "folder-recordings/moving/000040"
    assert first.reason.startswith("near-duplicate of `folder-recordings/moving/000020`: moved 0.9")
    assert first.reason.endswith(" pixels, less than 1.6")
    assert any(note.startswith("left out: 8 of 12 key frames, as ") for note in source_notes(source))
    found = estimate(settings_for(folder, min_motion=1.6), Recorder()).sources[0]
    assert (found.samples, found.left_out, found.to_make) == (4, 8, 0)


def test_a_plan_without_the_rule_does_not_speak_of_it(folder: Path) -> None:
    outcome = build_again(settings_for(folder))
    text = outcome.output.manifest_path.read_text()
    assert "near_duplicates" not in text
    assert "left_out" not in text


def test_the_same_samples_stay_in_shards_of_any_size_and_a_second_run_does_nothing(folder: Path) -> None:
    settings = settings_for(folder, min_motion=1.6, shard_size=3)
    alone = build_again(settings)
    assert build_again(settings).made == 0
    other = build_again(settings, shard_size=1, out=folder.parent / "other")
    (one,), (two,) = alone.manifest.plan.sources, other.manifest.plan.sources
    assert one == two


def test_update_takes_over_all_that_stays_and_gives_the_bytes_of_a_new_build(folder: Path) -> None:
    settings = settings_for(folder)
    build_again(settings)
    with pytest.raises(PlanMismatchError, match="near_duplicates"):
        build_again(settings, min_motion=1.6)
    updated = build_again(settings, min_motion=1.6, existing="update")
    assert (updated.made, updated.taken) == (0, 4)
    fresh = build_again(settings, min_motion=1.6, out=folder.parent / "fresh")
    assert content(updated.output.root) == content(fresh.output.root)
    back = build_again(settings, existing="update")
    assert (back.made, back.taken) == (8, 4)


def test_merged_builds_name_what_each_of_them_leaves_out(folder: Path, tmp_path: Path) -> None:
    whole = build_again(settings_for(folder, min_motion=1.6))
    paths = []
    for name in ("moving", "still"):
        part = tmp_path / name / "recordings"
        part.mkdir(parents=True)
        for file in ("source.toml", f"{name}.dat"):
            (part / file).write_bytes((folder / file).read_bytes())
        paths.append(build_again(settings_for(part, min_motion=1.6)).output.manifest_path)
    merged = merge(paths, MergeSettings(out=tmp_path / "merged"), Recorder())
    assert merged.manifest.plan == whole.manifest.plan


def test_two_builds_of_other_least_motions_are_compared(folder: Path) -> None:
    paths = []
    for least in (None, 1.6, 2.6):
        outcome = build_again(settings_for(folder), min_motion=least, out=folder.parent / f"out{least}")
        paths.append(outcome.output.manifest_path)
    found = compare_builds(paths[0], paths[1])
    assert not found.same
    assert len(found.sources[0].only_before) == 8
    assert found.sources[0].other_pixels == ()
    assert any("near_duplicates" in line for line in found.plan)
    assert "near_duplicates parameters least: 1.6 -> 2.6" in compare_builds(paths[1], paths[2]).plan


def test_a_motion_that_does_not_fit_into_the_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    frames = np.zeros((50, 64, 64), np.uint8)
    np.savez(tmp_path / "lab" / "small.npz", spk=frames)
    source = read_folder("lab", SourceSettings(), tmp_path / "lab")
    MotionRule(8).check_size(source)
    with pytest.raises(UsageError, match="16 pixels needs pictures of at least 70 pixels a side"):
        MotionRule(16).check_size(source)
