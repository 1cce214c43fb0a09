from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from hqgen.report.probe import as_json, draw, probe_view
from hqgen.sources.demo import demo_recording
from hqgen.spikes.camera import Camera
from hqgen.spikes.probe import Probe, probe
from tests.spikes.test_formats import raw_bytes


@pytest.fixture(scope="module")
def probes(tmp_path_factory: pytest.TempPathFactory) -> list[Probe]:
    folder = tmp_path_factory.mktemp("probe")
    frames = np.concatenate([demo_recording("coffee").frames()] * 2)[:100]
    (folder / "counter.dat").write_bytes(raw_bytes(frames, padding=16))
    np.save(folder / "dark.npy", np.zeros((9, 40, 40), np.uint8))
    return [probe(folder / name, Camera()) for name in ("counter.dat", "dark.npy")]


def test_the_tables_name_the_reading_to_use(probes: list[Probe]) -> None:
    screen = Console(file=io.StringIO(), width=80)
    screen.print(probe_view(probes))
    text = " ".join(screen.file.getvalue().split())  # type: ignore[attr-defined]
    assert "counter.dat 1.3 MB is not read as it was written" in text
    assert "use: --camera vidar-416" in text
    assert "250x400+16" in text
    assert "too little light or structure" in text
    assert "upside down cannot be seen without ground truth" in text


def test_the_picture_shows_the_readings(probes: list[Probe], tmp_path: Path) -> None:
    draw(probes, tmp_path / "probe.png")
    with Image.open(tmp_path / "probe.png") as picture:
        assert picture.width > 1600
        assert np.asarray(picture).std() > 10


def test_a_script_gets_verdict_proposal_and_readings(probes: list[Probe]) -> None:
    document = json.loads(json.dumps([as_json(item) for item in probes], default=str))
    assert [item["verdict"] for item in document] == ["misread", "unclear"]
    assert document[0]["proposal"] == "--camera vidar-416"
    assert document[0]["camera"]["padding"] == 16
    assert len(document[0]["readings"]) > 2
