"""Imports go one way through the house: each room names the rooms that it may use."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]

TOOLS = {
    "config",
    "checkpoints",
    "devices",
    "documents",
    "download",
    "drawing",
    "errors",
    "files",
    "interrupt",
    "pictures",
    "plot",
    "progress",
    "provenance",
    "safetensors_file",
    "tables",
    "text",
}
"""Small modules that hold one mechanism each, for every room to use."""

MAY_IMPORT = {
    "hqgen.compiled": set(),
    "hqgen.config": {"hqgen.errors", "hqgen.text"},
    "hqgen.documents": {"hqgen.files"},
    "hqgen.errors": set(),
    "hqgen.files": {"hqgen.errors", "hqgen.text"},
    "hqgen.text": set(),
    "hqgen.drawing": {"hqgen.errors", "hqgen.files", "hqgen.text"},
    "hqgen.plot": set(),
    "hqgen.tables": set(),
    "hqgen.interrupt": set(),
    "hqgen.progress": {"hqgen.text"},
    "hqgen.devices": {"hqgen.errors"},
    "hqgen.download": {"hqgen.errors", "hqgen.files", "hqgen.progress", "hqgen.text"},
    "hqgen.provenance": {"hqgen.errors", "hqgen.files"},
    "hqgen.safetensors_file": {"hqgen.errors", "hqgen.files"},
    "hqgen.checkpoints": {"hqgen.errors", "hqgen.files", "hqgen.safetensors_file"},
    "hqgen.pictures": {"hqgen.errors", "hqgen.files", "hqgen.quality", "hqgen.text"},
    "hqgen.spikes": {"hqgen.compiled"},
    "hqgen.simulation": {"hqgen.compiled", "hqgen.spikes"},
    "hqgen.sources": {"hqgen.spikes", "hqgen.simulation"},
    "hqgen.methods": {"hqgen.compiled", "hqgen.spikes"},
    "hqgen.quality": {"hqgen.compiled"},
    "hqgen.video": {"hqgen.spikes", "hqgen.methods", "hqgen.quality"},
    "hqgen.completion": {"hqgen.sources", "hqgen.methods", "hqgen.quality"},
    "hqgen.manifest": set(),
    "hqgen.store": {"hqgen.manifest"},
    "hqgen.curation": {"hqgen.manifest"},
    "hqgen.decision": {"hqgen.manifest", "hqgen.quality"},
    "hqgen.verify": {"hqgen.manifest", "hqgen.decision", "hqgen.store"},
    "hqgen.builder": {
        f"hqgen.{room}"
        for room in (
            "spikes",
            "sources",
            "methods",
            "quality",
            "store",
            "manifest",
            "curation",
            "decision",
            "verify",
        )
    },
    "hqgen.inspection": {
        f"hqgen.{room}"
        for room in ("spikes", "sources", "methods", "quality", "store", "manifest", "curation", "decision")
    },
    "hqgen.benchmark": {
        f"hqgen.{room}" for room in ("spikes", "sources", "methods", "quality", "builder", "inspection")
    },
    "hqgen.view": {"hqgen.inspection", "hqgen.manifest", "hqgen.curation"},
    "hqgen.export": {
        f"hqgen.{room}"
        for room in ("sources", "methods", "quality", "store", "manifest", "curation", "inspection")
    },
    "hqgen.torch": {"hqgen.export", "hqgen.manifest", "hqgen.store"},
    "hqgen.training": {f"hqgen.{room}" for room in ("spikes", "simulation", "methods", "quality")},
    "hqgen.report": {
        f"hqgen.{room}"
        for room in (
            "spikes",
            "sources",
            "methods",
            "quality",
            "manifest",
            "curation",
            "verify",
            "builder",
            "inspection",
        )
    },
    "spikeclip.networks": set(),
    "spikeclip.data": {
        f"hqgen.{room}" for room in ("spikes", "simulation", "sources", "methods", "store", "verify")
    },
    "spikeclip.clip": {"hqgen.training", "spikeclip.data"},
    "spikeclip.training": {
        *(f"hqgen.{room}" for room in ("training", "quality", "report")),
        *(f"spikeclip.{room}" for room in ("networks", "data", "clip", "evaluation")),
    },
    "spikeclip.evaluation": {
        *(f"hqgen.{room}" for room in ("spikes", "methods", "quality")),
        *(f"spikeclip.{room}" for room in ("networks", "data", "clip")),
    },
    "spikeclip.reconstruction": {
        "hqgen.spikes",
        "hqgen.quality",
        "spikeclip.networks",
        "spikeclip.data",
    },
    "spikeclip.video": {
        "hqgen.spikes",
        "hqgen.video",
        "spikeclip.data",
        "spikeclip.networks",
        "spikeclip.reconstruction",
    },
    "spikeclip.publishing": {
        "hqgen.training",
        *(f"spikeclip.{room}" for room in ("networks", "data", "training", "evaluation")),
    },
    "spikeclip.view": {
        *(f"hqgen.{room}" for room in ("report", "view")),
        "spikeclip.training",
    },
    "spikeclip.recipes": {
        *(f"hqgen.{room}" for room in ("simulation", "methods", "builder")),
        *(f"spikeclip.{room}" for room in ("networks", "data", "clip", "training", "evaluation")),
    },
}
"""What is not named here (the command lines, `__init__`) may use every room."""

OUTSIDE = {
    "dask": {"hqgen.builder", "hqgen.report"},
    "distributed": {"hqgen.builder", "hqgen.report", "spikeclip.recipes"},
    "zarr": {"hqgen.store", "spikeclip.data"},
}
"""Libraries that only some rooms know."""


@cache
def imports(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {
                f"{node.module}.{alias.name}" if node.module in {"hqgen", "spikeclip"} else node.module
                for alias in node.names
            }
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def room(file: Path) -> str:
    return ".".join(file.relative_to(HOUSE).with_suffix("").parts[:2])


ALL = [file for package in ("hqgen", "spikeclip") for file in sorted((HOUSE / package).rglob("*.py"))]


@pytest.mark.parametrize(
    "file", [file for file in ALL if room(file) in MAY_IMPORT], ids=lambda file: str(file.relative_to(HOUSE))
)
def test_a_room_imports_only_what_it_may(file: Path) -> None:
    own = room(file)
    open_to_it = MAY_IMPORT[own] | {own, "hqgen.__version__"}
    if own.removeprefix("hqgen.") not in TOOLS | {"compiled"}:
        open_to_it |= {f"hqgen.{tool}" for tool in TOOLS}
    for name in imports(file):
        place = ".".join(name.split(".")[:2])
        if place.startswith(("hqgen.", "spikeclip.")):
            assert place in open_to_it, f"{own} imports {name}"


@pytest.mark.parametrize("library", OUTSIDE)
def test_only_some_rooms_know_a_library(library: str) -> None:
    knowing = {room(file) for file in ALL if library in {name.split(".")[0] for name in imports(file)}}
    assert knowing <= OUTSIDE[library]


def test_every_room_of_the_table_is_there() -> None:
    rooms = {room(file) for file in ALL}
    assert set(MAY_IMPORT) <= rooms
    outside_the_table = rooms - set(MAY_IMPORT)
    assert outside_the_table == {
        *("hqgen.__init__", "hqgen.__main__", "hqgen.api", "hqgen.console"),
        *("hqgen.cli", "hqgen.cli_curate", "hqgen.cli_export"),
        *("spikeclip.__init__", "spikeclip.api"),
        *("spikeclip.cli", "spikeclip.cli_clip", "spikeclip.cli_view"),
    }


def test_no_two_rooms_use_each_other() -> None:
    """The table itself has no circle, so none can grow where it is kept."""
    left = {own: {other for other in others if other in MAY_IMPORT} for own, others in MAY_IMPORT.items()}
    while free := {own for own, others in left.items() if not others & left.keys()}:
        left = {own: others for own, others in left.items() if own not in free}
    assert not left


def test_hqgen_never_imports_spikeclip() -> None:
    for file in ALL:
        if room(file).startswith("hqgen."):
            assert not any(name.split(".")[0] == "spikeclip" for name in imports(file)), file
