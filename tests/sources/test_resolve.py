from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hqgen.errors import SourceError, UnknownNameError, UsageError
from hqgen.sources import resolve_sources
from hqgen.spikes.camera import Camera

Write = Callable[..., Path]


def test_sources_come_in_the_order_of_their_names(tmp_path: Path, write_dat: Write, write_npz: Write) -> None:
    write_dat("spike-reds/test/spike/200_part1_key_id21.dat", 41)
    write_npz("u-cifar/train/1.npz")
    write_dat("my shots/a.dat", 41)
    names = f"u-cifar, folder:{tmp_path / 'my shots'} ,reds"
    sources = resolve_sources(names, tmp_path)
    assert [source.name for source in sources] == ["u-cifar", "folder-my-shots", "reds"]
    assert [source.samples[0].key for source in sources] == [
        "u-cifar/train/1",
        "folder-my-shots/a/000020",
        "reds/200_part1_key_id21",
    ]


def test_names_may_be_a_list_whose_paths_hold_commas(tmp_path: Path, write_dat: Write) -> None:
    write_dat("a,b/c.dat", 41)
    (source,) = resolve_sources([f"folder:{tmp_path / 'a,b'}"], tmp_path)
    assert source.name == "folder-a-b"


def test_folder_obeys_its_source_toml(tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_bytes(bytes(4 * 8 // 8 * 60))
    (tmp_path / "source.toml").write_text(
        'geometry = [4, 8]\nlabels = ["cat"]\nkey_frames = { rule = "stride", stride = 10 }\n'
    )
    (source,) = resolve_sources(f"folder:{tmp_path}", Path("nowhere"))
    assert source.geometry == (4, 8)
    assert [sample.centre for sample in source.samples] == [20, 30]
    assert source.entry.labels == ("cat",)


def test_folder_may_be_relative(tmp_path: Path, write_dat: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dat("shots/a.dat", 41)
    monkeypatch.chdir(tmp_path / "shots")
    (source,) = resolve_sources("folder:.", Path("nowhere"))
    assert source.name == "folder-shots"
    assert source.folder == tmp_path / "shots"


@pytest.mark.parametrize("names", ["", " ", ",", "reds,", [], [""]])
def test_empty_names_are_refused(names: str | list[str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no name"):
        resolve_sources(names, tmp_path)


def test_unknown_name_is_answered_with_the_legal_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="`redz`") as caught:
        resolve_sources("redz", tmp_path)
    assert "did you mean `reds`" in caught.value.hint
    assert "folder:PATH" in caught.value.hint
    assert "u-caltech" in caught.value.hint


def test_name_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="stored as `reds`"):
        resolve_sources("reds,demo,reds", tmp_path)


@pytest.mark.parametrize("second", ["b/shots", "b/Shots"])
def test_folders_of_one_name_are_refused(tmp_path: Path, write_dat: Write, second: str) -> None:
    write_dat("a/shots/a.dat", 41)
    write_dat(f"{second}/a.dat", 41)
    with pytest.raises(UsageError, match="two sources") as caught:
        resolve_sources(f"folder:{tmp_path / 'a/shots'},folder:{tmp_path / second}", tmp_path)
    assert "rename" in caught.value.hint


def test_folder_without_a_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no path"):
        resolve_sources("folder:", tmp_path)


def test_path_of_a_user_who_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="home directory"):
        resolve_sources("folder:~no-such-user/shots", tmp_path)


def test_path_that_links_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises((UsageError, SourceError), match="loop"):
        resolve_sources(f"folder:{tmp_path / 'loop'}", tmp_path)


def test_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no folder"):
        resolve_sources(f"folder:{tmp_path / 'none'}", tmp_path)


def test_missing_data_root_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="data root") as caught:
        resolve_sources("reds", tmp_path / "none")
    assert "HQGEN_DATA_ROOT" in caught.value.hint


def test_data_root_is_not_needed_for_the_demo(tmp_path: Path) -> None:
    (source,) = resolve_sources("demo", tmp_path / "none")
    assert source.samples


def test_missing_folder_says_where_it_was_looked_for_and_how_to_get_the_data(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        resolve_sources("recvidar2019", tmp_path)
    assert str(tmp_path / "recvidar2019") in caught.value.message
    assert "SpikeCV" in caught.value.hint


def test_folder_without_recordings_says_what_was_looked_for(tmp_path: Path, write_npz: Write) -> None:
    write_npz("recvidar2019/classA/a.npz")
    with pytest.raises(SourceError, match="no recordings") as caught:
        resolve_sources("recvidar2019", tmp_path)
    assert "`classA/*.dat`, `classB/*.dat`" in caught.value.hint
    assert "SpikeCV" in caught.value.hint


def test_source_of_bad_files_only_says_what_is_wrong_with_the_first(tmp_path: Path, write_dat: Write) -> None:
    write_dat("recvidar2019/classA/a.dat", 0)
    write_dat("recvidar2019/classA/b.dat", 0)
    with pytest.raises(SourceError, match=r"none of 2 files.*`classA/a\.dat`: the file is empty"):
        resolve_sources("recvidar2019", tmp_path)


def test_names_are_checked_before_any_folder_is_searched(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError):
        resolve_sources("reds,nonsense", tmp_path / "none")


def test_a_camera_describes_the_folders_and_is_stronger_than_their_settings(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "a.raw").write_bytes(bytes(8 * 24 // 8 * 6))
    (tmp_path / "lab" / "source.toml").write_text('geometry = [2, 8]\ncamera = { bit_order = "msb" }\n')
    camera = Camera(height=8, width=16, padding=8)
    source, demo = resolve_sources(f"folder:{tmp_path / 'lab'},demo", tmp_path, camera)
    assert (source.geometry, demo.geometry) == ((8, 16), (250, 400))
    assert source.entry.described_camera.bit_order == "msb"
    assert source.recordings[0].open().shape == (6, 8, 16)
    with pytest.raises(UsageError, match="no `folder:PATH` is among the sources: demo"):
        resolve_sources("demo", tmp_path, camera)
