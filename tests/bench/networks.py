"""The ways to run a network of a method, timed against each other on a CPU or a GPU."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hqgen.errors import MethodError
from hqgen.methods.learned.network import NetworkMethod
from hqgen.methods.registry import parse_method
from hqgen.quality import niqe
from hqgen.quality.normalise import to_uint8
from hqgen.spikes.packed import PackedSpikes, Window

REDUCED = {"cpu": ("bf16",), "cuda": ("tf32", "bf16")}

Images = NDArray[np.float32]
Maker = Callable[[list[Window]], Images]


@dataclass(frozen=True)
class Way:
    """One way to run a network on some windows.

    Attributes:
        name: `plain`, `as built`, `tf32` or `bf16`.
        rate: images a second.
        images: what it made; None where it cannot run.
        reason: why it cannot.
    """

    name: str
    rate: float = 0.0
    images: Images | None = None
    reason: str = ""


def network_method(name: str, weights: str | None = None, device: str = "cpu") -> NetworkMethod:
    method = parse_method(name)
    assert isinstance(method, NetworkMethod)
    return replace(method, weights=weights, device=device)


@contextmanager
def precision(name: str, device: str) -> Iterator[None]:
    """Inference in tf32, or where autocast sees fit in bfloat16."""
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    cudnn = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=name == "tf32")
    autocast = torch.autocast(device, torch.bfloat16, enabled=name == "bf16")
    try:
        with torch.inference_mode(), cudnn, autocast:
            yield
    finally:
        torch.set_float32_matmul_precision("highest")


def plain(method: NetworkMethod, network: nn.Module, windows: list[Window]) -> Images:
    """The float32 module, image by image."""
    cudnn = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)  # torch's own default is tf32
    with torch.no_grad(), cudnn:
        return np.concatenate([run(method, network, [window]) for window in windows])


def reduced(method: NetworkMethod, network: nn.Module, name: str, windows: list[Window]) -> Images:
    """All windows at once, channels last, in tf32 or bf16."""
    with precision(name, method.device):
        return run(method, network, windows, torch.channels_last)


def run(
    method: NetworkMethod,
    network: nn.Module,
    windows: list[Window],
    layout: torch.memory_format = torch.contiguous_format,
) -> Images:
    frames = torch.from_numpy(np.stack([window.spikes.frames() for window in windows]))
    spikes = frames.to(method.device).float().contiguous(memory_format=layout)
    return method.infer(network, spikes).float().cpu().numpy()


def as_built(method: NetworkMethod, windows: list[Window]) -> Images:
    images = []
    for image in method.reconstruct_batch(windows):
        if isinstance(image, MethodError):
            raise image
        images.append(image)
    return np.stack(images)


def seconds(make: Maker, windows: list[Window], device: str, least: float = 1) -> tuple[float, Images]:
    """Shortest of the runs of `least` seconds, after one that warms up, and the images."""
    # Of a CPU the time of this process alone counts, as other work may run beside it.
    clock = time.process_time if device == "cpu" else time.perf_counter
    # A GPU chooses its kernels by the size of the batch, so there the whole batch warms up.
    make(windows[:1] if device == "cpu" else windows)
    times: list[float] = []
    while sum(times) < least:
        start = clock()
        images = make(windows)  # it ends with a copy to the host, so it waits for the GPU
        times.append(clock() - start)
    return min(times), images


def ways(method: NetworkMethod, windows: list[Window], least: float = 1) -> Iterator[Way]:
    """Time every way: `plain` and `as built` first, then those of less precision."""
    device = method.device
    network = method.network()
    network.load_state_dict(method.loaded().state_dict())
    network = network.eval().requires_grad_(False).to(device)
    fast = copy.deepcopy(network).to(memory_format=torch.channels_last)
    makers: dict[str, Maker] = {
        "plain": partial(plain, method, network),
        "as built": partial(as_built, method),
    }
    makers |= {name: partial(reduced, method, fast, name) for name in REDUCED[device]}
    for name, make in makers.items():
        try:
            best, images = seconds(make, windows, device, least)
            yield Way(name, len(windows) / best, images)
        except RuntimeError as error:  # an operator that does not know the type, or too little memory
            if name not in REDUCED[device]:
                raise
            yield Way(name, reason=str(error).splitlines()[0][-60:])


def rings(seed: int, size: tuple[int, int], frames: int) -> PackedSpikes:
    """An ideal camera in front of a pattern of firing rates from 0.05 to 0.25 that moves to the right."""
    rows, columns = np.indices(size)
    total = np.random.default_rng(seed).random(size)
    spikes = np.zeros((frames, *size), np.uint8)
    for frame in range(frames):
        total += 0.15 + 0.1 * np.sin(np.hypot(rows - 40, columns - 60 - 0.2 * frame) / 4)
        spikes[frame] = total >= 1
        total -= spikes[frame]
    return PackedSpikes.pack(spikes)


def share_of_range(images: Images, exact: Images) -> float:
    """Largest difference, as a share of the range of the exact images."""
    return float(np.abs(images - exact).max() / np.ptp(exact))


def niqe_change(images: Images, exact: Images) -> float:
    """How far the NIQE of a picture moves at most."""
    scores = [niqe(np.stack([to_uint8(image) for image in made])) for made in (images, exact)]
    return float(np.abs(scores[0] - scores[1]).max())
