from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hqgen.errors import UnknownNameError
from hqgen.sources import describe_sources, load_catalog

Write = Callable[..., Path]


def test_every_dataset_has_a_row_even_without_a_data_root(tmp_path: Path) -> None:
    rows = describe_sources(tmp_path / "none")
    assert [row.name for row in rows] == list(load_catalog())
    missing = {row.name for row in rows if row.missing}
    assert missing == set(load_catalog()) - {"demo"}
    assert all(row.entry.obtain for row in rows)


def test_row_counts_what_is_there(tmp_path: Path, write_dat: Write) -> None:
    size = write_dat("recvidar2019/classA/a.dat", 82).stat().st_size
    write_dat("recvidar2019/classB/b.dat", 0)
    rows = {row.name: row for row in describe_sources(tmp_path)}
    row = rows["recvidar2019"]
    assert (row.recordings, row.samples, row.size, row.missing) == (1, 2, size, "")
    assert [file.path for file in row.rejected] == ["classB/b.dat"]
    assert row.folder == tmp_path / "recvidar2019"
    assert str(tmp_path / "spike-reds") in rows["reds"].missing


def test_row_of_bad_files_only_says_so(tmp_path: Path, write_dat: Write) -> None:
    write_dat("u-cifar/train/1.npz", 0)
    row = next(row for row in describe_sources(tmp_path) if row.name == "u-cifar")
    assert row.recordings == 0
    assert row.geometry is None
    assert "none of 1 files" in row.missing


def test_named_sources_have_a_row_each_also_a_folder(
    tmp_path: Path, write_dat: Write, write_npz: Write
) -> None:
    write_dat("lab/a.dat", 41)
    write_npz("lab/permuted.npz", (250, 400, 41))
    names = [f"folder:{tmp_path}/lab", "demo", f"folder:{tmp_path}/gone"]
    lab, demo, gone = describe_sources(tmp_path, names)
    assert (lab.name, lab.recordings, lab.geometry, lab.folder) == (names[0], 1, (250, 400), tmp_path / "lab")
    (rejected,) = lab.rejected
    assert rejected.path == "permuted.npz"
    assert rejected.reason.endswith('a folder of their own, with `axes = "HWT"` in its `source.toml`')
    assert demo.recordings == 12
    assert "there is no folder" in gone.missing
    with pytest.raises(UnknownNameError):
        describe_sources(tmp_path, ["nope"])


@pytest.mark.real
def test_real_data_are_all_usable(data_root: Path) -> None:
    counted = {row.name: (row.recordings, row.samples) for row in describe_sources(data_root)}
    assert (counted["reds"], counted["recvidar2019"], counted["u-caltech"]) == ((5, 13), (1, 4), (1, 1))
