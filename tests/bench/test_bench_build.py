"""A whole build against the script that one would write without hqgen, and what it needs of memory."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from hqgen.builder.repick import repick
from hqgen.builder.settings import RepickSettings
from hqgen.config import split_names
from hqgen.manifest import read_manifest
from hqgen.quality.niqe import pristine
from tests.bench.test_bench_spikes import HEIGHT, WIDTH, decoded, tfi_of, tfp_of
from tests.builder.small import Recorder, build_again, settings_for

pytestmark = [pytest.mark.bench, pytest.mark.real]

SAMPLES = 10_000
"""Recordings of the speed run, of one key frame each, as in Spike-REDS."""


def recordings_of(data_root: Path, folder: Path, count: int, stride: int | None) -> Path:
    """Links to the three real streams under `count` names; one sample each, or one every `stride` frames."""
    folder.mkdir()
    rule = '"centre"' if stride is None else f'"stride", stride = {stride}'
    (folder / "source.toml").write_text(f"key_frames = {{ rule = {rule} }}\ngeometry = [{HEIGHT}, {WIDTH}]\n")
    streams = sorted((data_root / "spike-reds/test/spike").glob("*.dat"))
    for number in range(count):
        (folder / f"{number:05d}.dat").symlink_to(streams[number % 3])
    return folder


def build(recordings: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "hqgen", "build", "--sources", f"folder:{recordings}", "--out", str(out)]
    return subprocess.Popen([*command, "--methods", "tfp,tfi", "--workers", "2"], stdout=subprocess.DEVNULL)


def straightforward(paths: list[Path], niqe: Callable[[torch.Tensor], torch.Tensor], out: Path) -> None:
    """Load, TFP, TFI, pyiqa's NIQE of both, keep the better one, one after the other."""
    for path in paths:
        spikes = torch.from_numpy(decoded(path)[130:171])
        candidates = [tfp_of(spikes), tfi_of(spikes)]
        pictures = [np.round(255 * image / image.max()).astype(np.uint8) for image in candidates]
        scores = [float(niqe(torch.from_numpy(picture)[None, None] / 255)) for picture in pictures]
        np.save(out / f"{path.stem}.npy", pictures[int(np.argmin(scores))])


def test_bench_whole_build(data_root: Path, tmp_path: Path) -> None:
    """10,000 recordings of 301 frames on two workers, start-up, digests, store and manifest included.

    The script runs on 40 of them.

    Measured on 2 cores of an AMD EPYC with AVX-512 with OMP_NUM_THREADS=1, nothing else running: 388 and 394
    samples a second against 8.8 and 9.7 of the script, ratios 44 and 41. Of the 25.5 s 5 are digests (38 GB
    at BLAKE3's 5 GB/s a core, with the reading), 17 shards (573 samples a second) and 3 start-up, plan and
    manifest. The script takes 103 to 114 ms a sample, half of it pyiqa's NIQE.
    """
    pyiqa = pytest.importorskip("pyiqa")
    from scipy.io import savemat

    mu, cov = pristine()
    savemat(tmp_path / "niqe.mat", {"mu_prisparam": mu, "cov_prisparam": cov})
    niqe = pyiqa.create_metric("niqe", device="cpu", pretrained_model_path=str(tmp_path / "niqe.mat"))
    recordings = recordings_of(data_root, tmp_path / "recordings", SAMPLES, None)
    paths = sorted(recordings.glob("*.dat"))
    (tmp_path / "script").mkdir()
    straightforward(paths[:2], niqe, tmp_path / "script")
    start = time.perf_counter()
    straightforward(paths[:40], niqe, tmp_path / "script")
    script = 40 / (time.perf_counter() - start)
    start = time.perf_counter()
    assert build(recordings, tmp_path / "out").wait() == 0
    ours = SAMPLES / (time.perf_counter() - start)
    assert len(read_manifest(tmp_path / "out/manifest.json").sources[0].samples) == SAMPLES
    print(f"\nwhole build: {ours:.0f} samples a second, script {script:.2f}, ratio {ours / script:.0f}")


def test_bench_what_candidates_and_judges_cost(data_root: Path, tmp_path: Path) -> None:
    """192 samples, tfp and tfi, in this process: processor time, and bytes of the store.

    Measured on 2 cores of a quiet Xeon with AVX-512, ratios to a build of winners without judges (6.5 ms and
    35 kB a sample): candidates 1.35 and 2.8 times the bytes, with consistency 1.89, with all judges 2.83. A
    repick takes 3.8 ms a sample.
    """
    recordings = recordings_of(data_root, tmp_path / "recordings", 192, None)
    costs: dict[str, float] = {}
    for name, keep, judges in (
        ("first", False, ""),
        ("winners", False, ""),
        ("candidates", True, ""),
        ("consistency", True, "consistency"),
        ("all judges", True, "consistency,grain,brisque,piqe"),
    ):
        out = tmp_path / name
        settings = settings_for(recordings, out=out, keep_candidates=keep, judges=split_names(judges))
        start = time.process_time()
        build_again(settings)
        costs[name] = time.process_time() - start
        size = sum(file.stat().st_size for file in (out / "hq.zarr").rglob("*") if file.is_file())
        line = f"{costs[name] / 192 * 1000:.2f} ms, {size / 192000:.1f} kB a sample"
        print(f"\n{name}: {line}, ratio {costs[name] / costs.get('winners', costs[name]):.2f}")
    start = time.process_time()
    repick(tmp_path / "all judges" / "manifest.json", RepickSettings(out=tmp_path / "again"), Recorder())
    took = time.process_time() - start
    print(f"repick: {192 / took:.0f} samples per second, ratio {costs['all judges'] / took:.1f} to the build")


def peak_memory(process: subprocess.Popen[bytes]) -> tuple[float, float]:
    """Largest memory of the client, and of client and workers together, that is theirs alone, in MB."""
    client = psutil.Process(process.pid)
    peaks = [0.0, 0.0]
    while process.poll() is None:
        sizes = []
        for member in [client, *client.children(recursive=True)]:
            try:
                sizes.append(member.memory_full_info().uss / 1e6)
            except psutil.Error:
                continue
        if sizes:
            peaks = [max(peaks[0], sizes[0]), max(peaks[1], sum(sizes))]
        time.sleep(0.05)
    assert process.returncode == 0
    return peaks[0], peaks[1]


def test_bench_memory_does_not_grow_with_the_number_of_samples(data_root: Path, tmp_path: Path) -> None:
    """100 and 5,000 samples on two workers.

    Measured on 2 cores of an AMD EPYC: 108 samples 343 MB (client 129), 5,220 samples 367 MB (client 146),
    ratio 1.07. What grows is the manifest in the client, some 3 kB a sample.
    """
    peaks = {}
    for samples, recordings, stride in [(100, 4, 10), (5000, 20, 1)]:
        folder = recordings_of(data_root, tmp_path / f"in{samples}", recordings, stride)
        peaks[samples] = peak_memory(build(folder, tmp_path / f"out{samples}"))
        made = len(read_manifest(tmp_path / f"out{samples}/manifest.json").sources[0].samples)
        client, whole = peaks[samples]
        print(f"\n{made} samples: client {client:.0f} MB, client and workers {whole:.0f} MB")
    print(f"ratio {peaks[5000][1] / peaks[100][1]:.3f}")
