"""What a network or a method costs: parameters, multiply-accumulates and latency of one picture."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from hqgen.errors import UnknownNameError, UsageError
from hqgen.methods.base import Method
from hqgen.methods.registry import method_names, parse_method
from hqgen.spikes.packed import PackedSpikes, Window

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Profile", "profile"]

RATE = 0.1
"""Spikes a pixel and frame of the stream that methods are timed on: one that every method takes."""

FRAMES_PER_BIN = 4


@dataclass(frozen=True)
class Profile:
    """The cost of one picture.

    Attributes:
        name: of the network or method.
        parameters: learned numbers; 0 for a model-based method.
        macs: multiply-accumulates of convolutions, linear layers and matrix products; 0 likewise.
        latency_ms: mean over `runs`, after warm-up.
        runs: how many were timed.
        device: where they ran.
        height: rows of the picture.
        width: columns.
    """

    name: str
    parameters: int
    macs: int
    latency_ms: float
    runs: int
    device: str
    height: int
    width: int


@dataclass(frozen=True)
class _Subject:
    """What is measured: a call that makes one picture, its input lying on the device already."""

    name: str
    parameters: int
    device: str
    call: Callable[[], object]


def profile(
    what: nn.Module | Method | str,
    *,
    height: int = 250,
    width: int = 400,
    device: str = "auto",
    runs: int = 100,
    patience: float = 30.0,
) -> Profile:
    """Measure what one picture costs, as the paper does: at 250x400, the mean of 100 runs.

    A network is timed from voxel to picture and a learned method from frames to picture, both with the input
    on the device already; a model-based method from packed spikes to picture, on the CPU. The arithmetic is
    that of inference everywhere in this project, float32 without TF32. Weights do not matter for the cost: a
    method that has none here is measured with random ones.

    Args:
        what: a network of `spikeclip.networks`, a method of hqgen, or a name of either (`lrn`, `unet`, `tfp`,
            `tfi:variant=spikeclip`).
        height: rows of the picture.
        width: columns.
        device: auto, cpu or cuda.
        runs: how many runs are timed.
        patience: seconds after which no further run is timed, for networks that take seconds on a CPU.

    Raises:
        UnknownNameError: no network and no method has that name.
        UsageError: a size or a number of runs that nothing can be measured with.
        MethodError: there is no such device, or the method cannot take pictures of this size.
    """
    if min(height, width, runs) < 1:
        raise UsageError(f"nothing can be measured with {runs} runs at {height}x{width}")
    from torch.utils.flop_counter import FlopCounterMode

    from hqgen.devices import exact_arithmetic, resolve_device

    subject = _subject(_found(what), height, width, resolve_device(device))
    counter = FlopCounterMode(display=False, custom_mapping=_deformable())
    with exact_arithmetic():
        with counter:
            subject.call()
        latency, timed = _latency(subject, runs, patience)
    macs = counter.get_total_flops() // 2
    return Profile(subject.name, subject.parameters, macs, latency, timed, subject.device, height, width)


def _found(what: nn.Module | Method | str) -> nn.Module | Method:
    if not isinstance(what, str):
        return what
    from spikeclip.networks import NETWORKS, build

    name = what.partition(":")[0]
    if name in NETWORKS:
        return build(what).eval()
    if name not in method_names():
        raise UnknownNameError("network or method", name, (*NETWORKS, *method_names()))
    return parse_method(what)


def _subject(what: nn.Module | Method, height: int, width: int, device: str) -> _Subject:
    from hqgen.methods.learned.network import NetworkMethod

    if isinstance(what, NetworkMethod):
        return _learned(what, height, width, device)
    if isinstance(what, Method):
        window = Window(PackedSpikes.pack(_spikes(sum(what.span) + 1, height, width)), what.span[0])
        return _Subject(what.name, 0, "cpu", lambda: what.reconstruct(window))
    network, bins = what.to(device), int(what.bins)  # type: ignore[arg-type]
    spikes = _spikes(FRAMES_PER_BIN * bins, height, width)
    voxel = _on_device(spikes.reshape(-1, FRAMES_PER_BIN, height, width).sum(1), device)
    return _Subject(str(network.name), _parameters(network), device, lambda: network(voxel))


def _learned(method: Any, height: int, width: int, device: str) -> _Subject:
    """A method of hqgen that is a network."""
    network = method.network().eval().requires_grad_(False).to(device)
    frames = _on_device(_spikes(sum(method.span) + 1, height, width), device)
    return _Subject(method.name, _parameters(network), device, lambda: method.infer(network, frames))


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _spikes(frames: int, height: int, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Random spikes of `RATE`, the same in every run."""
    return (np.random.default_rng(0).random((frames, height, width), np.float32) < RATE).astype(np.uint8)


def _on_device(frames: np.ndarray[Any, Any], device: str) -> Tensor:
    import torch

    batch = torch.from_numpy(frames.astype(np.float32))[None].to(device)
    return batch.contiguous(memory_format=torch.channels_last) if device == "cuda" else batch


def _deformable() -> dict[Any, Callable[..., int]]:
    """How torch's counter, which knows torch's own operations, counts a deformable convolution.

    Two operations a multiply-accumulate, as it counts all; interpolation at the offsets is left out, as it is
    in every table of this field.
    """
    import torch
    import torchvision  # noqa: F401 - registers the operation

    def operations(_image: Any, weight: Any, *_others: Any, out_shape: Any, **_options: Any) -> int:
        return 2 * int(prod(out_shape) * prod(weight[1:]))

    return {torch.ops.torchvision.deform_conv2d: operations}


def _latency(subject: _Subject, runs: int, patience: float) -> tuple[float, int]:
    """Mean milliseconds of a run, and how many were timed."""
    timer = _cuda_timer if subject.device == "cuda" else _cpu_timer
    started = time.perf_counter()
    while time.perf_counter() - started < min(0.5, patience / 10):  # caches, clocks, compiled kernels
        timer(subject.call)
    times = [timer(subject.call)]
    while len(times) < runs and time.perf_counter() - started < patience:
        times.append(timer(subject.call))
    return 1000 * sum(times) / len(times), len(times)


def _cpu_timer(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _cuda_timer(call: Callable[[], object]) -> float:
    import torch

    start: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    end: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    start.record()
    call()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1000
