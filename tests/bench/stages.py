"""Trainings of some steps to measure: recordings, HQ store and CLIP for them, and the pace of each stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from hqgen.builder.run import build
from hqgen.builder.settings import BuildSettings
from hqgen.progress import Job, Observer
from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.recording import write_dat
from hqgen.training.hardware import hardware
from spikeclip.clip.files import build_clip, published_config, save_clip
from spikeclip.data.prepare import prepare
from spikeclip.evaluation.cost import time_runs
from spikeclip.networks import build as build_network
from spikeclip.training.run import train
from spikeclip.training.settings import STAGES, train_settings
from tests.builder.small import Recorder

SIDE, FRAMES, CROP, BINS = 250, 200, 224, 50
CLASSES = ("frog", "horse", "dog", "truck")
PAPER = {"coarse": 5, "prompt": 1, "fine": 19}
"""Epochs of the paper's stages."""
PAPER_SAMPLES = 5000
"""Samples of the training set of U-CALTECH."""


def write_recordings(folder: Path, count: int, side: int = SIDE) -> None:
    folder.joinpath("train").mkdir(parents=True)
    (folder / "source.toml").write_text(
        f"labels = {list(CLASSES)}\n"
        '[key_frames]\nrule = "centre"\n[[layout]]\nsplit = "train"\nrecordings = ["train/*"]\n'
    )

    def write(number: int) -> None:
        rng = np.random.default_rng(number)
        spikes = (rng.random((FRAMES, side, side), np.float32) < 0.031).astype(np.uint8)
        np.savez_compressed(folder / f"train/{number:04d}.npz", spk=spikes, label=number % len(CLASSES))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(count)))


def hq_store(root: Path) -> Path:
    recordings = root / "hq"
    recordings.mkdir()
    (recordings / "source.toml").write_text("geometry = [240, 240]\n")
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:240, :240]
    for number in range(8):
        rate = 0.3 + 0.2 * np.sin(y / (5 + number)) * np.cos(x / 7)
        write_dat(recordings / f"{number}.dat", PackedSpikes.pack(rng.random((50, 240, 240)) < rate))
    settings = BuildSettings(
        sources=(f"folder:{recordings}",), data_root=root, out=root / "out", methods="tfp", scheduler="sync"
    )
    build(settings, Recorder())
    return root / "out" / "hq.zarr"


def clip_file(root: Path, config: dict[str, Any] | None = None) -> Path:
    """ViT-B/32 of the paper or another one, with random weights: its time does not depend on them."""
    torch.manual_seed(0)
    config = config or published_config("ViT-B-32")
    save_clip(root / "clip.pth", build_clip(config, {}), config, meta={})
    return root / "clip.pth"


@dataclass(frozen=True)
class Load:
    """What a training is given to do.

    Attributes:
        batch: samples of a step.
        epochs: of each stage.
        every: steps between two looks at the clock.
        crop: side of what the network is given.
        compiles: whether networks are compiled; None as a user gets it.
    """

    batch: int
    epochs: int = 1
    every: int = 2
    crop: int = CROP
    compiles: bool | None = None


@dataclass
class Pace:
    """The times of one stage.

    Attributes:
        began: when the stage began.
        looks: step, time and whether an epoch ended there, of each point of the learning curve.
    """

    began: float
    looks: list[tuple[int, float, bool]] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """How many there were."""
        return self.looks[-1][0]

    @property
    def first(self) -> float:
        """Seconds until the first look: loading and compiling."""
        return self.looks[0][1] - self.began

    @property
    def step(self) -> float:
        """Seconds of a step: the median of the ways between two looks within an epoch."""
        return median(seconds / steps for steps, seconds, ends in self._ways() if not ends)

    @property
    def end(self) -> float:
        """Seconds that the end of an epoch takes on top: held-out samples and checkpoint; median."""
        return max(
            0.0, median([seconds - steps * self.step for steps, seconds, ends in self._ways() if ends])
        )

    def _ways(self) -> list[tuple[int, float, bool]]:
        """Steps and seconds from one look to the next, and whether an epoch ended there."""
        return [(b[0] - a[0], b[1] - a[1], b[2]) for a, b in pairwise(self.looks)]


class Stopwatch(Observer):
    """Takes the time of each point of a learning curve."""

    def __init__(self) -> None:
        self.paces: dict[str, Pace] = {}

    @contextmanager
    def progress(self, what: str, total: int, unit: str, done: int = 0) -> Iterator[Job]:
        pace = self.paces.setdefault(what, Pace(time.perf_counter()))

        class Timed(Job):
            step = done

            def advance(self, amount: int = 1) -> None:
                self.step += amount

            def tell(self, text: str, *, landmark: bool = False) -> None:
                pace.looks.append((self.step, time.perf_counter(), landmark))

        yield Timed()


def paces(folder: Path, clip: Path, store: Path, device: str, load: Load) -> dict[str, Pace]:
    """Train all stages on the recordings of `folder`, and see how fast each was."""
    values: dict[str, Any] = {
        "crop": load.crop,
        "device": device,
        "compile": load.compiles,
        "validation": 4,
        "log_every": load.every,
        "checkpoint_every": 1e6,
        "clip": {"model": "small", "weights": str(clip)},
        **{name: {"epochs": load.epochs, "batch": load.batch} for name in STAGES},
    }
    seen = Stopwatch()
    low_light = prepare(folder, folder.parent / "low.zarr")
    train([store], low_light, train_settings(values), folder.parent / "run", observer=seen)
    return {name: seen.paces[name] for name in STAGES}


def paper_hours(rates: dict[str, float]) -> float:
    """Hours of the paper's 25 epochs, from samples a second of each stage."""
    return sum(PAPER_SAMPLES * epochs / rates[name] for name, epochs in PAPER.items()) / 3600


def plain_lrn() -> nn.Module:
    """LRN as a script would write it from the paper."""
    widths = (BINS, 64, 128, 64, 16)
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(widths):
        layers += [nn.Conv2d(wide, narrow, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 3, padding=1))


def lrn_seconds(
    device: str, size: tuple[int, int], runs: int = 20, compiles: bool | None = None
) -> tuple[float, float]:
    """Mean seconds of one picture: LRN as the training runs it, and eager float32."""
    voxel = torch.randint(0, 5, (1, BINS, *size), device=device).float()
    plain = plain_lrn().to(device)
    cudnn = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
    with torch.no_grad(), cudnn:
        slow = mean_seconds(lambda: plain(voxel), device, runs)
    with hardware(device, compiles=compiles) as place, torch.no_grad():
        network = place.compiled(place.place(build_network("lrn").eval()))
        ours_in = voxel.contiguous(memory_format=torch.channels_last)

        def ours() -> None:
            with place.autocast():
                network(ours_in)

        return mean_seconds(ours, device, runs), slow


def mean_seconds(call: Callable[[], object], device: str, runs: int) -> float:
    """By the events of the device on a GPU, after a warm-up."""
    call()  # which may compile for longer than the warm-up lasts
    times: Sequence[float] = time_runs(call, device, runs, patience=30)
    return sum(times) / len(times)
