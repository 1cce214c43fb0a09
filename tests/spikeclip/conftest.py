"""A tiny low-light set and a tiny HQ store, made by code once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikeclip.data.lowlight import LowLightSet
from spikeclip.data.prepare import prepare
from tests.builder.small import build_again, settings_for, write_scenes
from tests.spikeclip.small import write_recordings


@pytest.fixture(scope="session")
def low_light_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of 40x40 pixels and 200 frames: 12 for training, 6 for testing, three classes."""
    folder = tmp_path_factory.mktemp("recordings")
    write_recordings(folder, {"train": 12, "test": 6})
    return folder


@pytest.fixture(scope="session")
def low_light(low_light_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> LowLightSet:
    """The recordings of `low_light_folder` as a low-light set."""
    return prepare(low_light_folder, tmp_path_factory.mktemp("low-light") / "low.zarr")


@pytest.fixture(scope="session")
def hq_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An HQ store of seven pictures of 96x104 pixels in shards of two, its manifest beside it."""
    root = tmp_path_factory.mktemp("hq")
    build_again(settings_for(write_scenes(root / "recordings", 7), shard_size=2))
    return root / "out" / "hq.zarr"
