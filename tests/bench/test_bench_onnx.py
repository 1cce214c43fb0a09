"""ONNX Runtime beside PyTorch on the CPU: deviation and latency of LRN and UNet, in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest
import torch

from spikeclip.networks import build, describe
from spikeclip.networks.onnx_file import OnnxNetwork, export_onnx

pytestmark = [pytest.mark.bench, pytest.mark.slow]


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


@pytest.mark.parametrize(("name", "height", "width", "runs"), [("lrn", 250, 400, 11), ("unet", 224, 224, 5)])
def test_latency_and_deviation(name: str, height: int, width: int, runs: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build(name).eval()
    started = time.perf_counter()
    export_onnx(tmp_path / "a.onnx", network, {**describe(network), "meta": {}})
    exported = time.perf_counter() - started
    runnable = OnnxNetwork(tmp_path / "a.onnx")
    voxel = torch.randint(0, 5, (1, 50, height, width)).float()
    with torch.no_grad():
        expected = network(voxel)
        deviation = float((expected - runnable(voxel)).abs().max())
        # In turns, so that other work on the machine slows down both.
        pairs = [(seconds(lambda: network(voxel)), seconds(lambda: runnable(voxel))) for _ in range(runs)]
    torch_time, onnx_time = (median(times) for times in zip(*pairs, strict=True))
    print(
        f"\n{name} {height}x{width}, {torch.get_num_threads()} threads: PyTorch {1000 * torch_time:.0f} ms, "
        f"ONNX Runtime {1000 * onnx_time:.0f} ms, ratio {onnx_time / torch_time:.2f}; largest deviation "
        f"{deviation:.1e} of {float(expected.abs().max()):.2f}; exported in {exported:.1f} s"
    )
    assert deviation < 1e-5 * float(expected.abs().max())
