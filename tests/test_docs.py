"""Every code block of README and docs runs, or says why not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from docs.generate import examples
from docs.generate.examples import Block
from hqgen.simulation.camera import preset, simulate_pictures
from hqgen.simulation.motion import Motion

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path) -> list[Block]:
    return examples.blocks(page.read_text())


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages take for granted: a folder of recordings, named as they name it."""
    from skimage import data

    root = tmp_path_factory.mktemp("docs")
    Image.fromarray(np.asarray(data.camera())).save(root / "camera.png")
    (root / "recordings").mkdir()
    simulate_pictures(
        root / "camera.png",
        root / "recordings" / "camera.dat",
        sensor=preset("normal"),
        frames=61,
        motion=Motion(right=0.2),
    )
    return root


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HQGEN_WEIGHTS": str(folder / "weights"),
        "COLUMNS": "100",
    }


def run(block: Block, folder: Path) -> None:
    if block.kind == "toml":
        tomllib.loads(block.code)
        return
    command = (
        ["bash", "-euo", "pipefail", "-c"] if block.kind == "bash" else [sys.executable, "-W", "error", "-c"]
    )
    done = subprocess.run(
        [*command, block.code],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{block.code}\n{done.stdout}\n{done.stderr}"


def test_there_are_pages_and_blocks_to_run() -> None:
    assert len(PAGES) > 8
    assert sum(block.excuse is None for page in PAGES for block in blocks(page)) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_names_its_language_or_its_excuse(page: Path) -> None:
    assert not list(examples.faults(blocks(page)))
    assert page.read_text().count("```") == 2 * len(blocks(page))


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_a_page_runs(
    page: Path, recordings: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The blocks of a page run one after the other in one folder."""
    todo = [block for block in blocks(page) if block.excuse is None and block.kind != examples.TEXT]
    shutil.copytree(recordings, tmp_path, dirs_exist_ok=True)
    if any("nbsn_83000_simple.pth" in block.code for block in todo):
        shared: Path = request.getfixturevalue("shared")
        (tmp_path / "nbsn_83000_simple.pth").symlink_to(shared / "weights/nbsn_83000_simple.pth")
    if any(re.search(r"(?<!/)manifest\.json", block.code) for block in todo):
        build = "hqgen build --sources folder:recordings --methods tfp,tfi --scheduler sync"
        run(Block("bash", build, None), tmp_path)
    for block in todo:
        run(block, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_are_there(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target
