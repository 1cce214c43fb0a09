"""What a machine has for hqgen."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.table import Table

from hqgen.text import byte_size

_PACKAGES = ("hqgen", "numpy", "numba", "zarr", "dask", "distributed", "torch", "torchvision", "pyiqa")


def examine(data_root: Path) -> dict[str, dict[str, Any]]:
    """Versions, machine, data and methods, as plain JSON values; nothing is changed."""
    return {
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES},
        "machine": _machine(),
        "data": _data(data_root),
        "methods": _methods(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _machine() -> dict[str, Any]:
    import torch
    from distributed.system import MEMORY_LIMIT

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "system": platform.platform(terse=True),
        "cores": os.cpu_count(),
        "memory_bytes": MEMORY_LIMIT,
        "free_disk_bytes": shutil.disk_usage(Path.cwd()).free,
        "gpus": gpus,
    }


def _data(data_root: Path) -> dict[str, Any]:
    from hqgen.sources.describe import describe_sources

    found = {row.name: row.samples for row in describe_sources(data_root) if row.samples}
    return {"data_root": str(data_root), "exists": data_root.is_dir(), "samples": found}


def _methods() -> dict[str, Any]:
    from hqgen.files import weights_folder
    from hqgen.methods.registry import every_method

    found = every_method()
    return {
        "available": [item.name for item in found if item.reason is None],
        "unavailable": {item.name: item.reason for item in found if item.reason is not None},
        "weights_folder": str(weights_folder()),
    }


def doctor_view(findings: dict[str, dict[str, Any]]) -> Table:
    """The findings as a table of two columns."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for part, entries in findings.items():
        for name, value in entries.items():
            table.add_row(f"{part}: {name}".replace("_bytes", "").replace("_", " "), _shown(name, value))
    return table


def _shown(name: str, value: Any) -> str:
    if name.endswith("_bytes"):
        return byte_size(value)
    if isinstance(value, dict):
        return "\n".join(f"{key}: {item}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "none"
    return "not installed" if value is None else str(value)
