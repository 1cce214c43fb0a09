"""Videos: windows that slide, against each window alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hqgen.methods.registry import parse_methods
from hqgen.spikes.recording import open_recording
from hqgen.video.images import images

pytestmark = [pytest.mark.bench, pytest.mark.real]

METHODS = ("tfp", "tfp:window=200", "tfi", "tfi:variant=spikeclip", "tfi:variant=paper")


def frames_per_second(function: Callable[[], object], frames: int) -> float:
    """The fastest of some runs: what the machine can do when nothing else wants it."""
    function()
    times = []
    for _ in range(7):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return frames / min(times)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("step", [1, 10])
def test_bench_frames_per_second_of_a_core(name: str, step: int, data_root: Path) -> None:
    """All frames of a 200-frame recording of 250x400, from packed bits to float32 images.

    Time is that of the processor, over all threads, so it is per core. Two cores of an AMD EPYC with AVX2,
    which other work kept busy; two runs. Frames a second of a core, in brackets the ratio to each window
    alone. Every frame: tfp 3,200 (1.6 and 1.9), 200 frames wide 4,000 to 4,200 (3.0 and 3.4), tfi 3,100 to
    6,400 (1.6 and 2.9), spikeclip 2,000 to 4,900 (1.3 and 2.7), paper 1,700 to 4,500 (1.1 and 2.6). Every
    tenth: tfp, where nothing slides, 4,200 to 4,300 (0.6 and 0.9: the threads cost that), 200 wide 4,100 to
    4,900 (2.0 and 2.3), tfi 3,300 to 4,000 (1.0 and 1.1), spikeclip 3,300 to 3,400 (0.9), paper 3,200 to
    4,000 (1.4 and 1.2).
    """
    path = data_root / "recvidar2019/classA/car-100kmh.dat"
    recording = open_recording(path, height=250, width=400)
    (method,) = parse_methods(name)
    frames = range(0, 200, step)

    def slid() -> list[NDArray[np.float32]]:
        return list(images(method, recording, frames, lambda _, image: image))

    def alone() -> list[NDArray[np.float32]]:
        return [method.reconstruct(recording.window(frame, *method.span)) for frame in frames]

    np.testing.assert_array_equal(slid(), alone())
    fast, slow = frames_per_second(slid, len(frames)), frames_per_second(alone, len(frames))
    print(f"\n{name}, every {step}: {fast:,.0f} frames/s a core, ratio to each alone {fast / slow:.2f}")
