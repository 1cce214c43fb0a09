"""Speed of NIQE against pyiqa's on one thread, and over two threads.

Measured on 2 cores of an AMD EPYC with AVX-512, 250x400 uint8: pyiqa 0.1.16 25 to 27 ms of processor time,
hqgen 0.53 to 0.56 ms each, 45 to 50 times faster in seven runs. Two threads gave 1.7 and 1.8 times as many
while nothing else ran, and 0.7 to 1.3 times as many where other work kept one of the cores busy.
A cold start, compilation included, takes 4 to 6 s.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from hqgen.quality import get_scorer, niqe

pytestmark = pytest.mark.bench

COUNT = 32


def seconds(run: Callable[[], object], clock: Callable[[], float]) -> float:
    """Shortest of ten runs after one that also compiles."""
    run()
    times = []
    for _ in range(10):
        start = clock()
        run()
        times.append(clock() - start)
    return min(times)


def test_niqe_against_pyiqa_on_one_thread() -> None:
    pytest.importorskip("pyiqa", reason="pyiqa is not installed")
    import torch

    images = np.random.default_rng(0).integers(0, 256, (COUNT, 250, 400), np.uint8)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        oracle = get_scorer("pyiqa-niqe")
        theirs = seconds(lambda: oracle.score(images[:4]), time.process_time) / 4
    finally:
        torch.set_num_threads(threads)
    ours = seconds(lambda: niqe(images), time.process_time) / COUNT
    print(
        f"\npyiqa {theirs * 1e3:.2f} ms an image, hqgen {ours * 1e3:.3f} ms: {theirs / ours:.1f} times faster"
    )


def test_niqe_over_two_threads() -> None:
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 250, 400), np.uint8)
    one = seconds(lambda: niqe(images, threads=1), time.perf_counter)
    two = seconds(lambda: niqe(images, threads=2), time.perf_counter)
    print(
        f"\n1 thread {COUNT / one:.0f} images/s, 2 threads {COUNT / two:.0f} images/s: {one / two:.2f} times"
    )
