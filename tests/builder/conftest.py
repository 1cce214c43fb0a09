"""Settings of small builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from hqgen.builder.settings import BuildSettings
from hqgen.spikes.recording import write_dat
from tests.builder.small import HEIGHT, WIDTH, Recorder, stream


@pytest.fixture
def observer() -> Recorder:
    return Recorder()


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A folder of five recordings with one sample each, and one with two."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    (folder / "source.toml").write_text(f"geometry = [{HEIGHT}, {WIDTH}]\n")
    for seed in range(5):
        write_dat(folder / f"scene{seed}.dat", stream(seed))
    write_dat(folder / "scene5.dat", stream(5, frames=90))
    return folder


@pytest.fixture
def settings(tmp_path: Path, recordings: Path) -> BuildSettings:
    return BuildSettings(
        sources=(f"folder:{recordings}",),
        data_root=tmp_path,
        out=tmp_path / "out",
        methods="tfp,tfi",
        scheduler="sync",
        shard_size=2,
    )
