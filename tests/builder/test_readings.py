from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hqgen.builder import readings as readings_module
from hqgen.builder.estimate import estimate
from hqgen.builder.readings import misread_recordings
from hqgen.builder.run import build
from hqgen.errors import UsageError
from hqgen.sources.catalog import SourceSettings, load_catalog
from hqgen.sources.demo import demo_recording, demo_truth
from hqgen.sources.source import Source, read_folder
from hqgen.spikes.camera import Camera
from hqgen.spikes.plausibility import Verdict, check
from hqgen.spikes.recording import Recording, write_dat
from tests.builder.small import Recorder, settings_for
from tests.spikes.test_formats import raw_bytes, write_counter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two recordings of the usual camera, and one with a counter in its rows."""
    folder = tmp_path / "lab"
    folder.mkdir()
    for name in ("coffee", "coins"):
        write_dat(folder / f"{name}.dat", demo_recording(name))
    write_counter(folder / "rocket.dat")
    return folder


def source_of(folder: Path, **fields: Any) -> Source:
    return read_folder("lab", SourceSettings(camera=Camera.model_validate(fields)), folder)


def names(found: dict[Any, str]) -> dict[str, str]:
    return {recording.name: reason for recording, reason in found.items()}


def test_a_misread_recording_is_quarantined_by_name_with_the_reading_that_fits(folder: Path) -> None:
    settings = settings_for(folder, methods="tfp", keep_candidates=False)
    outcome = build(settings, Recorder())
    (lost,) = outcome.manifest.sources[0].quarantined_recordings
    assert lost.path == "rocket.dat"
    assert "use `--camera vidar-416`" in lost.reason
    assert [item.path for item in outcome.manifest.plan.sources[0].recordings] == ["coffee.dat", "coins.dat"]
    assert build(settings, Recorder()).made == 0
    assert estimate(settings, Recorder()).sources[0].quarantined == 1
    forced = settings.model_copy(update={"force": True, "existing": "overwrite"})
    assert build(forced, Recorder()).manifest.quarantined == 0


def test_a_source_of_misread_recordings_only_is_refused_with_the_reading_that_fits(folder: Path) -> None:
    for name in ("coffee", "coins"):
        (folder / f"{name}.dat").unlink()
    settings = settings_for(folder, methods="tfp")
    with pytest.raises(UsageError, match=r"1 recording, none .*`rocket\.dat`: .*use `--camera vidar-416`"):
        build(settings, Recorder())
    right = settings.model_copy(update={"camera": Camera(preset="vidar-416")})
    assert build(right, Recorder()).manifest.quarantined == 0


def test_verdicts_are_remembered_until_a_file_or_its_description_changes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "readings.json"
    first = names(misread_recordings([source_of(folder)], cache, Recorder()))
    assert first.keys() == {"rocket.dat"}
    monkeypatch.setattr(readings_module, "check", None)  # to call it would be an error
    assert names(misread_recordings([source_of(folder)], cache, Recorder())) == first
    monkeypatch.undo()
    changed = source_of(folder, frame_range=[0, 50])
    assert names(misread_recordings([changed], cache, Recorder())).keys() == {"rocket.dat"}
    shutil.copy(folder / "coffee.dat", folder / "rocket.dat")
    assert misread_recordings([source_of(folder)], cache, Recorder()) == {}
    cache.write_text("not JSON")
    assert misread_recordings([source_of(folder)], cache, Recorder()) == {}


def test_recordings_in_doubt_are_used_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    np.savez_compressed(tmp_path / "side.npz", spk=demo_recording("coffee").frames().transpose(0, 2, 1))
    assert misread_recordings([source_of(tmp_path)], tmp_path / "cache.json", Recorder()) == {}
    assert "source `lab`: may be misread: `side.npz`: rows and columns may be exchanged" in caplog.text


def test_ground_truth_shows_a_recording_that_is_upside_down(tmp_path: Path) -> None:
    picture = Image.fromarray((demo_truth("coffee") * 255).astype(np.uint8))
    for folder in ("gt", "input"):
        (tmp_path / "test" / folder).mkdir(parents=True)
    upright = demo_recording("coffee").frames()
    for number, top_down in (("000", False), ("001", True)):
        picture.save(tmp_path / f"test/gt/{number}_part1_key_id31.png")
        path = tmp_path / f"test/input/{number}_part1_key_id31.dat"
        path.write_bytes(raw_bytes(upright, top_down=top_down))
    reds = read_folder("reds", load_catalog()["reds"], tmp_path)
    found = names(misread_recordings([reds], tmp_path / "cache.json", Recorder()))
    assert found == {
        "test/input/001_part1_key_id31.dat": "it is upside down beside its ground truth; "
        "use `--row-order top-down`"
    }


def test_a_recording_that_cannot_be_read_is_left_to_the_build(folder: Path, tmp_path: Path) -> None:
    source = source_of(folder)
    (folder / "coffee.dat").unlink()
    found = names(misread_recordings([source], tmp_path / "cache.json", Recorder()))
    assert found.keys() == {"rocket.dat"}


def test_of_many_archives_a_few_are_checked_or_all_if_one_is_misread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []

    def counted(recording: Recording, path: Path) -> Verdict:
        checked.append(path.name)
        return check(recording, path)

    monkeypatch.setattr(readings_module, "check", counted)
    scene = demo_recording("coffee").frames()[:41, :64, :96]
    for number in range(40):
        np.savez(tmp_path / f"{number}.npz", spk=scene)
    assert misread_recordings([source_of(tmp_path)], tmp_path / "right.json", Recorder()) == {}
    assert sorted(checked) == ["0.npz", "16.npz", "32.npz"]
    for number in range(40):
        np.savez(tmp_path / f"{number}.npz", spk=scene.transpose(1, 2, 0))
    with pytest.raises(UsageError, match=r"40 recordings, none .* use `--axes HWT`"):
        misread_recordings([source_of(tmp_path)], tmp_path / "wrong.json", Recorder())
