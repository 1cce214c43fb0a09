"""Batches for the training of SpikeCLIP, against the plain way from compressed files."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hqgen.spikes.packed import PackedSpikes
from hqgen.training.loop import drawn_ahead
from spikeclip.data import voxels
from spikeclip.data.batches import Batches, BatchMaker
from spikeclip.data.lowlight import LowLightSet
from spikeclip.data.prepare import prepare
from spikeclip.data.settings import SimulateSettings
from spikeclip.data.simulated import simulate_low_light
from spikeclip.data.voxels import centre_crop, tfi_packed, voxelize_packed
from tests.bench.test_bench_spikes import seconds

SAMPLES, SIZE, CROP = 48, 8, 224

pytestmark = [pytest.mark.bench, pytest.mark.real]


@pytest.fixture
def folder(data_root: Path, tmp_path: Path) -> Path:
    """The real recording, as often as a small training set has samples."""
    path = tmp_path / "u-caltech"
    path.mkdir()
    for number in range(SAMPLES):
        shutil.copy(data_root / "u-caltech/helicopter_04144.npz", path / f"{number:04d}.npz")
    return path


class PlainSamples(Dataset[tuple[Tensor, Tensor, int]]):
    """As the published evaluation code reads its files: decompress, crop, sum, and TFI frame by frame."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.glob("*.npz"))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        content = np.load(self.files[index])
        spikes = torch.from_numpy(content["spk"])[:, 13:237, 13:237]
        return plain_voxel(spikes), plain_tfi(spikes), int(content["label"])


def plain_voxel(spikes: Tensor) -> Tensor:
    return spikes.float().reshape(50, 4, *spikes.shape[1:]).sum(dim=1)


def plain_tfi(spikes: Tensor) -> Tensor:
    left, right = torch.full(spikes.shape[1:], 51), torch.full(spikes.shape[1:], 149)
    for frame in range(52, 101):
        left[spikes[frame] > 0] = frame
    for frame in range(149, 100, -1):
        right[spikes[frame] > 0] = frame
    return (1 / (right - left).float())[None]


class Pace(NamedTuple):
    """Samples a second on the clock, and what a sample costs in milliseconds of a core."""

    rate: float
    cost: float

    def __str__(self) -> str:
        return f"{self.rate:.0f} samples/s, {self.cost:.1f} ms of a core each"


def pace(batches: Iterator[object], count: int) -> Pace:
    """Of all batches but the first, which opens files and starts threads."""
    next(batches)
    clock, work = time.perf_counter(), time.process_time()
    for _ in batches:
        pass
    clock, work = time.perf_counter() - clock, time.process_time() - work
    return Pace((count - SIZE) / clock, 1e3 * work / (count - SIZE))


def test_bench_batches(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Voxel and coarse target of 224x224 pixels, in batches of 8.

    Measured on 2 cores of an AMD EPYC with AVX-512, nothing else going on: a sample from .npz files costs
    56 ms of a core, from packed bits in memory 3.9 ms (ratio 14), from the disk 6.3 ms (ratio 9); on the
    clock 18 samples a second against 260 and 176. The network needs 115 ms a sample.
    """
    torch.set_num_threads(1)
    low_light = prepare(folder, tmp_path / "low.zarr")
    check_equal(low_light, folder)
    plain = pace(iter(DataLoader(PlainSamples(folder), SIZE, shuffle=True)), SAMPLES)
    print(f"\n.npz files, one process: {plain}")
    for name, fits in (("packed bits in memory", True), ("packed bits on the disk", False)):
        monkeypatch.setattr("spikeclip.data.lowlight._free_memory", lambda _, fits=fits: 2**40 if fits else 0)
        split = low_light.split("train").select(range(SAMPLES))
        made = Batches(BatchMaker(split, SIZE, crop=CROP, target="tfi"), seed=0, stage="coarse")
        ours = pace(drawn_ahead(made.batch, 0, 4 * made.steps_per_epoch), 4 * SAMPLES)
        print(f"  {name}: {ours}, ratio {ours.rate / plain.rate:.0f}, {plain.cost / ours.cost:.0f}")


def check_equal(low_light: LowLightSet, folder: Path) -> None:
    batch = next(BatchMaker(low_light.split("train"), 1, crop=CROP, target="tfi").in_order())
    voxel, target, label = PlainSamples(folder)[0]
    assert batch.target is not None
    assert torch.equal(batch.voxel[0], voxel)
    assert torch.allclose(batch.target[0], target)
    assert int(batch.label) == label


def test_bench_voxel(data_root: Path) -> None:
    """Packed bits of one sample of 250x250 pixels to voxel and target, against unpacking and plain torch.

    Measured as above: voxel 1.1 ms, 22 times as fast as plain; target 0.19 ms, 52 times. Bit planes in
    PyTorch, which are for GPUs, take 6.7 and 1.2 ms on a CPU; no GPU was at hand.
    """
    torch.set_num_threads(1)
    frames = np.load(data_root / "u-caltech/helicopter_04144.npz")["spk"]
    packed = torch.from_numpy(PackedSpikes.pack(frames).data)[None]

    def unpacked() -> Tensor:
        bits = np.unpackbits(packed[0].numpy(), axis=1, count=250 * 250, bitorder="little")
        return torch.from_numpy(bits.reshape(200, 250, 250))[:, 13:237, 13:237]

    area = centre_crop(250, 250, CROP)
    voxel, target = voxelize_packed(packed, 250, 250, 50, CROP), tfi_packed(packed, 250, 250, CROP)
    assert torch.equal(voxel[0], plain_voxel(unpacked()))
    assert torch.allclose(target[0], plain_tfi(unpacked()))
    ways = {
        "voxel": (
            lambda: voxelize_packed(packed, 250, 250, 50, CROP),
            lambda: voxels._count_on_device(packed, 250, 250, 50, area),
            lambda: plain_voxel(unpacked()),
        ),
        "target": (
            lambda: tfi_packed(packed, 250, 250, CROP),
            lambda: voxels._invert_on_device(packed[:, 52:150], 250, 250, area),
            lambda: plain_tfi(unpacked()),
        ),
    }
    for name, (kernel, planes, plain) in ways.items():
        ours, theirs = seconds(kernel, 30), seconds(plain, 5)
        print(f"\n{name}: ours {ours * 1e3:.2f} ms, plain {theirs * 1e3:.1f} ms, ratio {theirs / ours:.0f}")
        print(f"  the way of a GPU, run on the CPU: {seconds(planes, 5) * 1e3:.1f} ms")


def test_bench_simulate(data_root: Path, tmp_path: Path) -> None:
    """Recordings of 200 frames of 208x208 pixels simulated from CIFAR-10 and written.

    Measured as above: 139 ms of a core a sample, so that 1,200 take a minute and a half of two cores. Two
    thirds are the readout noise.
    """
    wall, work = time.perf_counter(), time.process_time()
    settings = SimulateSettings(train=4, test=0, height=208, width=208)
    simulate_low_light(data_root / "cifar10", tmp_path / "low.zarr", settings)
    wall, work = (time.perf_counter() - wall) / 40, (time.process_time() - work) / 40
    print(f"\nsimulated: {wall * 1e3:.0f} ms a sample, {work * 1e3:.0f} ms of a core")
    print(f"  1,200 samples: {1200 * wall / 60:.1f} minutes")
