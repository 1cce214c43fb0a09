"""Each stage of a training, and LRN alone, against a plain script written from the paper's equations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from hqgen.builder.run import build
from hqgen.builder.settings import BuildSettings
from hqgen.progress import Job, Observer
from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.recording import write_dat
from hqgen.store import open_store
from hqgen.training.hardware import hardware
from spikeclip.clip.files import build_clip, published_config, save_clip
from spikeclip.clip.frozen import FrozenClip, class_texts, load_clip
from spikeclip.clip.prompts import LearnedPrompts
from spikeclip.data.prepare import prepare
from spikeclip.networks import build as build_network
from spikeclip.training.run import train
from spikeclip.training.settings import STAGES, train_settings
from tests.builder.small import Recorder

pytestmark = pytest.mark.bench

SIDE, FRAMES, CROP = 250, 200, 224
CLASSES = ("frog", "horse", "dog", "truck")
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")),
]
SAMPLES = {"cpu": 40, "cuda": 1000}
BATCH = {"cpu": 4, "cuda": 16}
SKIPPED, TIMED = {"cpu": 2, "cuda": 20}, {"cpu": 6, "cuda": 30}


def write_recordings(folder: Path, count: int) -> None:
    folder.joinpath("train").mkdir(parents=True)
    (folder / "source.toml").write_text(
        f"labels = {list(CLASSES)}\n"
        '[key_frames]\nrule = "centre"\n[[layout]]\nsplit = "train"\nrecordings = ["train/*"]\n'
    )
    rng = np.random.default_rng(0)
    for number in range(count):
        spikes = (rng.random((FRAMES, SIDE, SIDE), np.float32) < 0.031).astype(np.uint8)
        np.savez_compressed(folder / f"train/{number:04d}.npz", spk=spikes, label=number % len(CLASSES))


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


def clip_file(root: Path) -> Path:
    """ViT-B/32 of the paper; its time does not depend on its weights, which are random here."""
    torch.manual_seed(0)
    config = published_config("ViT-B-32")
    save_clip(root / "clip.pth", build_clip(config, {}), config, meta={})
    return root / "clip.pth"


# The plain script.


class Plain(Dataset[tuple[Tensor, Tensor, int]]):
    """Files -> voxel, TFI and label, on the CPU, sample by sample."""

    def __init__(self, folder: Path, tfi: bool) -> None:
        self.files, self.tfi = sorted(folder.glob("*.npz")), tfi

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        with np.load(self.files[index]) as file:
            spikes, label = file["spk"][:, 13:237, 13:237], int(file["label"])
        voxel = torch.from_numpy(spikes.reshape(50, 4, CROP, CROP).sum(axis=1)).float()
        return voxel, self._tfi(spikes) if self.tfi else voxel[:1], label

    def _tfi(self, spikes: np.ndarray) -> Tensor:
        before, after = spikes[52:101][::-1], spikes[101:150]
        back = np.where(before.any(axis=0), before.argmax(axis=0), 49)
        on = np.where(after.any(axis=0), after.argmax(axis=0) + 1, 49)
        return torch.from_numpy(1 / (back + on).astype(np.float32))[None]


def plain_network() -> nn.Module:
    widths = (50, 64, 128, 64, 16)
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(widths):
        layers += [nn.Conv2d(wide, narrow, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(16, 1, 3, padding=1))


Step = Callable[[Tensor, Tensor, Tensor], Tensor]


def plain_steps(
    network: nn.Module, clip: FrozenClip, images: Tensor, device: str
) -> dict[str, tuple[nn.Module, Step]]:
    """What learns, and the loss of a batch, of each stage."""
    prompts = LearnedPrompts(clip).to(device)
    texts = clip.text_features(class_texts(CLASSES))
    with torch.no_grad():
        learned = prompts(clip)

    def coarse(voxel: Tensor, tfi: Tensor, _labels: Tensor) -> Tensor:
        return functional.l1_loss(network(voxel), tfi)

    def prompt(voxel: Tensor, _tfi: Tensor, _labels: Tensor) -> Tensor:
        with torch.no_grad():
            hq = images[torch.randint(len(images), (len(voxel),))].to(device)
            features = clip.image_features(torch.cat([network(voxel), hq]))
        truth = torch.arange(len(features), device=device) >= len(voxel)
        return functional.cross_entropy(100 * features @ prompts(clip).T, truth.long())

    def fine(voxel: Tensor, _tfi: Tensor, labels: Tensor) -> Tensor:
        features = clip.image_features(network(voxel))
        class_term = functional.cross_entropy(
            features @ texts[labels].T / 0.07, torch.arange(len(labels), device=device)
        )
        probabilities = (100 * features @ learned.T).softmax(1)
        return torch.sub(class_term, probabilities[:, 1].mean(), alpha=100)

    return {"coarse": (network, coarse), "prompt": (prompts, prompt), "fine": (network, fine)}


def plain_rates(folder: Path, clip: FrozenClip, images: Tensor, device: str) -> dict[str, float]:
    """Samples a second of each stage."""
    found = {}
    for stage, (learns, loss_of) in plain_steps(plain_network().to(device), clip, images, device).items():
        loader = DataLoader(
            Plain(folder / "train", stage == "coarse"), BATCH[device], shuffle=True, num_workers=2
        )
        optimizer = torch.optim.Adam(learns.parameters(), 4e-5)
        started = 0.0
        for number, (voxel, tfi, labels) in enumerate(loader):
            loss = loss_of(voxel.to(device), tfi.to(device), labels.to(device))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            loss.item()
            if number + 1 == SKIPPED[device]:
                started = time.perf_counter()
            if number + 1 == SKIPPED[device] + TIMED[device]:
                break
        found[stage] = TIMED[device] * BATCH[device] / (time.perf_counter() - started)
    return found


# Ours.


class Stopwatch(Observer):
    """Takes the time of each point of a learning curve."""

    def __init__(self) -> None:
        self.times: dict[str, dict[int, float]] = {}

    @contextmanager
    def progress(self, what: str, total: int, unit: str, done: int = 0) -> Iterator[Job]:
        times = self.times.setdefault(what, {})

        class Timed(Job):
            step = done

            def advance(self, amount: int = 1) -> None:
                self.step += amount

            def tell(self, text: str, *, landmark: bool = False) -> None:
                times[self.step] = time.perf_counter()

        yield Timed()


def our_rates(folder: Path, clip: Path, store: Path, device: str) -> dict[str, float]:
    stage = {"epochs": 1, "batch": BATCH[device]}
    values: dict[str, Any] = {
        "crop": CROP,
        "device": device,
        "validation": 4,
        "log_every": SKIPPED[device],
        "checkpoint_every": 1e6,
        "clip": {"model": "small", "weights": str(clip)},
        **dict.fromkeys(list[str](STAGES), stage),
    }
    seen = Stopwatch()
    train(
        [store],
        prepare(folder, folder.parent / "low.zarr"),
        train_settings(values),
        folder.parent / "run",
        observer=seen,
    )
    first, last = SKIPPED[device], SKIPPED[device] + TIMED[device]
    last -= last % first
    return {
        name: (last - first) * BATCH[device] / (times[last] - times[first])
        for name, times in seen.times.items()
    }


@pytest.mark.parametrize("device", DEVICES)
def test_bench_stages(device: str, tmp_path: Path) -> None:
    """Streams of 200 frames of 250x250 pixels, crops of 224, LRN, CLIP ViT-B/32.

    Measured on 2 cores of an AMD EPYC with AVX-512 and nothing else running, samples a second against the
    script: coarse 6.13 against 3.01 (ratio 2.0), prompt 4.01 against 3.22 (1.2), fine 2.82 against 1.86
    (1.5). The last two are mostly the time of CLIP's towers. Not measured on a GPU yet.
    """
    write_recordings(tmp_path / "recordings", SAMPLES[device])
    clip, store = clip_file(tmp_path), hq_store(tmp_path)
    pictures = np.concatenate([open_store(store)[name].images[:] for name in open_store(store).sources])
    images = torch.from_numpy(pictures[:, None, :CROP, :CROP]).float() / 255
    plain = plain_rates(tmp_path / "recordings", load_clip("small", clip, device), images, device)
    ours = our_rates(tmp_path / "recordings", clip, store, device)
    for stage in STAGES:
        ratio = ours[stage] / plain[stage]
        print(f"\n{stage}: {ours[stage]:.2f} samples/s, script {plain[stage]:.2f}, ratio {ratio:.2f}", end="")
    for name, rates in (("ours", ours), ("script", plain)):
        hours = 5000 * (5 / rates["coarse"] + 1 / rates["prompt"] + 19 / rates["fine"]) / 3600
        print(f"\n25 epochs of 5,000 samples, {name}: {hours:.2f} h", end="")
    print()


@pytest.mark.parametrize("device", DEVICES)
def test_bench_latency_of_lrn(device: str) -> None:
    """One picture of 250x400 pixels as the training runs the network, against eager float32.

    Measured on the same machine, quiet as well: 88 ms against 205, ratio 2.3. Not on a GPU yet.
    """
    voxel = torch.randint(0, 5, (1, 50, 250, 400), device=device).float()
    plain = plain_network().to(device)
    with hardware(device) as place, torch.no_grad():
        network = place.compiled(place.place(build_network("lrn")))
        ours_in = voxel.contiguous(memory_format=torch.channels_last)

        def ours() -> None:
            with place.autocast():
                network(ours_in)

        fast, slow = latency(ours, device), latency(lambda: plain(voxel), device)
    print(
        f"\nLRN at 250x400 on {device}: {1e3 * fast:.2f} ms, eager float32 {1e3 * slow:.2f} ms, "
        f"ratio {slow / fast:.2f}"
    )


def latency(run: Callable[[], object], device: str, runs: int = 20) -> float:
    """Mean seconds of a run after warm-up."""
    for _ in range(5):
        run()
    wait: Callable[[], None] = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    for _ in range(runs):
        run()
    wait()
    return (time.perf_counter() - start) / runs
