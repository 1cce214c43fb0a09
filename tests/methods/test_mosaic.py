from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import hqgen
from hqgen.errors import MethodError
from hqgen.methods.mosaic import LUMINANCE, OnMosaic, demosaiced, planes
from hqgen.methods.tfp import TFP
from hqgen.pictures import write_image
from hqgen.simulation.camera import Sensor, simulate
from hqgen.spikes.camera import Camera, Pattern
from hqgen.spikes.packed import PackedSpikes, Window
from hqgen.spikes.plausibility import check
from hqgen.spikes.recording import open_recording
from tests.builder.small import settings_for

pytest.importorskip("colour_demosaicing", reason="colour-demosaicing is not installed")

HEIGHT, WIDTH = 120, 144
PATTERNS: tuple[Pattern, ...] = ("RGGB", "BGGR", "GRBG", "GBRG")


def scene() -> NDArray[np.float32]:
    """Smooth colours: float32 (H, W, 3)."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    red = 0.5 + 0.3 * np.sin(rows / 17)
    green = 0.5 + 0.3 * np.cos(columns / 23)
    blue = 0.4 + 0.3 * np.sin((rows + columns) / 29)
    return np.stack([red, green, blue], -1).astype(np.float32)


def filtered(colours: NDArray[np.float32], pattern: str) -> NDArray[np.float32]:
    mosaic = np.empty(colours.shape[:2], np.float32)
    for place, colour in enumerate(pattern):
        top, left = divmod(place, 2)
        mosaic[top::2, left::2] = colours[top::2, left::2, "RGB".index(colour)]
    return mosaic


def film(pattern: str, frames: int = 61) -> NDArray[np.uint8]:
    light = filtered(scene(), pattern)
    return simulate([light] * frames, Sensor(sensitivity=0.6), seed=2).frames()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_method_sees_the_planes_and_gives_the_colours(tmp_path: Path, pattern: Pattern) -> None:
    np.save(tmp_path / "r.npy", film(pattern))
    recording = open_recording(tmp_path / "r.npy", Camera(colour=pattern))
    colours = hqgen.reconstruct("tfp", recording, window=61) / 0.6
    assert colours.shape == (HEIGHT, WIDTH, 3)
    assert float(np.abs(colours - scene()).mean()) < 0.02
    wrong = demosaiced(filtered(scene(), pattern), PATTERNS[PATTERNS.index(pattern) - 1])
    assert float(np.abs(wrong - scene()).mean()) > 0.05


def test_the_four_planes_are_recordings_of_half_the_size() -> None:
    frames = film("RGGB", 9)
    found = planes(Window(PackedSpikes.pack(frames), 4, (2, 2)))
    assert [window.spikes.shape for window in found] == [(5, HEIGHT // 2, WIDTH // 2)] * 4
    np.testing.assert_array_equal(found[1].spikes.frames(), frames[2:7, ::2, 1::2])


def test_an_odd_size_is_refused() -> None:
    window = Window(PackedSpikes.pack(np.ones((9, 7, 8), np.uint8)), 4)
    with pytest.raises(MethodError, match="even height and width, not 7x8"):
        OnMosaic(TFP(), "RGGB").colours(window)


def test_without_the_library_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "colour_demosaicing", None)
    with pytest.raises(MethodError, match="`colour-demosaicing`, which is not installed"):
        demosaiced(np.ones((4, 4), np.float32), "RGGB")


def test_colours_are_written_with_one_white_point(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", scene())
    with Image.open(tmp_path / "a.png") as picture:
        levels = np.asarray(picture, np.float32)
    assert levels.shape == (HEIGHT, WIDTH, 3)
    assert levels[..., 0].mean() / levels[..., 2].mean() == pytest.approx(
        scene()[..., 0].mean() / scene()[..., 2].mean(), rel=0.05
    )


def test_a_mosaic_is_no_alarm_and_a_build_stores_its_luminance(tmp_path: Path) -> None:
    folder = tmp_path / "colour"
    folder.mkdir()
    np.save(folder / "r.npy", film("GRBG"))
    camera = Camera(colour="GRBG")
    recording = open_recording(folder / "r.npy", camera)
    assert check(recording, folder / "r.npy").kind == "fits"
    settings = settings_for(folder, methods="tfp", camera=camera).model_dump(exclude={"sources"})
    outcome: Any = hqgen.build([f"folder:{folder}"], **settings)
    (spec,) = outcome.manifest.plan.sources
    assert spec.camera == {"colour": "GRBG"}
    (sample,) = outcome.manifest.sources[0].samples
    assert sample.method == "tfp"
    image = hqgen.open_store(outcome.output.store.path)["folder-colour"].images[0].astype(float)
    expected = scene() @ LUMINANCE
    assert np.corrcoef(image.ravel(), expected.ravel())[0, 1] > 0.98
