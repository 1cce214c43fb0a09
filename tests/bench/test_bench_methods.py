"""Speed of the model-based methods against the same formulas on unpacked frames.

`pytest -m bench -s tests/bench/test_bench_methods.py`; 250x400, random spikes at a rate of 0.3, on 2
cores of an AMD EPYC with AVX-512 shared with other work: TFP 0.4 ms (4 times as fast), TFI 0.8 ms (14), TFSTP
41 ms (5). MTFP is measured on a moving picture, in processor time.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hqgen.methods.mtfp import MTFP
from hqgen.methods.tfi import TFI
from hqgen.methods.tfp import TFP
from hqgen.methods.tfstp import TFSTP
from hqgen.simulation.camera import Sensor, simulate
from hqgen.simulation.motion import Motion, moving_picture
from hqgen.spikes.packed import PackedSpikes, Window

pytestmark = pytest.mark.bench


def seconds(run: Callable[[], object]) -> float:
    """Median of ten runs after one that compiles."""
    run()
    times = []
    for _ in range(10):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def mean_of_frames(window: Window) -> NDArray[np.float64]:
    frames = window.spikes.frames()
    mean: NDArray[np.float64] = frames.mean(axis=0)
    return mean


def intervals_by_argmax(window: Window) -> NDArray[np.float64]:
    frames = window.spikes.frames()
    before, after = frames[window.centre :: -1], frames[window.centre + 1 :]
    interval = before.argmax(axis=0) + after.argmax(axis=0) + 1
    rate: NDArray[np.float64] = np.where(before.any(axis=0) & after.any(axis=0), 1 / interval, 0.025)
    return rate


def plasticity_frame_by_frame(window: Window) -> NDArray[np.float64]:
    """The recursion with whole arrays and a mask, as the published code runs it."""
    frames = window.spikes.frames()[: window.centre + 1].astype(bool)
    R, u = np.ones(frames.shape[1:]), np.full(frames.shape[1:], 0.15)
    last = np.full(frames.shape[1:], -1)
    for index, frame in enumerate(frames):
        update = frame & (last >= 0)
        interval = index - last
        R = np.where(update, 1 - (1 - R * (1 - u)) * np.exp(-interval), R)
        u = np.where(update, 0.15 + (u + 0.15 * (1 - u) - 0.15) * np.exp(-interval / 10), u)
        last[frame] = index
    state: NDArray[np.float64] = R + u
    return state


def test_methods_against_unpacked_frames() -> None:
    frames = np.random.default_rng(0).random((201, 250, 400)) < 0.3
    window = Window(PackedSpikes.pack(frames), 100)
    near = window.around(20, 20)
    for method, reference, shown in (
        (TFP(), mean_of_frames, near),
        (TFI(), intervals_by_argmax, near),
        (TFSTP("published"), plasticity_frame_by_frame, window),
        (TFSTP(), plasticity_frame_by_frame, window),
    ):
        ours = seconds(lambda method=method, shown=shown: method.reconstruct(shown))  # type: ignore[misc]
        theirs = seconds(lambda reference=reference, shown=shown: reference(shown))  # type: ignore[misc]
        print(f"\n{method}: {ours * 1e3:.2f} ms, unpacked {theirs * 1e3:.1f} ms, {theirs / ours:.0f} times")


def test_mtfp_against_tfp() -> None:
    picture = np.random.default_rng(0).random((100, 160), np.float32)
    scene = moving_picture(picture, 41, 250, 400, Motion(right=0.3, rotation=0.05))
    window = Window(simulate(scene, Sensor(sensitivity=0.6), seed=0), 20)
    times = []
    for method in (MTFP(), TFP()):
        method.reconstruct(window)
        start = time.process_time()
        for _ in range(3):
            method.reconstruct(window)
        times.append((time.process_time() - start) / 3)
    print(f"\n{MTFP()}: {times[0]:.2f} s of one core, {times[0] / times[1]:.0f} times TFP")
