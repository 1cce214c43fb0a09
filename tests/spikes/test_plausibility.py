from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hqgen.errors import UsageError
from hqgen.simulation.camera import preset, simulate
from hqgen.sources.demo import demo_recording, demo_scenes, demo_truth
from hqgen.spikes.camera import PRESETS, VIDAR, Camera
from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.plausibility import Verdict, check, flags, require_plausible, signs, upside_down
from hqgen.spikes.recording import ArrayRecording, open_recording
from tests.spikeclip.small import labelled_frames
from tests.spikes.test_formats import raw_bytes

Frames = NDArray[np.uint8]


@pytest.fixture(scope="module")
def scene() -> Frames:
    return demo_recording("coffee").frames()


def large(frames: Frames, height: int, width: int) -> Frames:
    """Frames of another camera: the scene beside its mirror images, so that there is no seam."""
    count, rows, columns = frames.shape
    down, across = -(-height // rows) - 1, -(-width // columns) - 1
    padding = ((0, 0), (0, down * rows), (0, across * columns))
    return np.pad(frames, padding, mode="symmetric")[:count, :height, :width]


def verdict(path: Path, **fields: Any) -> Verdict:
    camera = Camera.model_validate(fields).for_file(path)
    return check(open_recording(path, camera), path)


@pytest.mark.parametrize("name", PRESETS)
def test_a_file_of_a_known_camera_is_read_or_refused_with_its_preset(
    tmp_path: Path, scene: Frames, name: str
) -> None:
    fields = PRESETS[name]
    path = tmp_path / "r.raw"
    frames = large(scene, fields["height"], fields["width"])[:20]
    path.write_bytes(raw_bytes(frames, padding=fields["padding"]))
    assert verdict(path, preset=name).kind == "fits"
    for other in PRESETS:
        size = PRESETS[other]["height"] * (PRESETS[other]["width"] + PRESETS[other]["padding"]) // 8
        if other != name and path.stat().st_size % size == 0:
            found = verdict(path, preset=other)
            assert (found.kind, found.proposal) == ("misread", f"--camera {name}")


@pytest.mark.parametrize("size", [(400, 250), (200, 500), (125, 800), (500, 200), (125, 400)])
def test_another_size_is_refused(tmp_path: Path, scene: Frames, size: tuple[int, int]) -> None:
    path = tmp_path / "r.dat"
    path.write_bytes(raw_bytes(scene))
    found = verdict(path, height=size[0], width=size[1])
    assert (found.kind, found.proposal) == ("misread", "--camera vidar-250x400")


@pytest.mark.parametrize("axes", ["HTW", "HWT", "WTH", "WHT"])
@pytest.mark.parametrize("name", ["r.npy", "r.npz"])
def test_an_array_with_time_elsewhere_is_refused(tmp_path: Path, scene: Frames, axes: str, name: str) -> None:
    stored = scene.transpose(["THW".index(axis) for axis in axes])
    path = tmp_path / name
    np.savez_compressed(path, spk=stored) if name == "r.npz" else np.save(path, stored)
    found = verdict(path)
    assert found.kind == "misread"
    assert found.better is not None
    assert found.better.camera.axes is not None
    assert found.better.camera.axes.index("T") == axes.index("T")
    assert found.proposal == f"--axes {found.better.camera.axes}"


def test_a_sensor_on_its_side_is_in_doubt(tmp_path: Path, scene: Frames) -> None:
    np.save(tmp_path / "r.npy", scene.transpose(0, 2, 1))
    assert verdict(tmp_path / "r.npy").kind == "doubtful"
    assert verdict(tmp_path / "r.npy", axes="TWH").kind == "fits"


@pytest.mark.parametrize("right", ["lsb", "msb"])
def test_the_wrong_bit_order_is_refused(tmp_path: Path, scene: Frames, right: str) -> None:
    path = tmp_path / "r.bin"
    path.write_bytes(raw_bytes(scene, msb=right == "msb"))
    wrong = "lsb" if right == "msb" else "msb"
    assert verdict(path, bit_order=right).kind == "fits"
    found = verdict(path, bit_order=wrong)
    assert (found.kind, found.proposal) == ("misread", f"--bit-order {right}")


@pytest.mark.parametrize("period", [7.5, 11, 15, 16, 25, 50])
def test_a_grating_is_no_alarm_whatever_its_period(tmp_path: Path, period: float) -> None:
    """A test chart repeats itself, in halves of the picture or over the limits of bytes, and is right."""
    y, x = np.mgrid[:250, :400]
    light = (0.5 + 0.4 * np.sin(2 * np.pi * (x / period + y / 40))).astype(np.float32)
    path = tmp_path / "r.dat"
    path.write_bytes(raw_bytes(simulate([light] * 41, preset("normal"), seed=0).frames()))
    assert verdict(path).kind == "fits"


def test_a_small_picture_says_nothing_about_the_order_of_bits(tmp_path: Path) -> None:
    """Of these 40x40 pixels, an edge over 160 limits of bytes looked like a wrong order."""
    np.savez(tmp_path / "r.npz", spk=labelled_frames(4, 1))
    assert verdict(tmp_path / "r.npz").kind != "misread"


def test_a_misread_file_is_an_error_with_what_to_do(
    tmp_path: Path, scene: Frames, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "r.dat"
    path.write_bytes(raw_bytes(np.concatenate([scene] * 4)[:200], padding=16))
    with pytest.raises(UsageError, match=r"r\.dat` is not read as it was written: ") as caught:
        require_plausible(open_recording(path, height=250, width=400), path)
    assert "`--camera vidar-416`" in caught.value.hint
    require_plausible(open_recording(path, "vidar-416"), path)
    assert not caplog.records
    np.save(tmp_path / "side.npy", scene.transpose(0, 2, 1))
    require_plausible(open_recording(tmp_path / "side.npy"), tmp_path / "side.npy")
    assert "rows and columns may be exchanged" in caplog.text


@pytest.mark.parametrize("name", demo_scenes())
def test_no_scene_of_the_demo_raises_an_alarm(tmp_path: Path, name: str) -> None:
    path = tmp_path / "r.dat"
    path.write_bytes(raw_bytes(demo_recording(name).frames()))
    assert verdict(path).kind == "fits"


@pytest.mark.parametrize("level", [0.0, 0.003, 0.3, 1.0])
@pytest.mark.parametrize("light", ["normal", "low"])
def test_a_scene_without_structure_raises_no_alarm(tmp_path: Path, level: float, light: str) -> None:
    grey = np.full(VIDAR, level, np.float32)
    path = tmp_path / "r.dat"
    path.write_bytes(raw_bytes(simulate([grey] * 41, preset(light), seed=3).frames()))
    assert verdict(path).kind in ("fits", "unclear")


def test_a_dark_region_is_judged_by_the_whole_picture(tmp_path: Path, scene: Frames) -> None:
    path = tmp_path / "r.dat"
    path.write_bytes(raw_bytes(scene))
    region = {"region": (200, 300, 16, 16)}
    assert verdict(path, **region).kind == "fits"
    found = verdict(path, height=400, width=250, region=(0, 0, 16, 16))
    assert (found.kind, found.proposal) == ("misread", "--camera vidar-250x400")


@pytest.mark.parametrize("value", [0, 1])
def test_frames_of_one_value_are_unclear(tmp_path: Path, value: int) -> None:
    np.save(tmp_path / "r.npy", np.full((9, 40, 40), value, np.uint8))
    assert verdict(tmp_path / "r.npy").kind == "unclear"


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 9), (3, 9, 1), (5, 2, 3), (41, 17, 33), (1, 250, 400)])
def test_streams_of_any_size_have_signs(shape: tuple[int, int, int]) -> None:
    frames = np.random.default_rng(0).integers(0, 2, shape, dtype=np.uint8)
    found = signs(PackedSpikes.pack(frames))
    assert np.isfinite([found.rows, found.columns, found.pause, found.halves, found.seams]).all()
    assert 0 <= found.evenness <= 1
    assert 0 <= found.merit <= 1


def test_noise_that_no_camera_made_raises_no_alarm(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 2, (60, 250, 400), dtype=np.uint8)
    np.save(tmp_path / "r.npy", frames)
    assert verdict(tmp_path / "r.npy").kind == "unclear"


def test_ground_truth_shows_what_is_upside_down(scene: Frames) -> None:
    light = demo_truth("coffee")
    upright = ArrayRecording(PackedSpikes.pack(scene))
    turned = ArrayRecording(PackedSpikes.pack(np.ascontiguousarray(scene[:, ::-1])))
    assert not upside_down(upright, 30, light)
    assert upside_down(turned, 30, light)
    assert not upside_down(turned, 30, light[:100])


def test_flags_name_what_differs_as_a_user_types_it() -> None:
    given = Camera(height=250, width=400, axes="THW")
    assert flags(Camera(height=250, width=400, padding=16, axes="THW"), given) == "--camera vidar-416"
    assert flags(Camera(height=480, width=640, axes="THW"), given) == "--height 480 --width 640"
    assert flags(Camera(height=250, width=400, axes="TWH"), given) == "--axes TWH"
    assert flags(Camera(height=250, width=400, padding=0, axes="THW"), given) == ""


@pytest.mark.real
def test_no_real_recording_raises_an_alarm(data_root: Path) -> None:
    files = [*sorted(data_root.glob("**/*.dat")), *sorted(data_root.glob("u-caltech/*.npz"))]
    assert len(files) >= 7
    assert {path.name: verdict(path).kind for path in files} == {path.name: "fits" for path in files}
