"""What `bsn` and an adapted `base` make of simulated cameras with truth, and of real recordings.

`HQGEN_BLIND=FOLDER pytest -m bench -s tests/bench/test_bench_bsn.py` trains what is not yet in the folder and
prints the tables of docs/bsn.md; the folder also gets the pictures. Stopped, the same command continues.
`HQGEN_BLIND_STEPS` are the steps of `bsn` and those of adapting (default `1500,1500`). On one AVX2 core 1,500
steps of `bsn` take 6 minutes, and 1,500 of adapting 18.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hqgen.devices import one_thread
from hqgen.methods.base import Method
from hqgen.methods.learned.base import Base
from hqgen.methods.learned.bsn import BSN
from hqgen.methods.registry import parse_method
from hqgen.pictures import picture_files
from hqgen.quality.consistency import consistency
from hqgen.quality.fidelity import fair_image, psnr
from hqgen.quality.normalise import to_uint8
from hqgen.quality.scorers import get_scorer
from hqgen.simulation.camera import preset, simulate
from hqgen.simulation.motion import Motion, moving_picture
from hqgen.simulation.scenes import soften
from hqgen.spikes.camera import PLAIN, Camera
from hqgen.spikes.exposure import SPAN, key_exposure
from hqgen.spikes.packed import PackedSpikes, Window
from hqgen.spikes.recording import open_recording, write_dat
from hqgen.training.blind import BlindRecipe
from hqgen.training.bsn import Start, train_bsn

pytestmark = [pytest.mark.bench, pytest.mark.real]

STEPS = [int(steps) for steps in os.environ.get("HQGEN_BLIND_STEPS", "1500,1500").split(",")]
STARTS: tuple[Start | None, ...] = (None, "base")
FRAMES, HEIGHT, WIDTH = 101, 120, 160
TAUGHT, SHOWN = 24, 12
"""Recordings that teach, and recordings of other pictures that are reconstructed."""

CAMERAS = {
    "normal": preset("normal"),
    "pattern": replace(preset("normal"), response_spread=0.12, dark=0.03),
    "low": preset("low"),
    "lens": preset("normal"),
}
"""`pattern` has a spread of gain and a dark current that are larger than any in the training of `base`.

`lens` is `normal` behind a lens that blurs by 0.5 pixels, as `base` expects it. The truth is not blurred.
"""

LENS = 0.1065
"""What a pixel gets from each neighbour in a Gaussian blur of 0.5 pixels."""

FRAME = 100
"""Of a real recording, that is reconstructed."""

REAL = {
    "car": ("recvidar2019/classA/car-100kmh.dat", Camera(preset="vidar-250x400")),
    "helicopter": ("u-caltech/helicopter_04144.npz", PLAIN),
}
CROP = {"car": (60, 120, 90, 130), "helicopter": (80, 60, 90, 130)}
"""Top, left, height and width of what is enlarged."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = os.environ.get("HQGEN_BLIND")
    return Path(kept) if kept else tmp_path_factory.mktemp("blind")


def trained(recordings: Path, camera: Camera, folder: Path, name: str) -> dict[str, Method]:
    """The methods that are compared, by name; what is not trained yet is trained."""
    files = {
        start: folder / f"{name}-{start or 'bsn'}-{steps}.pth"
        for start, steps in zip(STARTS, STEPS, strict=True)
    }
    for start, steps in zip(STARTS, STEPS, strict=True):
        if files[start].exists():
            continue
        recipe = BlindRecipe(steps=steps, cool_down=steps // 2)
        curve = train_bsn(recordings, files[start], recipe, start=start, camera=camera)
        print(f"\n{files[start].stem}: {curve[-1].seconds:.0f} s, {curve[-1].validation}", flush=True)
    return {
        "`tfp`, 41 frames": parse_method("tfp"),
        "`tfi`": parse_method("tfi"),
        "`bsn:spread=1`, the blind guess": BSN(spread=1, weights=str(files[None]), device="cpu"),
        "`bsn`": BSN(weights=str(files[None]), device="cpu"),
        "`base`": Base(device="cpu"),
        "`base`, adapted": Base(weights=str(files["base"]), device="cpu"),
    }


@pytest.mark.parametrize("camera", CAMERAS)
def test_simulated_cameras_with_truth(camera: str, data_root: Path, folder: Path) -> None:
    recordings = folder / camera
    if not recordings.exists():
        for number, (spikes, _) in enumerate(filmed(data_root, camera, 0, TAUGHT)):
            write_dat(recordings / f"{number:02d}.dat", spikes)
    with one_thread():
        methods = trained(recordings, Camera(height=HEIGHT, width=WIDTH), folder, camera)
        rows: dict[str, list[float]] = {name: [] for name in methods}
        for spikes, truth in filmed(data_root, camera, TAUGHT, SHOWN):
            window = Window(spikes, FRAMES // 2)
            for name, method in methods.items():
                image = fair_image(method.reconstruct(window.around(*method.span)), truth)
                rows[name].append(psnr(image, truth.astype(np.float64)) or np.inf)
    print(f"\n| {camera} | mean | worst |")
    for name, values in rows.items():
        print(f"| {name} | {np.mean(values):.2f} | {min(values):.2f} |")
    gains = np.subtract(rows["`base`, adapted"], rows["`base`"])
    print(f"adapted against base, dB: {np.round(np.sort(gains), 2)}")


def filmed(
    data_root: Path, camera: str, first: int, count: int
) -> Iterator[tuple[PackedSpikes, NDArray[np.float32]]]:
    """Recordings, and the light in the middle of each; each has pixels of its own, drawn for one camera."""
    pictures = picture_files(data_root / "caltech101" / "test.zip")[::16]
    for number in range(first, first + count):
        rng = np.random.default_rng([31, number])
        light = np.asarray(pictures[number].gray(), np.float32) / np.float32(255)
        right, down, turn = rng.normal(0, [0.12, 0.06, 0.02])
        motion = Motion(right=float(right), down=float(down), rotation=float(turn))
        scene = np.stack(list(moving_picture(light, FRAMES, HEIGHT, WIDTH, motion)))
        truth = scene[FRAMES // 2].copy()
        if camera == "lens":
            soften(scene, LENS)
        yield simulate(scene.clip(0, 1), CAMERAS[camera], seed=number), truth


@pytest.mark.parametrize("name", REAL)
def test_real_recordings(name: str, data_root: Path, folder: Path) -> None:
    path, camera = REAL[name]
    file = data_root / path
    recording = open_recording(file, camera)
    top, left, height, width = CROP[name]
    crops = []
    with one_thread():
        print(f"\n| {name} | NIQE | BRISQUE | consistency |")
        for label, method in trained(file, camera, folder, name).items():
            picture = to_uint8(method.reconstruct(recording.window(FRAME, *method.span)))
            Image.fromarray(picture).save(folder / f"{name}-{label.replace('`', '')}.png")
            crops.append(Image.fromarray(picture[top : top + height, left : left + width]))
            scores = [float(get_scorer(judge).score(picture[None])[0][0]) for judge in ("niqe", "brisque")]
            scores += [float(consistency(picture[None], key_exposure(recording.window(FRAME, *SPAN)))[0])]
            print(f"| {label} | " + " | ".join(f"{score:.2f}" for score in scores) + " |", flush=True)
    sheet = Image.new("L", (3 * 3 * width, 2 * 3 * height))
    for number, crop in enumerate(crops):
        row, column = divmod(number, 3)
        enlarged = crop.resize((3 * width, 3 * height), Image.Resampling.NEAREST)
        sheet.paste(enlarged, (column * 3 * width, row * 3 * height))
    sheet.save(folder / f"{name}-crops.png")
