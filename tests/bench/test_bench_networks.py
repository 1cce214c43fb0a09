"""Speed of the networks in a build against the plain float32 modules, and what less precision costs.

`pytest -m bench -s tests/bench/test_bench_networks.py`, 2 minutes; one thread on 2 cores of an AMD EPYC with
AVX-512 and its bfloat16 instructions, with 1.6 runnable processes a core. Images a second of the plain module
image by image, of the build, and of autocast to bfloat16 in the layout channels last:

    96x96, untrained    plain   build   bf16
    wgse                1.05    1.07    1.92   differs by up to 1.4 % of the output's range
    spk2imgnet          0.384   0.394   -      deform_conv2d has no bfloat16 on a CPU
    ssml, full          2.04    2.04    3.60   0.7 %
    spikeformer         3.73    3.44    7.73   8.6 %
    rsir                3.82    3.79    5.30   2.6 %
    bsf                 0.400   0.422   -      deform_conv2d
    stir                9.11    9.14    15.3   0.6 %

    250x400, trained    plain   build   bf16
    base                4.74    4.70    8.20   NIQE of a picture moves by up to 0.04
    ssml, simple        0.662   0.707   1.09   0.07
    ssir                0.628   0.662   1.15   0.37

So on a CPU a build costs what the module costs, bfloat16 is 1.4 to 2.1 times as fast, and every network whose
score can be told moves by 0.03 to 0.4 in NIQE, enough to change winners: builds stay in float32. On a GPU the
same lines come out for the batches of a build, tf32 and bfloat16; no GPU was at hand.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from hqgen.devices import one_thread
from hqgen.errors import MethodError
from hqgen.methods.learned.network import NetworkMethod
from hqgen.methods.registry import parse_method
from hqgen.quality import niqe
from hqgen.quality.normalise import to_uint8
from hqgen.spikes.packed import PackedSpikes, Window
from hqgen.spikes.recording import open_recording

pytestmark = pytest.mark.bench

UNTRAINED = ("wgse", "spk2imgnet", "ssml:variant=full", "spikeformer", "rsir", "bsf", "stir")
TRAINED = {"base": None, "ssml:variant=simple": "nbsn_83000_simple.pth", "ssir": "SSIR_e80.pth"}
"""Networks whose weights are at hand: those in `shared/weights`, and the shipped ones."""

REDS = ("200_part1_key_id151", "200_part3_key_id151", "203_part1_key_id151")
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=NO_GPU)]
REDUCED = {"cpu": ("bf16",), "cuda": ("tf32", "bf16")}

Images = NDArray[np.float32]
Maker = Callable[[list[Window]], Images]


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
    with torch.no_grad():
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
    images = method.reconstruct_batch(windows)
    return np.stack([image for image in images if not isinstance(image, MethodError)])


def seconds(make: Maker, windows: list[Window], device: str) -> tuple[float, Images]:
    """Shortest of the runs of one second, after one window that warms up, and the images."""
    # Of a CPU the time of this process alone counts, as other work may run beside it.
    clock = time.process_time if device == "cpu" else time.perf_counter
    make(windows[:1])
    times: list[float] = []
    while sum(times) < 1:
        start = clock()
        images = make(windows)
        times.append(clock() - start)
    return min(times), images


def compare(method: NetworkMethod, windows: list[Window], cost: Callable[[Images, Images], str]) -> str:
    """One line: images a second of every path, and the cost of those of less precision."""
    device = method.device
    network = method.network()
    network.load_state_dict(method.loaded().state_dict())
    network = network.eval().requires_grad_(False).to(device)
    slow, exact = seconds(lambda some: plain(method, network, some), windows, device)
    ours, images = seconds(lambda some: as_built(method, some), windows, device)
    np.testing.assert_allclose(images, exact, atol=1e-3 * float(np.ptp(exact)))
    network = network.to(memory_format=torch.channels_last)
    parts = [f"plain {len(windows) / slow:.3g}/s", f"as built {len(windows) / ours:.3g} ({slow / ours:.2f}x)"]
    for name in REDUCED[device]:
        less = partial(reduced, method, network, name)
        try:
            fast, images = seconds(less, windows, device)
            parts.append(f"{name} {len(windows) / fast:.3g} ({slow / fast:.2f}x), {cost(images, exact)}")
        except RuntimeError as error:  # an operator that does not know the type
            parts.append(f"{name} cannot run: {str(error).splitlines()[0][-60:]}")
    return ", ".join(parts)


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


def share_of_range(images: Images, exact: Images) -> str:
    return f"differs by {np.abs(images - exact).max() / np.ptp(exact):.1%} of the range"


def niqe_change(images: Images, exact: Images) -> str:
    scores = [niqe(np.stack([to_uint8(image) for image in made])) for made in (images, exact)]
    return f"NIQE moves by {np.abs(scores[0] - scores[1]).max():.3f}"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", UNTRAINED)
def test_networks_without_trained_weights(name: str, device: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(network_method(name).network().state_dict(), tmp_path / "fresh.pth")
    method = network_method(name, weights=str(tmp_path / "fresh.pth"), device=device)
    frames, count = sum(method.span) + 1, {"cpu": 1, "cuda": 8}[device]
    windows = [Window(rings(seed, (96, 96), frames), method.span[0]) for seed in range(count)]
    with one_thread():
        print(f"\n{name} on {device}, 96x96: {compare(method, windows, share_of_range)}, {load()}")


@pytest.mark.real
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", TRAINED)
def test_networks_with_trained_weights(name: str, device: str, shared: Path) -> None:
    file = TRAINED[name]
    method = network_method(name, weights=str(shared / "weights" / file) if file else None, device=device)
    folder = shared / "data" / "spike-reds" / "test" / "spike"
    recordings = [open_recording(folder / f"{stream}.dat", height=250, width=400) for stream in REDS]
    windows = [recording.window(150, *method.span) for recording in recordings]
    with one_thread():
        print(f"\n{name} on {device}, 250x400: {compare(method, windows, niqe_change)}, {load()}")


def load() -> str:
    """How busy the machine was, in runnable processes a core."""
    return f"load {os.getloadavg()[0] / (os.cpu_count() or 1):.1f} a core"
