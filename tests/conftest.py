"""Fixtures that all tests share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from hqgen.manifest import read_manifest
from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.recording import write_dat
from tests.builder.small import HEIGHT, WIDTH, build_again, settings_for, write_scenes
from tests.web import Web, serving

# The first call of a compiled function compiles it, which takes longer than any sensible deadline.
settings.register_profile("hqgen", deadline=None, max_examples=40)
settings.load_profile("hqgen")


def pytest_configure(config: pytest.Config) -> None:
    """Forbid downloads, and let each of several processes of pytest-xdist count with one thread."""
    os.environ["HQGEN_OFFLINE"] = "1"
    if config.getoption("numprocesses", None):
        for library in ("OMP", "OPENBLAS", "MKL"):
            os.environ.setdefault(f"{library}_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """Undo what a test changes in the environment: `--offline` sets variables for all that comes after it."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[Web]:
    """A server of files on this machine, in the place of the internet."""
    with serving() as web:
        yield web


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a window, driven by Playwright; skips the test, with the reason, without one."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium here")
    playwright = pytest.importorskip("playwright.sync_api", reason="there is no playwright here")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=flags)
        yield started
        started.close()


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real recordings; skips the test, with the reason, where it is absent."""
    root = Path(os.environ.get("HQGEN_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no real recordings at {root} (set HQGEN_TEST_DATA)")
    return root


@pytest.fixture(scope="session")
def shared(data_root: Path) -> Path:
    """The folder that holds `data`, `golden` and `weights`."""
    return data_root.resolve().parent


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four small pictures with some structure, one of them in a subfolder."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "deeper").mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.jpg", "c.png", "deeper/d.png"):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 12), np.uint8))
        coarse.resize((120, 90), Image.Resampling.BICUBIC).save(folder / name)
    return folder


@pytest.fixture
def small_state() -> dict[str, Any]:
    """The weights of `tests.small_network.Small`."""
    import torch

    from tests.small_network import Small

    torch.manual_seed(3)
    return Small().state_dict()


@pytest.fixture
def small_checkpoint(tmp_path: Path, small_state: dict[str, Any]) -> Path:
    """A file of them."""
    from tests.small_network import saved

    return saved(small_state, tmp_path / "tiny.pth")


@pytest.fixture(scope="session")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small store of winners only, with one dark recording and one file that is not a recording."""
    root = tmp_path_factory.mktemp("report")
    folder = write_scenes(root / "lab", 4)
    write_dat(folder / "dark.dat", PackedSpikes.pack(np.zeros((50, HEIGHT, WIDTH), np.uint8)))
    (folder / "<cut>.dat").write_bytes(b"\x00" * 100)
    build_again(settings_for(folder, shard_size=2, keep_candidates=False))
    return root


@pytest.fixture
def built(built_once: Path, tmp_path: Path) -> Path:
    """The folder of the build, a copy; its recordings lie where they were when it was built."""
    shutil.copytree(built_once / "out", tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def moved(built: Path, tmp_path: Path) -> Path:
    """The same, as if it had been built from a folder that is gone; the recordings lie in `tmp_path/new`."""
    manifest = built / "manifest.json"
    origin = tmp_path / "gone" / "lab"
    lab = Path(str(read_manifest(manifest).sources[0].folder))
    shutil.copytree(lab, tmp_path / "new" / "lab")
    manifest.write_text(manifest.read_text().replace(str(lab), str(origin)))
    return built
