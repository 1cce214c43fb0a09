from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hqgen.errors import RecordingError
from hqgen.sources.demo import demo_recording
from hqgen.spikes.camera import Camera
from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.probe import probe
from tests.spikes.test_formats import raw_bytes


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording with a counter in its rows, of a size that fits 250x400, too."""
    path = tmp_path_factory.mktemp("probe") / "counter.dat"
    frames = np.concatenate([demo_recording("coffee").frames()] * 2)[:100]
    path.write_bytes(raw_bytes(frames, padding=16))
    return path


def test_the_best_reading_of_a_misread_file_is_proposed(counter: Path) -> None:
    found = probe(counter, Camera())
    assert found.verdict is not None
    assert found.verdict.kind == "misread"
    assert found.proposal == "--camera vidar-416"
    assert found.best is found.readings[0]
    assert found.best.shape == (100, 250, 400)
    assert [picture.shape for picture in found.pictures] == [item.shape[1:] for item in found.readings]
    assert any(reading is found.verdict.given for reading in found.readings)


def test_a_file_that_is_read_right_needs_no_other_reading(counter: Path) -> None:
    found = probe(counter, Camera(preset="vidar-416"))
    assert found.verdict is not None
    assert (found.verdict.kind, found.proposal, found.problem) == ("fits", "", "")
    assert found.best is not None
    assert found.best.camera.padding == 16


def test_a_file_that_cannot_be_read_as_asked_has_a_proposal(counter: Path) -> None:
    found = probe(counter, Camera(height=333, width=333 * 8))
    assert found.verdict is None
    assert "more" in found.problem
    assert found.proposal == "--camera vidar-416"


def test_facts_count_pixels_and_flicker(tmp_path: Path) -> None:
    frames = demo_recording("coffee").frames().copy()
    frames[:, 100, 200] = 1
    frames[:, :4, :8] = 0
    frames[:, 120:124, :8] = 1
    frames = np.concatenate([frames] * 4)
    dim = np.sin(np.arange(len(frames)) * 2 * np.pi / 20) < 0
    frames[dim, 60:] = 0
    path = tmp_path / "r.npy"
    np.save(path, frames)
    facts = probe(path, Camera()).facts
    assert facts.dead >= 32
    assert facts.flicker > 0.3
    assert facts.flicker_period == pytest.approx(20, rel=0.1)
    assert facts.padding == 0
    np.save(path, demo_recording("coffee").frames())
    plain = probe(path, Camera()).facts
    frames = demo_recording("coffee").frames().copy()
    frames[:, 20, 200] = 1
    np.save(path, frames)
    assert probe(path, Camera()).facts.saturated == plain.saturated + 1
    assert probe(path, Camera()).facts.hot == plain.hot + 1
    assert plain.flicker < 0.05


def test_a_file_without_frames_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.dat").touch()
    with pytest.raises(RecordingError, match="the file is empty"):
        probe(tmp_path / "empty.dat", Camera())
    with pytest.raises(RecordingError, match="No such file"):
        probe(tmp_path / "none.npz", Camera())


@pytest.mark.parametrize("shape", [(3, 40, 40), (20, 9, 16)])
def test_tiny_and_dark_files_are_probed(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    np.save(tmp_path / "r.npy", np.zeros(shape, np.uint8))
    found = probe(tmp_path / "r.npy", Camera())
    assert found.verdict is not None
    assert found.verdict.kind == "unclear"
    assert found.facts.dead == shape[1] * shape[2]
    assert PackedSpikes.pack(np.zeros(shape, np.uint8)).shape == shape
