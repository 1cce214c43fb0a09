"""What each ingredient of the training of `base` is worth: one training of equal length per row.

`HQGEN_ABLATION=FOLDER pytest -m bench -s tests/bench/test_bench_base_ingredients.py` trains what is not yet
in the folder and prints the table of docs/base.md. Stopped, the same command continues. The length of every
training is `HQGEN_ABLATION_STEPS` (default 400: 70 seconds of processor time per row on one AVX2 core). Every
row trains in float32, so that machines with and without bfloat16 make the same table.

All rows but one train the small network, which learns twice as much per second. The schedule is the one of
pipelines/train-base.toml, shortened in proportion, with half the batch.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from hqgen.devices import one_thread
from hqgen.inspection.truth import as_brightness
from hqgen.methods.learned.base import Base
from hqgen.pictures import load_pictures
from hqgen.progress import SILENT
from hqgen.quality.fidelity import psnr
from hqgen.quality.normalise import to_uint8
from hqgen.quality.scorers import get_scorer
from hqgen.simulation.scenes import SceneMaker, Scenes, SensorLimits
from hqgen.spikes.packed import PackedSpikes, Window
from hqgen.spikes.recording import open_recording
from hqgen.training.base import HELD_OUT, LONGEST, SMALLEST, train_base
from hqgen.training.recipe import Phase, Recipe
from tests.bench.regret_study import read_sample, real_samples

pytestmark = [pytest.mark.bench, pytest.mark.real]

STEPS = int(os.environ.get("HQGEN_ABLATION_STEPS", "400"))
LAST = 3 * STEPS // 20
"""Steps of the last phase, the same part of the training as in the whole recipe."""
HELD_OUT_SCENES = 48
REDS_RATE = 0.6

Loss = Literal["absolute", "squared"]


def phases(patch: int = 64, last_patch: int = 96, last_loss: Loss = "squared") -> tuple[Phase, ...]:
    """Both phases; a batch has 16384 pixels, or 18432 where the patch is 96."""
    return (
        Phase(steps=STEPS - LAST, batch=BATCH[patch], patch=patch),
        Phase(steps=LAST, batch=BATCH[last_patch], patch=last_patch, loss=last_loss),
    )


BATCH = {32: 16, 64: 4, 96: 2}

FULL = Recipe(
    size="small",
    warm_up=STEPS // 20,
    cool_down=3 * STEPS // 4,
    bfloat16=False,
    validate_every=max(STEPS // 4, 1),
    phases=phases(),
)


def scenes(**changes: Any) -> Recipe:
    return FULL.model_copy(update={"scenes": FULL.scenes.model_copy(update=changes)})


def changed(**changes: Any) -> Recipe:
    return FULL.model_copy(update=changes)


ROWS = {
    "full recipe": FULL,
    "full recipe, second seed": changed(seed=1),
    "no drawn lines and shapes": scenes(drawn=0.0),
    "no second layer": scenes(layered=0.0),
    "no lens blur (`optics`)": scenes(optics=(0.0, 0.0)),
    "no `offset`": scenes(offset=0.0),
    "no dim scenes": scenes(dim=0.0),
    "no sensor noise": scenes(sensor=SensorLimits(noisy=0.0)),
    "with mirrored ends, 0.3": scenes(ends=0.3),
    "absolute loss to the end": changed(phases=phases(last_loss="absolute")),
    "`large` network": changed(size="large"),
    "squared loss all through": changed(
        phases=tuple(phase.model_copy(update={"loss": "squared"}) for phase in phases())
    ),
    "patch 32 all through": changed(phases=phases(32, 32)),
    "patch 64 all through": changed(phases=phases(64, 64)),
    "patch 96 all through": changed(phases=phases(96, 96)),
    "no running mean (`ema`)": changed(ema=0.0),
    "no warm-up, no cool-down": changed(warm_up=0, cool_down=0),
    "full recipe, third seed": changed(seed=2),
    "full recipe, fourth seed": changed(seed=3),
}

KINDS = {
    "usual": Scenes(dim=0.0, sensor=SensorLimits(noisy=0.0)),
    "dim": Scenes(dim=1.0, sensor=SensorLimits(noisy=0.0)),
    "noisy": Scenes(dim=0.0, sensor=SensorLimits(noisy=1.0)),
}
"""Held-out scenes."""

COLUMNS = (*KINDS, "train, whole", "train, mirrored", "test", "NIQE, REDS", "NIQE, car")


def test_what_each_ingredient_is_worth(data_root: Path, tmp_path: Path) -> None:
    folder = Path(os.environ.get("HQGEN_ABLATION", tmp_path))
    pictures = data_root / "caltech101" / "train.zip"
    print(f"\n{STEPS} steps a row\n| training | " + " | ".join(COLUMNS) + " |", flush=True)
    with one_thread():
        for number, (name, recipe) in enumerate(ROWS.items()):
            weights = folder / f"{number:02d}-{STEPS}.pth"
            if not weights.exists():
                train_base(pictures, weights, recipe, observer=SILENT)
            show(name, Base(size=recipe.size, weights=str(weights), device="cpu"), data_root, folder)
        for size in ("large", "small"):
            show(f"shipped `{size}`", Base(size=size, device="cpu"), data_root, folder)


def show(name: str, method: Base, data_root: Path, folder: Path) -> None:
    """Print the row of a network; what was measured before is read again."""
    kept = folder / f"{method.weights_digest()[:16]}.json"
    found = json.loads(kept.read_text()) if kept.exists() else measured(method, data_root)
    kept.write_text(json.dumps(found))
    print(f"| {name} | " + " | ".join(f"{found[column]:.2f}" for column in COLUMNS) + " |", flush=True)


def measured(method: Base, data_root: Path) -> dict[str, float]:
    """PSNR in dB, and NIQE."""
    pictures = load_pictures(data_root / "caltech101" / "train.zip", longest=LONGEST, smallest=SMALLEST)
    held = pictures[::HELD_OUT]
    found = {name: on_scenes(method, SceneMaker(held, kind, 99)) for name, kind in KINDS.items()}
    groups: dict[str, list[float]] = {"train, whole": [], "train, mirrored": [], "test": []}
    judged = []
    for key, sample in real_samples(data_root).items():
        scene = read_sample(*sample)
        image = method.reconstruct(scene.window(*method.span))
        whole = scene.centre >= method.before and scene.centre + method.after < len(scene.spikes)
        group = "test" if key.startswith("test") else "train, whole" if whole else "train, mirrored"
        light = as_brightness(image, "rate", REDS_RATE)
        assert light is not None
        groups[group].append(psnr(light, scene.truth.astype(np.float64)) or np.inf)
        if whole:
            judged.append(to_uint8(image))
    found |= {name: float(np.mean(values)) for name, values in groups.items()}
    niqe = get_scorer("niqe").score
    found["NIQE, REDS"] = float(niqe(np.stack(judged))[0].mean())
    car = open_recording(data_root / "recvidar2019" / "classA" / "car-100kmh.dat", height=250, width=400)
    image = method.reconstruct(car.window(100, *method.span))
    return found | {"NIQE, car": float(niqe(to_uint8(image)[None])[0][0])}


def on_scenes(method: Base, maker: SceneMaker) -> float:
    """Mean PSNR over held-out scenes, where white is 1."""
    batch = maker.batch(0, HELD_OUT_SCENES, 64)
    windows = [Window(PackedSpikes.pack(spikes), method.before) for spikes in batch.spikes]
    images = np.stack([method.reconstruct(window) for window in windows])
    error = ((images - batch.rate) / batch.white[:, None, None]) ** 2
    return float(np.mean(-10 * np.log10(error.mean(axis=(1, 2)))))
