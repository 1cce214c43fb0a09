"""A small benchmark: two methods over three streams, of which two have ground truth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hqgen.benchmark.results import Benchmark
from hqgen.benchmark.run import benchmark
from hqgen.benchmark.settings import BenchmarkSettings
from hqgen.benchmark.worker import Maker
from hqgen.methods.base import Method
from hqgen.spikes.recording import write_dat
from tests.builder.small import HEIGHT, WIDTH, stream

SOURCE = f"""geometry = [{HEIGHT}, {WIDTH}]
rate_per_brightness = 0.7

[[layout]]
recordings = ["*"]
truth = ["gt/*.png"]

[key_frames]
rule = "key-id"
pattern = '(?P<prefix>.+)_key_id(?P<id>[0-9]+)'
"""


@contextmanager
def worker_in_this_process(method: Method, repeats: int) -> Iterator[Any]:
    """Instead of a process of its own, whose start would be most of the time of a test."""
    maker = Maker(method, repeats)
    yield SimpleNamespace(reconstruct=maker, memory=maker.memory)


def write_lab(folder: Path) -> Path:
    """Three streams, the first two with ground truth: what their pixels fire on average."""
    (folder / "gt").mkdir(parents=True)
    (folder / "source.toml").write_text(SOURCE)
    for seed in range(3):
        write_dat(folder / f"s{seed}_key_id26.dat", stream(seed))
    for seed in range(2):
        brightness = np.clip(stream(seed).frames()[5:46].mean(axis=0) / 0.7, 0, 1)
        grey = np.rint(255 * brightness).astype(np.uint8)
        Image.fromarray(grey).save(folder / "gt" / f"s{seed}_key_id26.png")
    return folder


def settings_for(root: Path, **changes: Any) -> BenchmarkSettings:
    """Settings of a benchmark of `root/lab` that writes to `root/out`."""
    values: dict[str, Any] = {
        "sources": (f"folder:{root / 'lab'}",),
        "methods": "tfp,tfi,tfp:window=11",
        "judges": "niqe",
        "out": root / "out",
    }
    return BenchmarkSettings(**(values | changes))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Methods run in this process."""
    monkeypatch.setattr("hqgen.benchmark.measure.worker", worker_in_this_process)


@pytest.fixture(scope="session")
def measured_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Benchmark]:
    """The folder with `lab` and `out`, and the results; not to be changed."""
    root = tmp_path_factory.mktemp("benchmark")
    write_lab(root / "lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hqgen.benchmark.measure.worker", worker_in_this_process)
        found = benchmark(settings_for(root))
    assert found is not None
    return root, found


@pytest.fixture(scope="session")
def found(measured_once: tuple[Path, Benchmark]) -> Benchmark:
    """The results."""
    return measured_once[1]
