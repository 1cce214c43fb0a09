"""Stores of any number of small samples with candidates, one recording for all, and hostile names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hqgen.documents import dump
from hqgen.files import blake3_file
from hqgen.manifest import (
    Manifest,
    MethodSpec,
    Plan,
    RecordingSpec,
    SampleRecord,
    SampleSpec,
    ShardDigest,
    ShardRecord,
    SourceManifest,
    SourceSpec,
    Times,
)
from hqgen.methods.registry import get_method
from hqgen.provenance import specification
from hqgen.quality.normalise import Normalisation
from hqgen.quality.rules import get_rule
from hqgen.spikes.packed import ENDS, PackedSpikes
from hqgen.spikes.recording import write_dat
from hqgen.store import StoreWriter, candidates_of, digest_images

HEIGHT, WIDTH, FRAMES, SHARD = 48, 64, 61, 500
METHODS = ("tfp", "tfi", "tfstp")
HOSTILE = "<img src=x onerror=alert(1)>"
QUOTES = "lab/a \"quoted\" 'key' \x1b[31mred"
QUARANTINED = 3
"""Row of the sample without a picture."""

REASON = f"dark image of {HOSTILE}: 99.5% of it is black"


def make_store(folder: Path, count: int) -> Path:
    """Write a store of `count` samples; returns its manifest.

    Every fourth winner is tfi, and scores fall from sample to sample. Every tenth pick is ambiguous. Row 1
    has a hostile key, row 2 one with quotes, and row `QUARANTINED` no picture.
    """
    recordings = folder / "lab"
    recordings.mkdir(parents=True)
    (recordings / "source.toml").write_text(f"geometry = [{HEIGHT}, {WIDTH}]\n")
    recording = recordings / f"{HOSTILE}.dat"
    write_dat(recording, _spikes())
    samples = [_sample(row, count) for row in range(count)]
    plan = _plan(recording, samples)
    out = folder / "out"
    out.mkdir()
    writer = StoreWriter(out / "hq.zarr")
    writer.create(plan)
    shards, records = [], []
    for shard, start in enumerate(range(0, count, SHARD)):
        rows = samples[start : start + SHARD]
        made = {method: _pictures(rows, start, method) for method in METHODS}
        images = np.stack([_winner(made, index, row) for index, row in enumerate(rows)])
        writer.write_shard("lab", start, images)
        for method, pictures in made.items():
            writer.write_shard("lab", start, pictures, candidates_of(method))
        digests = {method: digest_images(pictures) for method, pictures in made.items()}
        digest = digest_images(images)
        shards.append(ShardDigest(shard=shard, images_blake3=digest, candidates_blake3=digests))
        records.append(
            ShardRecord(plan="", source="lab", shard=shard, images_blake3=digest, samples=tuple(rows))
        )
    writer.finish(plan, iter(records))
    manifest = Manifest(
        plan_id=plan.id,
        store="hq.zarr",
        software={"hqgen": "0.1.0"},
        plan=plan,
        sources=(
            SourceManifest(
                name="lab",
                folder=str(recordings),
                shards=tuple(shards),
                quarantined_recordings=(),
                samples=tuple(samples),
            ),
        ),
        times=Times(started="2026-01-01T00:00:00+00:00", finished="2026-01-01T00:01:27+00:00", seconds=87.0),
    )
    path = out / "manifest.json"
    path.write_text("".join(dump(manifest)))
    return path


def _spikes() -> PackedSpikes:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    rate = 0.3 + 0.2 * np.sin(rows / 5) * np.cos(columns / 7)
    return PackedSpikes.pack(np.random.default_rng(0).random((FRAMES, HEIGHT, WIDTH)) < rate)


def key_of(row: int) -> str:
    return {1: f"lab/{HOSTILE}", 2: QUOTES}.get(row, f"lab/scene{row // 7}_part{row}")


def _sample(row: int, count: int) -> SampleRecord:
    if row == QUARANTINED:
        none = dict.fromkeys(METHODS)
        return SampleRecord(
            key=key_of(row), method=None, margin=None, scores=none, reasons=dict.fromkeys(METHODS, REASON)
        )
    winner = METHODS[1] if row % 4 == 0 else METHODS[0]
    score, margin = np.float32(10 - 8 * row / count), np.float32(0.1 if row % 10 == 0 else 1.5)
    scores: dict[str, float | None] = {
        method: float(score if method == winner else score + margin) for method in METHODS
    }
    return SampleRecord(key=key_of(row), method=winner, margin=float(margin), scores=scores)


def _pictures(rows: list[SampleRecord], start: int, method: str) -> np.ndarray:
    """Slanted stripes: their place tells samples apart, their width methods."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    period = 9 + 6 * METHODS.index(method)
    numbers = start + np.arange(len(rows))[:, None, None]
    pictures: np.ndarray = ((x + y + 3 * numbers) % period * 255 // period).astype(np.uint8)
    pictures[[row.method is None for row in rows]] = 0
    return pictures


def _winner(made: dict[str, np.ndarray], index: int, row: SampleRecord) -> np.ndarray:
    return made[row.method][index] if row.method else np.zeros((HEIGHT, WIDTH), np.uint8)


def _plan(recording: Path, samples: list[SampleRecord]) -> Plan:
    methods = [get_method(name) for name in METHODS]
    return Plan(
        shard_size=SHARD,
        scorer={"name": "niqe", "version": 1, "parameters": {}},
        normalisation=Normalisation().parameters(),
        ends=ENDS,
        judges=(),
        rule=specification(get_rule("niqe", score="niqe")),
        keep_candidates=True,
        sources=(
            SourceSpec(
                name="lab",
                height=HEIGHT,
                width=WIDTH,
                methods=tuple(
                    MethodSpec(
                        name=method.name,
                        rank=method.rank,
                        version=method.version,
                        leg=method.leg,
                        parameters=method.parameters(),
                    )
                    for method in methods
                ),
                recordings=(
                    RecordingSpec(
                        path=recording.name,
                        size=recording.stat().st_size,
                        blake3=blake3_file(recording),
                        frames=FRAMES,
                    ),
                ),
                samples=tuple(
                    SampleSpec(key=sample.key, recording=0, centre=row % FRAMES)
                    for row, sample in enumerate(samples)
                ),
            ),
        ),
    )
