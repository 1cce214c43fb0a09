from __future__ import annotations

from pathlib import Path

import pytest

from hqgen.errors import SourceError, UsageError
from spikeclip.data.lowlight import LowLightSet
from spikeclip.data.opening import dataset_under, open_low_light


def test_a_low_light_set_is_opened_where_it_lies(low_light: LowLightSet, tmp_path: Path) -> None:
    assert open_low_light(str(low_light.path), tmp_path / "unused").digest == low_light.digest
    assert not list(tmp_path.iterdir())


def test_a_folder_of_recordings_is_prepared_once(
    low_light_folder: Path, low_light: LowLightSet, tmp_path: Path
) -> None:
    made = open_low_light(str(low_light_folder), tmp_path / "low.zarr")
    assert made.digest == low_light.digest
    written = (tmp_path / "low.zarr" / "zarr.json").stat().st_mtime_ns
    open_low_light(str(low_light_folder), tmp_path / "low.zarr")
    assert (tmp_path / "low.zarr" / "zarr.json").stat().st_mtime_ns == written


def test_processes_that_share_a_training_do_not_all_prepare(
    low_light_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="cannot all make it") as caught:
        open_low_light(str(low_light_folder), tmp_path / "low.zarr")
    assert "spikeclip prepare" in caught.value.hint


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no folder"):
        open_low_light(str(tmp_path / "gone"), tmp_path / "low.zarr")


def test_without_a_name_the_one_labelled_dataset_under_the_data_root_is_meant(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds none of"):
        dataset_under(tmp_path)
    (tmp_path / "u-caltech").mkdir()
    assert dataset_under(tmp_path) == str(tmp_path / "u-caltech")
    (tmp_path / "u-cifar").mkdir()
    with pytest.raises(UsageError, match="holds both u-caltech and u-cifar"):
        dataset_under(tmp_path)
