"""Speed of the compiled solver of `variational` against the same iteration in PyTorch.

`pytest -m bench -s tests/bench/test_bench_variational.py`; 250x400 pixels, 41 frames, random spikes at a rate
of 0.3, processor time on one core.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from hqgen.devices import one_thread
from hqgen.methods import variational_kernels, variational_torch
from hqgen.methods.variational import Variational
from hqgen.methods.variational_links import at_rest
from hqgen.methods.variational_model import Problem
from hqgen.spikes.packed import PackedSpikes, Window

pytestmark = pytest.mark.bench


def seconds(run: Callable[[], object], repeats: int) -> float:
    """Least processor time of some runs after one that compiles."""
    run()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def test_the_compiled_solver_against_torch() -> None:
    spikes = (np.random.default_rng(0).random((250, 41, 400)) < 0.3).astype(np.uint8)
    problem, iterations, links = Problem(), 5, at_rest(250, 400, Problem().time)
    begin = variational_kernels.start(spikes)
    ours = seconds(lambda: variational_kernels.iterate(begin, spikes, links, problem, iterations), 5)
    with one_thread():
        plain = seconds(
            lambda: variational_torch.iterate(begin, spikes, links, problem, iterations, "cpu"), 2
        )
    print(f"\n{iterations} iterations: {ours:.2f} s, PyTorch {plain:.2f} s, {plain / ours:.1f} times")
    window = Window(PackedSpikes.pack(spikes.transpose(1, 0, 2)), 20)
    print(f"a key frame of 250x400: {seconds(lambda: Variational().reconstruct(window), 3):.2f} s")
