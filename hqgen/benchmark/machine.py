"""What a benchmark ran on: versions of software, processor, memory, GPU; no names of machines, no paths."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from hqgen.benchmark.results import Machine

PACKAGES = ("hqgen", "numpy", "scipy", "scikit-image", "numba", "torch", "torchvision", "pillow")
"""Packages whose version may decide a number."""


def software() -> dict[str, str]:
    """Versions by name."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def machine(device: str) -> Machine:
    """The hardware.

    Args:
        device: `cpu`, `cuda` or `cuda:N`: where networks run.
    """
    import torch

    return Machine(
        system=platform.system(),
        processor=_processor(),
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        device=device,
        gpu=None if device == "cpu" else torch.cuda.get_device_name(device),
    )


def _processor() -> str:
    """Its name; on Linux `platform` knows only the architecture."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()
