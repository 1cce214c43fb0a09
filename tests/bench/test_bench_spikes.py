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
    """All frames decoded in a Python loop, then both methods over unpacked frames of 41, TFI in torch."""
    content = np.frombuffer(path.read_bytes(), np.uint8)
    count = content.size * 8 // (HEIGHT * WIDTH)
    frames = np.zeros((count, HEIGHT, WIDTH), np.uint8)
    pixels = np.arange(HEIGHT * WIDTH)
    for index in range(count):
        row = content[index * HEIGHT * WIDTH // 8 : (index + 1) * HEIGHT * WIDTH // 8]
        bits = row[pixels // 8] >> (pixels % 8).astype(np.uint8) & 1
        frames[index] = np.flipud(bits.reshape(HEIGHT, WIDTH))
    spikes = torch.from_numpy(frames[count // 2 - 20 : count // 2 + 21])
    return spikes.float().mean(dim=0).numpy(), torch_tfi(spikes)


def torch_tfi(spikes: torch.Tensor) -> NDArray[np.float32]:
    left = torch.full((HEIGHT, WIDTH), -1)
    right = torch.full((HEIGHT, WIDTH), -1)
    for step in range(20):
        before, after = spikes[20 - step] == 1, spikes[21 + step] == 1 if step < 20 else None
        left = torch.where((left < 0) & before & (step < 20), 20 - step, left)
        if after is not None:
            right = torch.where((right < 0) & after, 21 + step, right)
    interval = torch.where((left > 0) & (right > 0), right - left, 40)
    return (1 / interval.float()).numpy()


def unpacked_by_numpy(path: Path) -> Images:
    """The best that NumPy offers: one call unpacks the whole file, then as above."""
    bits = np.unpackbits(np.fromfile(path, np.uint8), bitorder="little")
    frames = bits.reshape(-1, HEIGHT, WIDTH)[:, ::-1]
    middle = len(frames) // 2
    spikes = torch.from_numpy(frames[middle - 20 : middle + 21].copy())
    return spikes.float().mean(dim=0).numpy(), torch_tfi(spikes)


def ours(path: Path) -> Images:
    recording = open_recording(path, height=HEIGHT, width=WIDTH)
    return reconstruct("tfp", recording), reconstruct("tfi", recording)


def test_bench_dat_to_images(data_root: Path) -> None:
    """One 301-frame recording, one thread.

    Measured: REPLACE
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
