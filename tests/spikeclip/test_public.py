"""The public interface: what there is, and what it costs to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import spikeclip
from hqgen.errors import UsageError
from spikeclip.data.lowlight import LowLightSet
from spikeclip.data.voxels import voxelize
from spikeclip.networks import load_network


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_public_names_are_those_that_were_promised() -> None:
    names = ["evaluate", "load", "open_low_light", "reconstruct", "train", "voxelize"]
    assert sorted(spikeclip.__all__) == dir(spikeclip) == names
    assert spikeclip.load is load_network
    assert spikeclip.voxelize is voxelize
    assert all(callable(getattr(spikeclip, name)) for name in names)


def test_nothing_else_leaks() -> None:
    """Beside the promised names there are rooms, which are modules, and what the lazy import itself needs."""
    own = {name for name, value in vars(spikeclip).items() if not isinstance(value, ModuleType)}
    public = {name for name in own if not name.startswith("_")}
    assert public <= {"annotations", "import_module", "TYPE_CHECKING", "Any"}


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    assert not hasattr(spikeclip, "lode")


@pytest.mark.parametrize("verb", ["train", "evaluate"])
def test_a_setting_that_a_verb_does_not_have_is_named(verb: str, low_light: LowLightSet) -> None:
    with pytest.raises(UsageError, match=rf"`corp` in spikeclip\.{verb}: there is no such setting"):
        getattr(spikeclip, verb)({}, low_light, corp=64)


def test_an_evaluation_of_no_samples_is_refused(low_light: LowLightSet) -> None:
    with pytest.raises(UsageError, match=r"`samples` in .* must be at least 1"):
        spikeclip.evaluate({}, low_light, samples=0)


def test_open_low_light_makes_a_set_of_recordings_once(low_light_folder: Path, tmp_path: Path) -> None:
    made = spikeclip.open_low_light(low_light_folder, tmp_path / "low.zarr")
    assert made.splits == ("train", "test")
    assert spikeclip.open_low_light(tmp_path / "low.zarr").digest == made.digest


def test_importing_spikeclip_loads_nothing_heavy() -> None:
    heavy = {"numpy", "torch", "open_clip", "numba", "zarr", "dask", "typer", "pydantic", "hqgen.methods"}
    assert not modules_after("import spikeclip") & heavy


def test_voxelize_needs_no_torch() -> None:
    statement = "import numpy as np, spikeclip; spikeclip.voxelize(np.ones((8, 4, 4), np.uint8), bins=2)"
    assert not modules_after(statement) & {"torch", "open_clip"}


def test_voxelize_is_the_one_of_the_contract() -> None:
    voxel = spikeclip.voxelize(np.ones((200, 4, 6), np.uint8))
    assert voxel.shape == (50, 4, 6)
    assert voxel.dtype == np.float32
    assert voxel.max() == voxel.min() == 4
