"""Speed of the judges against pyiqa's on one thread."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from hqgen.quality import get_scorer

pytestmark = pytest.mark.bench

COUNT = 16


def milliseconds(run: Callable[[], object], pictures: int) -> float:
    """Processor time per picture: the shortest of ten runs after one that also compiles."""
    run()
    times = []
    for _ in range(10):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times) / pictures * 1e3


# pyiqa's IL-NIQE takes 18 s per picture, hqgen's 0.6 s: measured once, see docs/judges.md.
@pytest.mark.parametrize("name", ["niqe", "brisque", "piqe"])
def test_a_judge_against_pyiqa_on_one_thread(name: str) -> None:
    pytest.importorskip("pyiqa", reason="pyiqa is not installed")
    import torch

    images = np.random.default_rng(0).integers(0, 256, (COUNT, 250, 400), np.uint8)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        theirs = milliseconds(lambda: get_scorer(f"pyiqa-{name}").score(images[:2]), 2)
    finally:
        torch.set_num_threads(threads)
    ours = milliseconds(lambda: get_scorer(name).score(images), COUNT)
    print(f"\n{name}: pyiqa {theirs:.2f} ms, hqgen {ours:.2f} ms: {theirs / ours:.1f} times faster")
