from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.errors import SourceError
from hqgen.sources.catalog import Centre, KeyIds, SourceSettings, Stride
from hqgen.sources.recordings import FileRecording
from hqgen.sources.samples import WINDOW, Place, index_truth, places
from hqgen.sources.scan import Found

KEY_IDS = SourceSettings(key_frames=KeyIds(rule="key-id", pattern="(?P<prefix>.+)_key_id(?P<id>[0-9]+)"))


def recording(name: str, frames: int = 41, split: str | None = None) -> FileRecording:
    return FileRecording(Path("/data"), name, split, None, frames, 0, (250, 400))


def strided(frames: int, stride: int = 41) -> list[int]:
    settings = SourceSettings(key_frames=Stride(rule="stride", stride=stride))
    return [place.centre for place in places(settings, recording("a.dat", frames), {})]


@pytest.mark.parametrize(
    ("frames", "centres"),
    [
        (1, [0]),
        (2, [1]),
        (40, [20]),
        (41, [20]),
        (81, [20]),
        (82, [20, 61]),
        (200, [20, 61, 102, 143]),
        (205, [20, 61, 102, 143, 184]),
    ],
)
def test_stride_gives_whole_windows_side_by_side(frames: int, centres: list[int]) -> None:
    assert strided(frames) == centres


@given(st.integers(1, 5000), st.integers(1, 500))
def test_stride_finds_every_place_at_which_a_window_fits(frames: int, stride: int) -> None:
    half = WINDOW // 2
    centres = strided(frames, stride)
    assert all(0 <= centre < frames for centre in centres)
    if frames >= WINDOW:
        assert all(half <= centre < frames - half for centre in centres)
        assert centres[-1] + stride >= frames - half
        assert all(later - earlier == stride for earlier, later in pairwise(centres))


def test_strided_keys_hold_the_path_and_the_frame() -> None:
    chosen = list(places(SourceSettings(), recording("classA/car-100kmh.dat", 82), {}))
    assert chosen == [Place("classA/car-100kmh/000020", 20), Place("classA/car-100kmh/000061", 61)]


@pytest.mark.parametrize(("frames", "centre"), [(1, 0), (61, 30), (200, 100)])
def test_centre_rule_takes_the_middle_frame(frames: int, centre: int) -> None:
    settings = SourceSettings(key_frames=Centre(rule="centre"))
    assert list(places(settings, recording("train/4144.npz", frames), {})) == [Place("train/4144", centre)]


def test_centre_rule_takes_names_without_an_ending() -> None:
    settings = SourceSettings(key_frames=Centre(rule="centre"))
    assert list(places(settings, recording("camera", 61), {})) == [Place("camera", 30)]


def test_key_ids_count_from_one() -> None:
    assert list(places(KEY_IDS, recording("test/spike/200_part1_key_id151.dat", 301), {})) == [
        Place("200_part1_key_id151", 150)
    ]


def test_ground_truth_of_the_same_prefix_adds_key_frames_in_order_of_time() -> None:
    pictures = [Found(f"train/gt/000_part1_key_id{key}.png", "train") for key in (14, 21, 28, 35, 7)]
    pictures.append(Found("train/gt/000_part2_key_id1.png", "train"))
    index = index_truth(KEY_IDS, pictures)
    chosen = list(places(KEY_IDS, recording("train/spike/000_part1_key_id21.dat", split="train"), index))
    assert [(place.name, place.centre) for place in chosen] == [
        (f"000_part1_key_id{key}", key - 1) for key in (7, 14, 21, 28, 35)
    ]
    assert [place.truth for place in chosen] == [
        f"train/gt/000_part1_key_id{key}.png" for key in (7, 14, 21, 28, 35)
    ]


def test_ground_truth_of_another_split_adds_nothing() -> None:
    index = index_truth(KEY_IDS, [Found("test/gt/000_part1_key_id7.png", "test")])
    chosen = places(KEY_IDS, recording("train/spike/000_part1_key_id21.dat", split="train"), index)
    assert list(chosen) == [Place("000_part1_key_id21", 20)]


def test_pictures_without_a_key_id_are_no_ground_truth() -> None:
    assert index_truth(KEY_IDS, [Found("train/gt/preview.png", "train")]) == {}


def test_recording_without_a_key_id_is_refused() -> None:
    with pytest.raises(SourceError, match="has no key id"):
        list(places(KEY_IDS, recording("train/spike/000.dat"), {}))
