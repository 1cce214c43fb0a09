from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.sources.catalog import Layout, SourceSettings
from hqgen.sources.scan import Found, Listing, find_files


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(root: Path, settings: SourceSettings | None = None) -> list[str]:
    return [item.path for item in find_files(settings or SourceSettings(), root).recordings]


def layout(*recordings: str, **fields: object) -> SourceSettings:
    return SourceSettings.model_validate({"layout": (Layout(recordings=recordings),), **fields})


def test_recordings_of_every_format_are_found_at_any_depth(tmp_path: Path) -> None:
    names = ["a.dat", "b.npz", "deep/er/c.npy", "deep/d.h5", "e.hdf5"]
    touch(tmp_path, *names, "readme.md", "x.png", "dat", "noending")
    assert sorted(found(tmp_path)) == sorted(names)


def test_endings_are_found_in_capitals(tmp_path: Path) -> None:
    touch(tmp_path, "A.DAT")
    assert found(tmp_path) == ["A.DAT"]


def test_only_the_named_format_is_taken(tmp_path: Path) -> None:
    touch(tmp_path, "a.dat", "b.npz")
    assert found(tmp_path, SourceSettings(format="npz")) == ["b.npz"]


def test_numbers_in_paths_order_as_numbers(tmp_path: Path) -> None:
    touch(tmp_path, "s10/a2.dat", "s9/a10.dat", "s9/a9.dat", "s9/b1.dat")
    assert found(tmp_path) == ["s9/a9.dat", "s9/a10.dat", "s9/b1.dat", "s10/a2.dat"]


def test_names_that_differ_only_in_zeros_have_one_order(tmp_path: Path) -> None:
    touch(tmp_path, "a1.dat", "a01.dat", "a001.dat")
    assert found(tmp_path) == ["a001.dat", "a01.dat", "a1.dat"]


def test_order_by_number_disregards_the_rest_of_the_name(tmp_path: Path) -> None:
    touch(tmp_path, "anchor_00010.npz", "helicopter_00002.npz", "3.npz", "nameless.npz")
    settings = SourceSettings(order="number")
    assert found(tmp_path, settings) == ["helicopter_00002.npz", "3.npz", "anchor_00010.npz", "nameless.npz"]


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20, unique=True))
def test_order_does_not_depend_on_the_file_system(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int]
) -> None:
    root = tmp_path_factory.mktemp("scan")
    touch(root, *(f"{number}.npz" for number in numbers))
    assert found(root) == [f"{number}.npz" for number in sorted(numbers)]


def test_star_stays_within_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "scene/spikes.dat", "spikes.dat", "a/b/spikes.dat", "scene/other.dat")
    assert found(tmp_path, layout("*/spikes")) == ["scene/spikes.dat"]


def test_signs_of_regular_expressions_in_patterns_mean_themselves(tmp_path: Path) -> None:
    touch(tmp_path, "a+b/x1.dat", "aab/x2.dat", "a+b/y1.dat")
    assert found(tmp_path, layout("a+b/x?")) == ["a+b/x1.dat"]


def test_the_first_row_that_fits_decides_on_the_split(tmp_path: Path) -> None:
    rows = (Layout(split="test", recordings=("t/*",)), Layout(split="train", recordings=("**/*",)))
    touch(tmp_path, "t/a.dat", "u/b.dat")
    listing = find_files(SourceSettings(layout=rows), tmp_path)
    assert listing.recordings == [Found("t/a.dat", "test"), Found("u/b.dat", "train")]


def test_number_decides_on_the_split(tmp_path: Path) -> None:
    rows = (
        Layout(split="train", recordings=("*",), numbers=(0, 4999)),
        Layout(split="test", recordings=("*",), numbers=(5000, 5999)),
    )
    touch(tmp_path, "4999.npz", "5000.npz", "6000.npz", "none.npz")
    listing = find_files(SourceSettings(layout=rows), tmp_path)
    assert listing.recordings == [Found("4999.npz", "train"), Found("5000.npz", "test")]
    reasons = {rejected.path: rejected.reason for rejected in listing.rejected}
    assert "6000" in reasons["6000.npz"]
    assert "no number" in reasons["none.npz"]


def test_truth_is_listed_by_split(tmp_path: Path) -> None:
    rows = (Layout(split="train", recordings=("spike/*",), truth=("gt/*.png",)),)
    touch(tmp_path, "spike/a.dat", "gt/a.png", "gt/notes.txt", "b.png")
    assert find_files(SourceSettings(layout=rows), tmp_path).truth == [Found("gt/a.png", "train")]


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "._a.dat", ".cache/b.dat", "c.dat")
    listing = find_files(SourceSettings(), tmp_path)
    assert listing == Listing(recordings=[Found("c.dat", None)])


def test_directory_named_like_a_recording_is_listed_and_not_entered(tmp_path: Path) -> None:
    touch(tmp_path, "x.dat/inner.dat")
    assert found(tmp_path) == ["x.dat"]


def test_linked_folder_is_followed(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/a.dat")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "link").symlink_to(tmp_path / "elsewhere")
    assert found(tmp_path / "source") == ["link/a.dat"]


def test_link_to_a_folder_above_ends_there(tmp_path: Path) -> None:
    touch(tmp_path, "a/b.dat")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert found(tmp_path) == ["a/b.dat"]


def test_name_that_is_no_text_is_listed_as_unusable(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.dat")).touch()
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    touch(tmp_path, "café.dat")
    listing = find_files(SourceSettings(), tmp_path)
    assert [item.path for item in listing.recordings] == ["café.dat"]
    assert [item.path for item in listing.rejected] == ["caf\\xe9.dat"]
    assert "UTF-8" in listing.rejected[0].reason


def test_folder_that_cannot_be_read_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "locked/a.dat", "open/b.dat")
    scandir = os.scandir

    def refuse(folder: str) -> os._ScandirIterator[str]:
        if folder.endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    listing = find_files(SourceSettings(), tmp_path)
    assert [item.path for item in listing.recordings] == ["open/b.dat"]
    assert listing.rejected[0].path == "locked/"
    assert "Permission denied" in listing.rejected[0].reason


def test_folders_deeper_than_the_layout_are_not_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "classA/a.dat", "classA/images/many/x.png")
    searched: list[str] = []
    scandir = os.scandir

    def watch(folder: str) -> os._ScandirIterator[str]:
        searched.append(folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", watch)
    assert found(tmp_path, layout("classA/*")) == ["classA/a.dat"]
    assert not any("images" in folder for folder in searched)
