"""Imports go one way through the house."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import hqgen

ROOT = Path(hqgen.__file__).parent

# What each room may import of the others; what is not named here is open to all.
MAY_IMPORT = {
    "spikes": set(),
    "sources": {"spikes"},
    "methods": {"spikes"},
    "quality": set(),
    "training": {"spikes", "methods", "quality"},
    "build": {"spikes", "sources", "methods", "quality", "store", "manifest"},
    "report": {"spikes", "sources", "methods", "quality", "build", "store", "manifest", "pictures"},
    "store": {"manifest"},
    "manifest": set(),
}
OPEN = {"errors", "compiled", "files", "__version__"}
OUTSIDE = {"dask": {"build", "report"}, "distributed": {"build", "report"}, "zarr": {"store"}}


def imports(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {
                f"{node.module}.{alias.name}" if node.module == "hqgen" else node.module
                for alias in node.names
            }
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def room(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


FILES = sorted(file for file in ROOT.rglob("*.py") if room(file) in MAY_IMPORT)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_room_imports_only_what_lies_before_it(file: Path) -> None:
    own = room(file)
    for name in imports(file):
        parts = name.split(".")
        if parts[0] == "hqgen" and len(parts) > 1:
            assert parts[1] in MAY_IMPORT[own] | OPEN | {own}, f"{own} imports {name}"
        assert own in OUTSIDE.get(parts[0], {own}), f"{own} imports {name}"


def test_hqgen_never_imports_spikeclip() -> None:
    for file in ROOT.rglob("*.py"):
        assert not any(name.split(".")[0] == "spikeclip" for name in imports(file)), file
