"""A tiny low-light set and a tiny HQ store, made by code once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from hqgen.builder.run import build
from hqgen.builder.settings import BuildSettings
from hqgen.spikes.recording import write_dat
from spikeclip.data.lowlight import LowLightSet
from spikeclip.data.prepare import prepare
from tests.builder.small import HEIGHT, WIDTH, Recorder, stream
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
    folder = root / "recordings"
    folder.mkdir()
    (folder / "source.toml").write_text(f"geometry = [{HEIGHT}, {WIDTH}]\n")
    for seed in range(7):
        write_dat(folder / f"scene{seed}.dat", stream(seed))
    build(
        BuildSettings(
            sources=(f"folder:{folder}",),
            data_root=root,
            out=root / "out",
            methods="tfp,tfi",
            scheduler="sync",
            shard_size=2,
        ),
        Recorder(),
    )
    return root / "out" / "hq.zarr"
