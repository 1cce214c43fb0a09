"""The measurements behind docs/normalisation.md, and the speed of the rule.

`pytest -m bench -s tests/bench/test_bench_normalisation.py` prints the table and says where the pictures are.
`to_uint8` of 250x400: 0.29 ms, 0.4 of one full sort of the pixels (2 cores of an AMD EPYC with AVX-512).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hqgen.methods.base import Method
from hqgen.methods.tfi import TFI
from hqgen.methods.tfp import TFP
from hqgen.methods.tfstp import TFSTP
from hqgen.quality import niqe
from hqgen.quality.normalise import Normalisation, to_uint8
from hqgen.spikes.packed import Window
from hqgen.spikes.recording import open_recording

pytestmark = [pytest.mark.bench, pytest.mark.real]

Array = NDArray[np.float64]
Rule = Callable[[Array], Array]
"""Image of any gain -> what is then clipped to 0..1 and rounded to 255 levels."""

METHODS: dict[str, Method] = {
    "tfp21": TFP(21),
    "tfp41": TFP(41),
    "tfp81": TFP(81),
    "tfi": TFI(),
    "tfi spikeclip": TFI("spikeclip"),
    "tfstp": TFSTP(),
    "tfstp published": TFSTP("published"),
}
PROBED = ("tfp41", "tfstp")
"""Methods of which the sensitivities are measured."""


@dataclass
class Scene:
    """A window of every method, and the ground truth where there is one."""

    name: str
    windows: dict[str, Window]
    truth: Array | None


@dataclass
class Row:
    """What one rule did, one entry a scene and method, except `regret`: one a scene."""

    psnr: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    brightness: list[float] = field(default_factory=list)
    spread: list[float] = field(default_factory=list)
    clipped: list[float] = field(default_factory=list)
    hot: list[float] = field(default_factory=list)
    gain: list[float] = field(default_factory=list)
    regret: list[float] = field(default_factory=list)

    def line(self) -> str:
        mean = {name: float(np.mean(values)) for name, values in vars(self).items()}
        return (
            f"{mean['psnr']:.1f} | {mean['ssim']:.3f} | {mean['brightness']:.2f} | {mean['spread']:.3f} | "
            f"{mean['clipped']:.2%} | {mean['hot']:.1%} | {mean['gain']:.2f} | {mean['regret']:.1f}"
        )


def stretched(low: float, high: float) -> Rule:
    def rule(image: Array) -> Array:
        black, white = np.percentile(image, [low, high])
        stretch: Array = (image - black) / (white - black)
        return stretch

    return rule


def white(percent: float) -> Rule:
    return lambda image: image / np.percentile(image, percent)


def matched(mean: float) -> Rule:
    return lambda image: image * (mean / image.mean())


def blocks(drop: int, level: float = 0.9) -> Rule:
    """The rule of the project in its parts: means of 4x4 blocks less `drop` pixels, 99.5 % to `level`."""

    def rule(image: Array) -> Array:
        rows, columns = image.shape[0] // 4, image.shape[1] // 4
        split = image[: rows * 4, : columns * 4].reshape(rows, 4, columns, 4).swapaxes(1, 2)
        means = np.sort(split.reshape(-1, 16))[:, : 16 - drop].mean(axis=1)
        scaled: Array = image * (level / np.quantile(means, 0.995, method="inverted_cdf"))
        return scaled

    return rule


def curved(rule: Rule) -> Rule:
    return lambda image: np.clip(rule(image), 0, 1) ** (1 / 2.2)


RULES: dict[str, Rule] = {
    "min-max": stretched(0, 100),
    "stretch 1..99 %": stretched(1, 99),
    "gain, maximum": white(100),
    "gain, 99 % of pixels": white(99),
    "gain, 99.9 % of pixels": white(99.9),
    "gain, mean to 0.4": matched(0.4),
    "gain, 99.5 % of blocks": blocks(0, 1.0),
    "gain, 99.5 % of blocks to 0.9": blocks(0),
    "**the same without each block's brightest pixel**": blocks(1),
    "the same with gamma 2.2": curved(blocks(1)),
}


def levels(image: Array) -> NDArray[np.uint8]:
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def read_scenes(data: Path) -> Iterator[Scene]:
    """13 key frames of Spike-REDS with ground truth; three of a real car, one of a real helicopter."""
    places = [(path, 150, path.stem) for path in sorted((data / "spike-reds/test/spike").glob("*.dat"))]
    for path in sorted((data / "spike-reds/train/spike").glob("*.dat")):
        stem = path.stem.removesuffix("21")
        places += [(path, key - 1, f"{stem}{key}") for key in (7, 14, 21, 28, 35)]
    car = data / "recvidar2019/classA/car-100kmh.dat"
    places += [(car, frame, f"car {frame}") for frame in (40, 100, 160)]
    places += [(data / "u-caltech/helicopter_04144.npz", 100, "helicopter")]
    for path, frame, name in places:
        height, width = (250, 400) if path.suffix == ".dat" else (None, None)
        recording = open_recording(path, height=height, width=width)
        windows = {key: recording.window(frame, *method.span) for key, method in METHODS.items()}
        truth = path.parents[1] / "gt" / f"{name}.png"
        yield Scene(name, windows, np.asarray(Image.open(truth)) / 255.0 if truth.is_file() else None)


def psnr(image: Array, truth: Array) -> float:
    return float(-10 * np.log10(np.mean((image - truth) ** 2)))


def measure(rule: Rule, scene: Scene, images: dict[str, Array], row: Row) -> None:
    """Add what `rule` makes of one scene."""
    from skimage.metrics import structural_similarity

    scaled = {name: rule(image) for name, image in images.items()}
    pictures = {name: levels(image) for name, image in scaled.items()}
    for image in scaled.values():
        row.clipped.append(float(np.mean((image > 1) | (image < 0))))
    for name in PROBED:
        hot = images[name].copy()
        hot.flat[np.random.default_rng(0).choice(hot.size, hot.size * 8 // 10_000, replace=False)] = 1
        row.hot.append(abs(levels(rule(hot)).mean() / pictures[name].mean() - 1))
        moved = np.stack([levels(scaled[name] * gain) for gain in (0.9, 1, 1.1)])
        row.gain.append(float(np.ptp(niqe(moved))) / 2)
    means = np.array([picture.mean() for picture in pictures.values()])
    row.spread.append(float(means.std() / means.mean()))
    if scene.truth is None:
        return
    truth = scene.truth
    for picture in pictures.values():
        row.psnr.append(psnr(picture / 255, truth))
        row.ssim.append(float(structural_similarity(picture / 255, truth, data_range=1.0)))
        row.brightness.append(float(picture.mean() / 255 / truth.mean()))
    # What was picked is judged by the raw image at its best gain: the same yardstick for all rules.
    best = [psnr(image * float((image * truth).sum() / (image**2).sum()), truth) for image in images.values()]
    picked = int(np.argmin(niqe(np.stack(list(pictures.values())))))
    row.regret.append(max(best) - best[picked])


def reconstruct(scene: Scene) -> dict[str, Array]:
    return {
        name: method.reconstruct(scene.windows[name]).astype(np.float64) for name, method in METHODS.items()
    }


def test_rules_compared(data_root: Path) -> None:
    rows = {name: Row() for name in RULES}
    for scene in read_scenes(data_root):
        images = reconstruct(scene)
        for name, rule in RULES.items():
            measure(rule, scene, images, rows[name])
    print("\n| rule | PSNR | SSIM | brightness | spread | clipped | hot | NIQE, gain | regret |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | {row.line()} |")


def test_the_rule_measured_is_the_rule_used(data_root: Path) -> None:
    for scene in read_scenes(data_root):
        image = METHODS["tfi"].reconstruct(scene.windows["tfi"])
        difference = to_uint8(image).astype(int) - levels(blocks(1)(image.astype(np.float64)))
        assert np.abs(difference).max() <= 1


def test_pictures(data_root: Path, tmp_path: Path) -> None:
    """Rows: rules; columns: ground truth where there is one, TFP, TFI, TFSTP; the middle 200 columns."""
    scenes = {scene.name: scene for scene in read_scenes(data_root)}
    shown = ("min-max", "gain, 99 % of pixels", "**the same without each block's brightest pixel**")
    for name in ("200_part3_key_id151", "helicopter"):
        images = reconstruct(scenes[name])
        sheet = []
        for rule in shown:
            line = [levels(RULES[rule](images[method])) for method in ("tfp41", "tfi spikeclip", "tfstp")]
            truth = scenes[name].truth
            columns = line if truth is None else [levels(truth), *line]
            left = columns[0].shape[1] // 2 - 100
            sheet.append(np.hstack([picture[:, left : left + 200] for picture in columns]))
        path = tmp_path / f"normalisation-{name.partition('_')[0]}.png"
        Image.fromarray(np.vstack(sheet)).save(path, optimize=True)
        print(path)


def test_speed(data_root: Path) -> None:
    image = METHODS["tfi"].reconstruct(next(read_scenes(data_root)).windows["tfi"])

    def seconds(run: Callable[[], object]) -> float:
        times = []
        for _ in range(50):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        return float(np.median(times))

    ours, sort = seconds(lambda: to_uint8(image, Normalisation())), seconds(lambda: np.sort(image, axis=None))
    print(f"\nto_uint8 {ours * 1e3:.2f} ms, {ours / sort:.2f} of a full sort ({sort * 1e3:.2f} ms)")
