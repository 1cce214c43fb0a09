"""The parts of the check by name: each yields rows of a table as soon as they are measured."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from hqgen.benchmark.machine import machine
from hqgen.checkpoints import write_checkpoint
from hqgen.errors import MethodError
from hqgen.methods.learned.base import Base
from hqgen.methods.learned.bsn import BSN
from hqgen.methods.learned.network import NetworkMethod
from hqgen.methods.learned.scflow import SCFlow
from hqgen.quality.normalise import to_uint8
from hqgen.spikes.packed import Window
from spikeclip.evaluation.cost import profile
from tests.bench.networks import Images, as_built, niqe_change, rings, share_of_range, ways
from tests.bench.stages import (
    PAPER,
    Load,
    clip_file,
    hq_store,
    lrn_seconds,
    paces,
    paper_hours,
    write_recordings,
)
from tests.gpu.rows import Request, Row
from tests.methods.learned.networks import NETWORKS
from tests.spikeclip.tiny_clip import tiny_config

GIGABYTE = 2**30


Rows = Iterator[Row]


def hardware(request: Request) -> Rows:
    """What it runs on."""
    found = machine(request.device)
    cells: dict[str, float | str] = {
        "device": found.gpu or found.processor or "unknown",
        "cores": found.cores,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    if request.device == "cuda":
        about = torch.cuda.get_device_properties(0)
        cells["memory in GiB"] = about.total_memory / GIGABYTE
        cells["capability"] = f"{about.major}.{about.minor}"
        cells["CUDA"] = str(torch.version.cuda)
        cells["cuDNN"] = str(torch.backends.cudnn.version())  # type: ignore[no-untyped-call]
    yield Row("machine", cells)


def parity(request: Request) -> Rows:
    """Pictures of the device against those of the CPU, and of batches against one window at a time.

    A spiking network may turn a last bit into a spike, so a share of the values counts, not the largest
    difference.
    """
    for name, method in methods(request.small):
        windows = windows_for(method, (96, 96), 2 if request.small else 8)
        cpu = as_built(replace(method, device="cpu"), windows[:2])
        on_device = replace(method, device=request.device)
        with batches_of(1):
            single = as_built(on_device, windows)
        cells: dict[str, float | str] = {
            "values off": share_off(single[:2], cpu),
            "largest, of range": share_of_range(single[:2], cpu),
            "pixels of 8 bits that differ": pixels_off(single[:2], cpu),
            "NIQE moves by": niqe_change(single[:2], cpu),
        }
        worst = float(cells["values off"])
        for size in (2,) if request.small else (3, 8):
            with batches_of(size):
                batch = as_built(on_device, windows)
            cells[f"values off in batches of {size}"] = off = share_off(batch, single)
            worst = max(worst, off)
        fault = f"{worst:.2%} of the values are off by more than 0.1 % of the range" if worst > 0.001 else ""
        yield Row(name, cells, fault)


def speed(request: Request) -> Rows:
    """Pictures a second against the eager float32 module, and what tf32 and bfloat16 change in the score."""
    size, count = ((96, 96), 2) if request.small else ((250, 400), 8)
    for name, method in methods(request.small):
        if isinstance(method, SCFlow):  # its picture is made on the CPU, from the network's flow
            continue
        windows = windows_for(method, size, count)
        first, *others = ways(replace(method, device=request.device), windows, 0.1 if request.small else 0.5)
        assert first.images is not None
        cells: dict[str, float | str] = {"weights": "trained" if method.weights is None else "random"}
        cells["eager float32/s"] = first.rate
        for way in others:
            if way.images is None:
                cells[f"{way.name}/s"] = way.reason
                continue
            cells |= {f"{way.name}/s": way.rate, f"{way.name} ratio": way.rate / first.rate}
            if way.name != "as built":
                cells[f"{way.name} NIQE moves by"] = niqe_change(way.images, first.images)
                cells[f"{way.name} of range"] = share_of_range(way.images, first.images)
        yield Row(f"{name} at {size[0]}x{size[1]}", cells)


@dataclass(frozen=True)
class Watched(Base):
    """`base`, which remembers the batches that it was given; on a CPU it imitates a small memory."""

    seen: ClassVar[list[int]] = []
    room: ClassVar[int | None] = None

    def infer(self, network: nn.Module, spikes: Tensor) -> Tensor:
        self.seen.append(len(spikes))
        if self.room is not None and len(spikes) > self.room:
            raise torch.OutOfMemoryError("imitated")
        return super().infer(network, spikes)


def memory(request: Request) -> Rows:
    """A batch too large for the memory is halved until it fits; one window too large is an error."""
    size, count = ((96, 96), 8) if request.small else ((250, 400), 16)
    method = Watched(device=request.device)
    windows = windows_for(method, size, count)
    with batches_of(count):
        expected, need = peak(method, windows)
        _, one = peak(method, windows[:1])
        Watched.seen.clear()
        with only(request.device, (need + one) // 2, room=count // 3):
            halved = as_built(method, windows)
        sizes = "+".join(map(str, Watched.seen))
        off = share_off(halved, expected)
        fault = "the batch was not halved" if len(Watched.seen) < 3 else ""
        fault = fault or ("the pictures are others" if off > 0.001 else "")
        cells: dict[str, float | str] = {
            "whole batch, GiB": need / GIGABYTE,
            "one window, GiB": one / GIGABYTE,
            "batches": sizes,
            "values off": off,
        }
        yield Row("half of the memory", cells, fault)
        try:
            with only(request.device, one // 4, room=0):
                method.reconstruct_batch(windows)
        except MethodError as error:
            yield Row("a quarter of one window", {"error": error.message})
        else:
            yield Row("a quarter of one window", fault="it made a picture")
        yield Row("all of it again", {"values off": share_off(as_built(method, windows), expected)})


def latency(request: Request) -> Rows:
    """One picture of LRN, timed by the events of the device: at the published size and at the crop's."""
    runs = 3 if request.small else 100
    for size in ((64, 64),) if request.small else ((250, 400), (224, 224)):
        exact = profile("lrn", height=size[0], width=size[1], device=request.device, runs=runs)
        fast, eager = lrn_seconds(request.device, size, runs, False if request.small else None)
        cells: dict[str, float | str] = {
            "float32 of evaluation, ms": exact.latency_ms,
            "as trained, ms": 1000 * fast,
            "eager float32, ms": 1000 * eager,
            "ratio": eager / fast,
        }
        yield Row(f"LRN at {size[0]}x{size[1]}", cells)


def training(request: Request) -> Rows:
    """The three stages, compiled, for some hundred steps; from them the time of the paper's epochs."""
    count = 16 if request.small else 240
    load = Load(4, 2, 1, 32, False) if request.small else Load(16, 24, 5, compiles=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_recordings(root / "recordings", count, side=40 if request.small else 250)
        clip = clip_file(root, tiny_config() if request.small else None)
        found = paces(root / "recordings", clip, hq_store(root), request.device, load)
    for stage, pace in found.items():
        cells: dict[str, float | str] = {
            "steps": pace.steps,
            "first steps, s": pace.first,
            "step, ms": 1000 * pace.step,
            "samples/s": load.batch / pace.step,
            "end of an epoch, s": pace.end,
        }
        yield Row(stage, cells)
    hours = paper_hours({stage: load.batch / pace.step for stage, pace in found.items()})
    ends = sum(PAPER[stage] * pace.end for stage, pace in found.items()) / 3600
    yield Row("the paper's 25 epochs of 5,000 samples", {"hours": hours + ends})


# What the parts share.


def methods(small: bool) -> Iterator[tuple[str, NetworkMethod]]:
    """Every network, with its registered weights if there are some, else with random ones."""
    yield "base", Base()
    if small:
        return
    known: dict[str, NetworkMethod] = {name: case.method for name, case in NETWORKS.items()}
    for name, method in (known | {"bsn": BSN(), "scflow": SCFlow()}).items():
        if method.unavailable() is None:
            yield name, method
            continue
        torch.manual_seed(0)
        network = NETWORKS[name].fresh() if name in NETWORKS else method.network()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "random.pth"
            write_checkpoint(file, {"state_dict": network.state_dict()})
            yield name, replace(method, weights=str(file))


def windows_for(method: NetworkMethod, size: tuple[int, int], count: int) -> list[Window]:
    """Windows of as many frames as the method takes."""
    return [Window(rings(seed, size, sum(method.span) + 1), method.span[0]) for seed in range(count)]


@contextmanager
def batches_of(size: int) -> Iterator[None]:
    """Let every network take so many windows at once."""
    with mock.patch.object(NetworkMethod, "batch_on", {"cpu": size, "cuda": size}):
        yield


def share_off(images: Images, exact: Images) -> float:
    """Share of the values that differ by more than a thousandth of the range of the exact ones."""
    return float(np.mean(np.abs(images - exact) > 1e-3 * np.ptp(exact)))


def pixels_off(images: Images, exact: Images) -> float:
    """Share of the pixels of the candidates that differ at all."""
    made, wanted = (np.stack([to_uint8(image) for image in some]) for some in (images, exact))
    return float(np.mean(made != wanted))


def peak(method: NetworkMethod, windows: list[Window]) -> tuple[Images, int]:
    """The pictures, and the bytes of the device that they needed at most; 0 on a CPU."""
    if method.device == "cpu":
        return as_built(method, windows), 0
    method.loaded()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    images = as_built(method, windows)
    return images, torch.cuda.max_memory_reserved()


@contextmanager
def only(device: str, size: int, *, room: int) -> Iterator[None]:
    """Give this process so many bytes of the GPU; on a CPU imitate a memory for `room` windows."""
    if device == "cpu":
        with mock.patch.object(Watched, "room", room):
            yield
        return
    torch.cuda.empty_cache()  # the limit counts what the allocator has kept, too
    torch.cuda.set_per_process_memory_fraction(size / torch.cuda.get_device_properties(0).total_memory)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
