"""Settings of small builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from hqgen.builder.settings import BuildSettings
from hqgen.spikes.recording import write_dat
from tests.builder.small import Recorder, settings_for, stream, write_scenes


@pytest.fixture
def observer() -> Recorder:
    return Recorder()


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A folder of five recordings with one sample each, and one with two."""
    folder = write_scenes(tmp_path / "recordings", 5)
    write_dat(folder / "scene5.dat", stream(5, frames=90))
    return folder


@pytest.fixture
def settings(recordings: Path) -> BuildSettings:
    return settings_for(recordings, shard_size=2)
