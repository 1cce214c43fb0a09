"""The public interface: what there is, and what it costs to import."""

from __future__ import annotations

import subprocess
import sys

import hqgen


def test_the_public_names_are_those_that_were_promised() -> None:
    assert sorted(hqgen.__all__) == [
        "HQStore",
        "HqgenError",
        "Recording",
        "__version__",
        "niqe",
        "open_recording",
        "open_store",
        "read_manifest",
        "reconstruct",
    ]
    for name in hqgen.__all__:
        assert getattr(hqgen, name) is not None
    assert set(dir(hqgen)) >= set(hqgen.__all__)


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
