"""From a `.dat` file to TFP and TFI images, against the way the public loader and methods go."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hqgen.methods.api import reconstruct
from hqgen.spikes.recording import open_recording

HEIGHT, WIDTH = 250, 400
Images = tuple[NDArray[np.float32], NDArray[np.float32]]

pytestmark = [pytest.mark.bench, pytest.mark.real]


def seconds(function: Callable[[], object], repeats: int) -> float:
    """The fastest of some runs: what the machine can do when nothing else wants it."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def straightforward(path: Path) -> Images:
    """The whole stream decoded frame by frame in Python, as floats, then both methods over 41 frames."""
    spikes = torch.from_numpy(decoded(path))
    middle = len(spikes) // 2
    return tfp_of(spikes[middle - 20 : middle + 21]), tfi_of(spikes[middle - 20 : middle + 21])


def decoded(path: Path) -> NDArray[np.float32]:
    """As the public toolbox does: a pass of NumPy for each bit of each frame, then float32 throughout."""
    content = np.fromfile(path, np.uint8)
    size = HEIGHT * WIDTH // 8
    frames = []
    for start in range(0, len(content), size):
        bits = [content[start : start + size] >> bit & 1 for bit in range(8)]
        frame = np.stack(bits, axis=1).reshape(HEIGHT, WIDTH)
        frames.append(np.flipud(frame).copy())
    return np.stack(frames).astype(np.float32)


def tfp_of(spikes: torch.Tensor) -> NDArray[np.float32]:
    """Mean of 41 frames (41, H, W)."""
    return spikes.float().mean(dim=0).numpy()


def tfi_of(spikes: torch.Tensor) -> NDArray[np.float32]:
    """1 / interval around the middle one of 41 frames (41, H, W); 1/40 where a side has no spike."""
    left, right = torch.zeros(spikes.shape[1:]), torch.zeros(spikes.shape[1:])
    for step in range(20):
        left = torch.where((left == 0) & (spikes[20 - step] == 1), 20 - step, left)
        right = torch.where((right == 0) & (spikes[21 + step] == 1), 21 + step, right)
    return (1 / torch.where((left > 0) & (right > 0), right - left, 40)).numpy()


def unpacked_by_numpy(path: Path) -> Images:
    """The best that NumPy offers: one call unpacks the whole file, then as above."""
    bits = np.unpackbits(np.fromfile(path, np.uint8), bitorder="little")
    frames = bits.reshape(-1, HEIGHT, WIDTH)[:, ::-1]
    middle = len(frames) // 2
    spikes = torch.from_numpy(frames[middle - 20 : middle + 21].copy())
    return tfp_of(spikes), tfi_of(spikes)


def ours(path: Path) -> Images:
    recording = open_recording(path, height=HEIGHT, width=WIDTH)
    return reconstruct("tfp", recording), reconstruct("tfi", recording)


def test_bench_dat_to_images(data_root: Path) -> None:
    """One 301-frame recording, one thread.

    Measured on one core of an AMD EPYC with AVX-512, nothing else running: ours 0.44 to 0.45 ms; frame by
    frame 48 to 50 ms, 109 to 113 times as long; unpacked whole by NumPy 14 ms, 32 times as long. Half of
    our time is memory that is new to the process: the file's pages and the two images.
    """
    torch.set_num_threads(1)
    path = data_root / "spike-reds/test/spike/200_part1_key_id151.dat"
    for other in (straightforward, unpacked_by_numpy):
        for image, expected in zip(ours(path), other(path), strict=True):
            np.testing.assert_allclose(image, expected, atol=1e-6)
    fast = seconds(lambda: ours(path), 50)
    loop = seconds(lambda: straightforward(path), 3)
    numpy = seconds(lambda: unpacked_by_numpy(path), 5)
    print(f"\n.dat to TFP and TFI: ours {fast * 1e3:.2f} ms")
    print(f"  frame by frame in Python, as public loaders do: {loop * 1e3:.0f} ms, ratio {loop / fast:.0f}")
    print(f"  whole file unpacked by NumPy: {numpy * 1e3:.0f} ms, ratio {numpy / fast:.0f}")
