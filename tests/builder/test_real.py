"""Builds on real recordings: what the command of docs/sources.md gives."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hqgen.builder.settings import BuildSettings
from hqgen.errors import StoreError
from hqgen.manifest import Manifest, read_manifest
from hqgen.quality.niqe import pristine
from hqgen.store import HQStore, open_store
from hqgen.verify import verify
from tests.builder.small import build_again, content

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def built(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("real")
    command = [sys.executable, "-m", "hqgen", "build", "--sources", "reds,recvidar2019"]
    command += ["--data-root", str(data_root), "--methods", "tfp,tfi,tfstp", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def manifest(built: Path) -> Manifest:
    return read_manifest(built / "manifest.json")


@pytest.fixture(scope="module")
def store(built: Path) -> HQStore:
    return open_store(built / "hq.zarr")


def test_the_samples_are_the_key_frames_of_the_datasets(store: HQStore) -> None:
    tests = [f"reds/{name}_key_id151" for name in ("200_part1", "200_part3", "203_part1")]
    trains = [f"reds/{name}_part1_key_id{key}" for name in ("000", "160") for key in (7, 14, 21, 28, 35)]
    assert store["reds"].keys == tests + trains
    frames = ("000020", "000061", "000102", "000143")
    assert store["recvidar2019"].keys == [f"recvidar2019/classA/car-100kmh/{frame}" for frame in frames]
    assert len(store) == 17


def test_each_stored_score_is_pyiqas_of_the_stored_picture(store: HQStore, tmp_path: Path) -> None:
    pyiqa = pytest.importorskip("pyiqa")
    from scipy.io import savemat

    mu, cov = pristine()
    savemat(tmp_path / "niqe.mat", {"mu_prisparam": mu, "cov_prisparam": cov})
    metric = pyiqa.create_metric("niqe", device="cpu", pretrained_model_path=str(tmp_path / "niqe.mat"))
    for name in store.sources:
        source = store[name]
        for row, image in enumerate(source.images[:]):
            theirs = float(metric(torch.from_numpy(image)[None, None] / 255))
            assert source.scores[row, source.method[row]] == pytest.approx(theirs, abs=1e-3)


def test_each_winner_has_the_smallest_score_and_then_the_lowest_rank(store: HQStore) -> None:
    for name in store.sources:
        source = store[name]
        np.testing.assert_array_equal(source.method, np.nanargmin(source.scores, axis=1))
        np.testing.assert_allclose(source.margin, np.diff(np.sort(source.scores))[:, 0])
        assert source.methods == ("tfp", "tfi", "tfstp")


def test_the_store_verifies(built: Path, manifest: Manifest) -> None:
    assert manifest.quarantined == 0
    assert verify(built / "manifest.json") == []


def test_a_disk_that_fills_up_is_said_and_the_store_survives(
    data_root: Path, tmp_path: Path, built: Path
) -> None:
    """A file system of 500 kB, which holds the first shard and no more."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=500k", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a file system is not allowed here")
    settings = BuildSettings(
        sources=("reds", "recvidar2019"),
        data_root=data_root,
        out=small / "out",
        methods="tfp,tfi,tfstp",
        scheduler="sync",
    )
    try:
        with pytest.raises(StoreError, match=os.strerror(errno.ENOSPC)) as caught:
            build_again(settings)
        assert "free some space" in caught.value.hint
        subprocess.run(["mount", "-o", "remount,size=50m", str(small)], check=True)
        build_again(settings)
        assert content(small / "out") == content(built)
        assert verify(small / "out/manifest.json") == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_file_system_that_is_read_only_is_said(data_root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a file system is not allowed here")
    settings = BuildSettings(
        sources=("recvidar2019",), data_root=data_root, out=folder / "out", methods="tfp", scheduler="sync"
    )
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            build_again(settings)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
