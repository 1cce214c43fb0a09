"""A wheel that is installed elsewhere carries all that the code reads."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content in a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run hqgen from the wheel, away from the checkout."""
    code = "import hqgen, hqgen.cli; assert '/site/' in hqgen.__file__, hqgen.__file__; hqgen.cli.main()"
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        cwd=installed.parent,
        env=os.environ | {"PYTHONPATH": str(installed), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_catalog_schemas_parameters_and_weights_travel_in_the_wheel(installed: Path) -> None:
    names = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    assert {
        "hqgen/manifests/reds.toml",
        "hqgen/manifests/weights.toml",
        "hqgen/manifests/manifest.schema.json",
        "hqgen/quality/niqe_pristine.npz",
        "hqgen/quality/brisque_live.npz",
        "hqgen/quality/brisque_live.txt",
        "hqgen/methods/weights_data/weights.json",
        "hqgen/py.typed",
        *(f"hqgen/report/templates/{name}" for name in ("page.html", "source.html", "style.css")),
        *(f"hqgen/view/page/{name}" for name in ("index.html", "app.js", "style.css", "icon.svg")),
        "spikeclip/py.typed",
    } <= names
    assert not any(name.startswith(("tests/", "docs/")) for name in names)


def test_a_build_runs_from_the_wheel(installed: Path) -> None:
    assert run(installed, "--version").returncode == 0
    sources = run(installed, "sources")
    assert "recvidar2019" in sources.stdout, sources.stderr
    built = run(installed, "build", "--sources", "demo", "--methods", "tfp", "--scheduler", "sync")
    assert built.returncode == 0, built.stderr
    assert (installed.parent / "manifest.json").exists()
