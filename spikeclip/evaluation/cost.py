"""What a network or a method costs: parameters, multiply-accumulates and latency of one picture."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import UnknownNameError
from hqgen.methods.base import Method
from hqgen.methods.registry import method_names, parse_method
from hqgen.spikes.packed import PackedSpikes, Window
from spikeclip.data.voxels import FRAMES_PER_BIN

if TYPE_CHECKING:
    from torch import nn

RATE = 0.1
"""Spikes per pixel and frame in the stream that methods are timed on. Every method takes this rate."""


@dataclass(frozen=True)
class Profile:
    """The cost of one picture.

    Attributes:
        name: of the network or method.
        parameters: learned numbers; 0 for a model-based method.
        macs: multiply-accumulates of convolutions, linear layers and matrix products; 0 for such a method.
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
        height: rows of the picture, 1 or more.
        width: columns, 1 or more.
        device: auto, cpu or cuda.
        runs: how many runs are timed, 1 or more.
        patience: seconds after which no further run is timed, for networks that take seconds on a CPU.

    Raises:
        UnknownNameError: no network and no method has that name.
        UsageError: the method does not have such a parameter, or not with this value.
        MethodError: there is no such device, or the method cannot take pictures of this size.
    """
    from torch.utils.flop_counter import FlopCounterMode

    from hqgen.devices import exact_arithmetic, resolve_device

    name, parameters, place, call = _call(_found(what), height, width, resolve_device(device))
    counter = FlopCounterMode(display=False, custom_mapping=_deformable())
    with exact_arithmetic():
        with counter:
            call()
        times = time_runs(call, place, runs, patience)
    macs, mean = counter.get_total_flops() // 2, 1000 * sum(times) / len(times)
    return Profile(name, parameters, macs, mean, len(times), place, height, width)


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


def _call(
    what: nn.Module | Method, height: int, width: int, device: str
) -> tuple[str, int, str, Callable[[], object]]:
    """Name, parameters, device, and a call that makes one picture, its input lying on the device already."""
    import torch

    from hqgen.methods.learned.network import NetworkMethod

    def spikes(frames: int) -> NDArray[np.uint8]:
        """Random spikes of `RATE`, the same in every run."""
        chance = np.random.default_rng(0).random((frames, height, width), np.float32)
        return (chance < RATE).astype(np.uint8)

    if isinstance(what, Method) and not isinstance(what, NetworkMethod):
        window = Window(PackedSpikes.pack(spikes(sum(what.span) + 1)), what.span[0])
        return what.name, 0, "cpu", partial(what.reconstruct, window)
    if isinstance(what, NetworkMethod):
        network: Any = what.network().eval().requires_grad_(False).to(device)
        frames = spikes(sum(what.span) + 1)
        infer: Callable[..., object] = partial(what.infer, network)
    else:
        network = infer = what.to(device)
        bins = spikes(FRAMES_PER_BIN * network.bins).reshape(-1, FRAMES_PER_BIN, height, width)
        frames = bins.sum(1)
    batch = torch.from_numpy(frames.astype(np.float32))[None].to(device)
    if device == "cuda":
        batch = batch.contiguous(memory_format=torch.channels_last)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return str(what.name), parameters, device, partial(infer, batch)


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


def time_runs(call: Callable[[], object], device: str, runs: int, patience: float) -> list[float]:
    """Seconds of each run that was timed, after some that warm up caches, clocks and compiled kernels."""
    timer = _cuda_timer if device == "cuda" else _cpu_timer
    started = time.perf_counter()
    while time.perf_counter() - started < min(0.5, patience / 10):
        timer(call)
    times = [timer(call)]
    while len(times) < runs and time.perf_counter() - started < patience:
        times.append(timer(call))
    return times


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
