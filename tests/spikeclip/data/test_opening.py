from __future__ import annotations

from pathlib import Path

import pytest

from hqgen.errors import SourceError, UsageError
from spikeclip.data.lowlight import LowLightSet
from spikeclip.data.opening import DEMO_TRAINING, dataset_under, demo_settings, merged, open_spikes
from spikeclip.training.settings import train_settings


def test_tables_are_merged_value_by_value_whichever_way_keys_are_written() -> None:
    values = {"crop": 64, "fine": {"learning-rate": 1.0, "batch": 8}}
    changed = merged(values, {"seed": 3, "fine": {"learning_rate": 2.0}})
    assert changed == {"crop": 64, "seed": 3, "fine": {"learning_rate": 2.0, "batch": 8}}
    assert values["fine"] == {"learning-rate": 1.0, "batch": 8}


def test_the_demo_trains_with_settings_of_its_own_where_nothing_else_is_said() -> None:
    settings = train_settings(demo_settings({"coarse": {"epochs": 1}, "clip": {}}))
    assert settings.clip.model == "small"
    assert settings.crop == DEMO_TRAINING["crop"]
    assert (settings.coarse.epochs, settings.coarse.batch) == (1, DEMO_TRAINING["coarse"]["batch"])


def test_a_clip_that_was_named_is_not_replaced_by_the_demos() -> None:
    settings = train_settings(demo_settings({"clip": {"weights": "openai"}}))
    assert (settings.clip.model, settings.clip.weights) == ("ViT-B-32", "openai")


def test_a_low_light_set_is_opened_where_it_lies(low_light: LowLightSet, tmp_path: Path) -> None:
    assert open_spikes(str(low_light.path), tmp_path / "unused").digest == low_light.digest
    assert not list(tmp_path.iterdir())


def test_a_folder_of_recordings_is_prepared_once(
    low_light_folder: Path, low_light: LowLightSet, tmp_path: Path
) -> None:
    made = open_spikes(str(low_light_folder), tmp_path / "low.zarr")
    assert made.digest == low_light.digest
    written = (tmp_path / "low.zarr" / "zarr.json").stat().st_mtime_ns
    open_spikes(str(low_light_folder), tmp_path / "low.zarr")
    assert (tmp_path / "low.zarr" / "zarr.json").stat().st_mtime_ns == written


def test_processes_that_share_a_training_do_not_all_prepare(
    low_light_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="cannot all make it") as caught:
        open_spikes(str(low_light_folder), tmp_path / "low.zarr")
    assert "spikeclip prepare" in caught.value.hint


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no folder"):
        open_spikes(str(tmp_path / "gone"), tmp_path / "low.zarr")


def test_without_a_name_the_one_labelled_dataset_under_the_data_root_is_meant(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds none of"):
        dataset_under(tmp_path)
    (tmp_path / "u-caltech").mkdir()
    assert dataset_under(tmp_path) == str(tmp_path / "u-caltech")
    (tmp_path / "u-cifar").mkdir()
    with pytest.raises(UsageError, match="holds both u-caltech and u-cifar"):
        dataset_under(tmp_path)
