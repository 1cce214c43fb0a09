"""Manifests and stores made by hand: one block of NIQE, real methods, numbers that are easy to check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hqgen.documents import dump
from hqgen.manifest import (
    Manifest,
    MethodSpec,
    Plan,
    QuarantinedRecording,
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
from hqgen.spikes.packed import ENDS
from hqgen.store import StoreWriter, digest_images

HEIGHT, WIDTH, SHARD = 96, 104, 2
METHODS = ("tfp", "tfi", "tfstp")


def sample(key: str, *scores: float | None, reason: str = "it is dark") -> SampleRecord:
    """A sample with scores of the first methods, winner and margin as a build would write them."""
    names = METHODS[: len(scores)]
    rounded = {n: None if s is None else float(np.float32(s)) for n, s in zip(names, scores, strict=True)}
    ranked = sorted((s, names.index(n), n) for n, s in rounded.items() if s is not None)
    return SampleRecord(
        key=key,
        method=ranked[0][2] if ranked else None,
        margin=float(np.float32(ranked[1][0]) - np.float32(ranked[0][0])) if len(ranked) > 1 else None,
        scores=rounded,
        reasons={n: reason for n, s in rounded.items() if s is None},
    )


def manifest(
    sources: Mapping[str, Sequence[SampleRecord]],
    *,
    scorer: str = "niqe",
    rule: str = "niqe",
    keep_candidates: bool = False,
    quarantined: Sequence[tuple[str, str]] = (),
) -> Manifest:
    """A manifest of sources by name; digests are filled in by `write`."""
    plan = Plan(
        shard_size=SHARD,
        scorer={"name": scorer, "version": 1, "parameters": {}},
        normalisation=Normalisation().parameters(),
        ends=ENDS,
        judges=(),
        rule=specification(get_rule(rule, score=scorer)),
        keep_candidates=keep_candidates,
        sources=tuple(_spec(name, samples) for name, samples in sources.items()),
    )
    return Manifest(
        plan_id=plan.id,
        store="hq.zarr",
        software={"hqgen": "0.1.0"},
        plan=plan,
        sources=tuple(
            SourceManifest(
                name=name,
                folder=f"/gone/{name}",
                shards=(),
                quarantined_recordings=tuple(
                    QuarantinedRecording(path=path, reason=reason) for path, reason in quarantined
                ),
                samples=tuple(samples),
            )
            for name, samples in sources.items()
        ),
        times=Times(started="2026-01-01T00:00:00+00:00", finished="2026-01-01T00:01:27+00:00", seconds=87.0),
    )


def _spec(name: str, samples: Sequence[SampleRecord]) -> SourceSpec:
    methods = tuple(samples[0].scores) if samples else METHODS
    return SourceSpec(
        name=name,
        height=HEIGHT,
        width=WIDTH,
        methods=tuple(
            MethodSpec(
                name=method,
                rank=10 * METHODS.index(method),
                version=get_method(method).version,
                leg="cpu",
                parameters={},
            )
            for method in methods
        ),
        recordings=(RecordingSpec(path="a.dat", size=1, blake3="0" * 64, frames=50),),
        samples=tuple(SampleSpec(key=item.key, recording=0, centre=20) for item in samples),
    )


def write(made: Manifest, folder: Path) -> Path:
    """Write the store of a manifest, with random pictures, then the manifest with their digests."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    store = StoreWriter(folder / made.store)
    store.create(made.plan)
    records, sources = [], []
    for source in made.sources:
        shards = []
        for start in range(0, len(source.samples), SHARD):
            rows = source.samples[start : start + SHARD]
            images = generator.integers(0, 256, (len(rows), HEIGHT, WIDTH), np.uint8)
            images[[row.method is None for row in rows]] = 0
            store.write_shard(source.name, start, images)
            digest, shard = digest_images(images), start // SHARD
            shards.append(ShardDigest(shard=shard, images_blake3=digest))
            records.append(
                ShardRecord(plan="", source=source.name, shard=shard, images_blake3=digest, samples=rows)
            )
        sources.append(source.model_copy(update={"shards": tuple(shards)}))
    store.finish(made.plan, iter(records))
    return rewrite(folder / "manifest.json", made.model_copy(update={"sources": tuple(sources)}))


def rewrite(path: Path, made: Manifest) -> Path:
    """Write a manifest as it is, in place of another."""
    path.write_text("".join(dump(made)))
    return path
