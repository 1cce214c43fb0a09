"""The public interface: what there is, and what it costs to import."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import hqgen
import spikeclip
from tests.builder.small import write_scenes


def test_the_public_names_are_those_that_were_promised() -> None:
    assert sorted(hqgen.__all__) == [
        "HQStore",
        "HqgenError",
        "Journal",
        "Recording",
        "__version__",
        "apply_verdicts",
        "build",
        "inspect",
        "merge",
        "niqe",
        "open_recording",
        "open_store",
        "read_manifest",
        "reconstruct",
        "repick",
    ]
    for name in hqgen.__all__:
        assert getattr(hqgen, name) is not None
    assert set(dir(hqgen)) >= set(hqgen.__all__)


def test_no_module_shadows_a_verb() -> None:
    """A submodule that is imported becomes an attribute of its package, and would hide a verb of its name."""
    for package in (hqgen, spikeclip):
        modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
        assert not modules & set(package.__all__)


def test_a_build_is_inspected_and_opened(tmp_path: Path) -> None:
    sources = f"folder:{write_scenes(tmp_path / 'lab', 1)}"
    where: dict[str, Any] = {"data_root": tmp_path, "out": tmp_path / "out"}
    outcome = hqgen.build(sources, methods="tfp,tfi", scheduler="sync", **where)
    assert outcome.made == len(outcome.manifest.sources[0].samples) > 0
    found = hqgen.inspect(tmp_path / "out" / "manifest.json")
    assert found.samples == outcome.made
    assert len(hqgen.open_store(tmp_path / "out" / found.store)) == 1
    assert hqgen.build([sources], methods="tfp,tfi", scheduler="sync", **where).made == 0
    picked = hqgen.repick(tmp_path / "out" / "manifest.json", out=tmp_path / "again", rule="niqe-guarded")
    assert hqgen.inspect(picked.output.manifest_path).rule == "niqe-guarded"
    merged = hqgen.merge([tmp_path / "out", tmp_path / "out" / "manifest.json"], out=tmp_path / "merged")
    assert len(hqgen.inspect(merged.output.manifest_path).merged_from) == 2
    journal = hqgen.Journal(tmp_path / "out")
    journal.add("reject", [outcome.manifest.sources[0].samples[0].key])
    curated = hqgen.apply_verdicts(tmp_path / "out", out=tmp_path / "curated")
    assert curated.manifest.quarantined == 1


def test_a_setting_that_a_build_does_not_have_is_named() -> None:
    with pytest.raises(hqgen.HqgenError, match=r"`method` in hqgen\.build: there is no such setting"):
        hqgen.build("demo", method="tfp")


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    assert not hasattr(hqgen, "reconstrukt")


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_hqgen_loads_nothing_heavy() -> None:
    assert not modules_after("import hqgen") & {"numpy", "torch", "numba", "zarr", "dask", "typer"}


def test_the_command_line_loads_nothing_heavy_before_a_command_runs() -> None:
    loaded = modules_after("import hqgen.cli")
    assert not loaded & {"numpy", "torch", "numba", "zarr", "dask", "rich", "pydantic", "PIL"}


def test_model_based_methods_and_the_score_need_no_torch() -> None:
    statement = (
        "import numpy as np, hqgen; x = np.random.default_rng(0).random((200, 96, 96)) < 0.3; "
        "hqgen.niqe(np.clip(hqgen.reconstruct('tfi', x), 0, 1))"
    )
    assert "torch" not in modules_after(statement)


def test_only_the_rooms_that_may_know_dask_and_zarr_do() -> None:
    statement = "import hqgen.spikes.kernels, hqgen.sources, hqgen.methods.registry, hqgen.quality.scorers"
    assert not modules_after(statement) & {"dask", "distributed", "zarr", "torch"}
