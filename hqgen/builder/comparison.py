"""What two finished builds differ in: plans, samples, winners, scores and pixels.

Samples are matched by source and key. Manifests are enough for all but the pixels: those are known to be the
same where shards with the same samples have the same digest. Else the stores are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqgen.builder.plan import by_name
from hqgen.manifest import Manifest, SampleRecord, SourceManifest, read_manifest
from hqgen.provenance import differences
from hqgen.store import open_described


@dataclass(frozen=True)
class OtherWinner:
    """A sample and its winners in both builds; None where it has no picture."""

    key: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class SourceDifference:
    """What two builds of a source differ in.

    Attributes:
        name: the source.
        samples: how many both have.
        only_before, only_after: keys of samples that one of them has.
        other_winner: samples with another winner.
        other_scores: keys of samples with another score, or another value of a judge, where both have one.
        other_pixels: keys of samples whose picture has other pixels; black counts as a picture.
        not_compared: samples whose pixels are not known to be the same, because a store is not there.
    """

    name: str
    samples: int
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    other_winner: tuple[OtherWinner, ...]
    other_scores: tuple[str, ...]
    other_pixels: tuple[str, ...]
    not_compared: int


@dataclass(frozen=True)
class BuildDifference:
    """What two builds differ in.

    Attributes:
        before, after: their manifests.
        plan: a line for each difference of their plans; empty if they have one plan.
        sources: of every source that one of them has.
    """

    before: str
    after: str
    plan: tuple[str, ...]
    sources: tuple[SourceDifference, ...]

    @property
    def same(self) -> bool:
        """Whether plan, samples, winners, scores and pixels are the same."""
        return not self.plan and not any(
            source.only_before
            or source.only_after
            or source.other_winner
            or source.other_scores
            or source.other_pixels
            or source.not_compared
            for source in self.sources
        )


def compare_builds(before: Path, after: Path) -> BuildDifference:
    """Compare two finished builds by their manifests, and by their stores where digests are not enough.

    Raises:
        StoreError: a manifest cannot be read, or a store is damaged or belongs to another manifest.
    """
    builds = _Build(before, read_manifest(before)), _Build(after, read_manifest(after))
    plans = [by_name(build.manifest.plan) for build in builds]
    lines = differences(plans[0], plans[1])
    names = sorted({source.name for build in builds for source in build.manifest.sources})
    return BuildDifference(
        str(before),
        str(after),
        tuple(lines),
        tuple(_source_difference(name, *builds) for name in names),
    )


class _Build:
    """A build: its manifest, and the pictures of its store."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest
        self.has_store = (path.parent / manifest.store).exists()
        self._shard: Callable[[str, int], NDArray[np.uint8]] = lru_cache(maxsize=4)(self._read)

    def source(self, name: str) -> SourceManifest | None:
        return next((source for source in self.manifest.sources if source.name == name), None)

    def shards(self, source: SourceManifest) -> dict[tuple[str, ...], str]:
        """Digests of the shards, by the keys of their samples."""
        size = self.manifest.plan.shard_size
        keys = [sample.key for sample in source.samples]
        return {
            tuple(keys[shard.shard * size : (shard.shard + 1) * size]): shard.images_blake3
            for shard in source.shards
        }

    def picture(self, name: str, row: int) -> NDArray[np.uint8]:
        size = self.manifest.plan.shard_size
        picture: NDArray[np.uint8] = self._shard(name, row // size)[row % size]
        return picture

    def _read(self, name: str, shard: int) -> NDArray[np.uint8]:
        size = self.manifest.plan.shard_size
        _, store = open_described(self.path)
        images: NDArray[np.uint8] = store[name].images[shard * size : (shard + 1) * size]
        return images


def _source_difference(name: str, before: _Build, after: _Build) -> SourceDifference:
    rows = _rows(before.source(name)), _rows(after.source(name))
    shared = [key for key in rows[0] if key in rows[1]]
    pairs = [(key, rows[0][key][1], rows[1][key][1]) for key in shared]
    unsure = set(shared) - _same_by_digest(name, before, after)
    readable = before.has_store and after.has_store
    other_pixels = [
        key
        for key in shared
        if readable
        and key in unsure
        and not np.array_equal(before.picture(name, rows[0][key][0]), after.picture(name, rows[1][key][0]))
    ]
    return SourceDifference(
        name,
        len(shared),
        tuple(key for key in rows[0] if key not in rows[1]),
        tuple(key for key in rows[1] if key not in rows[0]),
        tuple(OtherWinner(key, a.method, b.method) for key, a, b in pairs if a.method != b.method),
        tuple(key for key, a, b in pairs if _other_values(a, b)),
        tuple(other_pixels),
        0 if readable else len(unsure),
    )


def _rows(source: SourceManifest | None) -> dict[str, tuple[int, SampleRecord]]:
    return {sample.key: (row, sample) for row, sample in enumerate(source.samples)} if source else {}


def _same_by_digest(name: str, before: _Build, after: _Build) -> set[str]:
    """Keys of samples in shards that both builds have with one digest."""
    sources = before.source(name), after.source(name)
    if sources[0] is None or sources[1] is None:
        return set()
    one, other = before.shards(sources[0]), after.shards(sources[1])
    return {key for keys, digest in one.items() if other.get(keys) == digest for key in keys}


def _other_values(one: SampleRecord, other: SampleRecord) -> bool:
    return any(
        a[method] != b[method] for a, b in _shared_measures(one, other) for method in a.keys() & b.keys()
    )


def _shared_measures(
    one: SampleRecord, other: SampleRecord
) -> Iterator[tuple[Mapping[str, float | None], Mapping[str, float | None]]]:
    yield one.scores, other.scores
    for judge in one.judges.keys() & other.judges.keys():
        yield one.judges[judge], other.judges[judge]
