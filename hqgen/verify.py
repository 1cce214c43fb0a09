"""Whether a store still holds what its manifest says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqgen.decision import Decider, measures_of
from hqgen.errors import HqgenError, StoreError
from hqgen.manifest import Manifest, ShardDigest, SourceManifest, SourceSpec, read_manifest
from hqgen.store import (
    IMAGES,
    ROOT,
    HQStore,
    StoreWriter,
    candidates_of,
    columns,
    digest_images,
    digests_of,
    open_store,
)

THREADS = 4
"""Shards that are read and digested at once; each takes the memory of its pictures."""

Column = NDArray[Any]


@dataclass(frozen=True)
class Damage:
    """One thing that is not as it should be.

    Attributes:
        source: the source, or None where the store as a whole is meant.
        shard: the shard whose pictures are meant.
        row: the row of the small arrays, or of the manifest's samples, that is meant.
        what: what is wrong.
    """

    source: str | None
    shard: int | None
    row: int | None
    what: str

    def __str__(self) -> str:
        place = [f"`{self.source}`"] if self.source else ["the store"]
        place += [f"shard {self.shard}"] if self.shard is not None else []
        place += [f"row {self.row}"] if self.row is not None else []
        return f"{', '.join(place)}: {self.what}"


def verify(
    manifest_path: str | Path,
    *,
    candidates: bool = True,
    threads: int = THREADS,
    advance: Callable[[int], None] = lambda _samples: None,
) -> list[Damage]:
    """Compare a store with its manifest, and the manifest with itself.

    Every file of the store is read and its digest taken; each winner must be the candidate that the plan's
    rule picks. Where a manifest has no digests of the small arrays, their rows are compared.

    Args:
        manifest_path: the manifest; the store is where it says.
        candidates: whether the pictures of candidates are read, too, where the store has them.
        threads: shards that are worked on at once.
        advance: called with the number of samples of every shard when it was read.

    Returns:
        What is wrong, in the order of the store; empty for a sound store. If the manifest itself was changed,
        or is of another plan, only that: whatever else differs would follow from it.

    Raises:
        StoreError: there is no manifest, no store, or its build has not finished; or this version of hqgen
            has another rule than the plan.
    """
    manifest_path = Path(manifest_path)
    manifest = read_manifest(manifest_path)
    try:
        read_manifest(manifest_path, unchanged=True)
    except StoreError:
        return [Damage(None, None, None, "the manifest was changed after it was written: its digest differs")]
    writer = StoreWriter(manifest_path.parent / manifest.store)
    files = dict(writer.changed_files(manifest.store_files or {})) if writer.path.is_dir() else {}
    store = None if ROOT in files else open_store(writer.path)
    damage = list(_identity_damage(manifest, None if store is None else store.plan_id))
    if damage:
        return damage
    damage += [Damage(None, None, None, f"`{key}` {what}") for key, what in files.items() if key == ROOT]
    size, decider = manifest.plan.shard_size, Decider.of(manifest.plan)
    judges = [str(judge["name"]) for judge in manifest.plan.judges]
    with ThreadPoolExecutor(threads) as pool:  # reading and hashing let the interpreter lock go
        for spec, source in zip(manifest.plan.sources, manifest.sources, strict=True):
            misfit = list(_shape_damage(spec, {*judges}, source, size))
            damage += misfit
            if misfit:
                continue  # it is not known which rows and shards belong together
            kept = spec.methods if candidates and manifest.plan.keep_candidates else ()
            arrays = [IMAGES, *(candidates_of(method.name) for method in kept)]
            changed = [key for key in files if key.startswith(f"{spec.name}/")]
            damage += [Damage(spec.name, None, None, f"`{key}` {files[key]}") for key in changed]
            # Without its description an array cannot be read; its shards may be sound.
            arrays = [array for array in arrays if f"{spec.name}/{array}/{ROOT}" not in files]
            check = partial(shard_problem, writer, spec, size, arrays)
            for shard, problem in zip(source.shards, pool.map(check, source.shards), strict=True):
                damage += [Damage(spec.name, shard.shard, None, problem)] if problem else []
                advance(_length(spec, size, shard.shard))
            if store is not None and not changed:
                damage += _column_damage(store, judges, spec, source)
            damage += _winner_damage(decider, spec, source)
    return damage


def _identity_damage(manifest: Manifest, stored_plan: str | None) -> Iterator[Damage]:
    """Whether manifest and store speak of one plan."""
    named, held = manifest.plan_id, manifest.plan.id
    if named != held:
        yield Damage(None, None, None, f"the manifest names the plan {named}, but holds the plan {held}")
    if stored_plan not in (named, None):
        yield Damage(None, None, None, f"is of the plan {stored_plan}, the manifest of the plan {named}")
    described = [source.name for source in manifest.sources]
    planned = [source.name for source in manifest.plan.sources]
    if described != planned:
        what = f"the manifest describes {', '.join(described)}; its plan has {', '.join(planned)}"
        yield Damage(None, None, None, what)


def _shape_damage(
    spec: SourceSpec, judges: AbstractSet[str], source: SourceManifest, shard_size: int
) -> Iterator[Damage]:
    """Whether the manifest describes the samples and shards of its plan."""
    if [sample.key for sample in source.samples] != [sample.key for sample in spec.samples]:
        yield Damage(spec.name, None, None, "the manifest's samples are not those of its plan")
    if [item.shard for item in source.shards] != list(spec.shards(shard_size)):
        yield Damage(spec.name, None, None, "the manifest's shards are not those of its plan")
    methods = {method.name for method in spec.methods}
    for row, sample in enumerate(source.samples):
        measured = [sample.scores, *sample.judges.values()]
        if any(values.keys() != methods for values in measured) or not {sample.method} <= methods | {None}:
            yield Damage(spec.name, None, row, "the manifest's scores are not of the methods of its plan")
        if sample.judges.keys() != judges:
            yield Damage(spec.name, None, row, "the manifest's judges are not those of its plan")


def _length(spec: SourceSpec, shard_size: int, shard: int) -> int:
    """Samples in a shard."""
    return min(shard_size, len(spec.samples) - shard * shard_size)


def shard_problem(
    store: StoreWriter, spec: SourceSpec, shard_size: int, arrays: Sequence[str], item: ShardDigest
) -> str | None:
    """Read a shard of one source, compare its digests, and say what is wrong; None for nothing."""
    digests = digests_of(item)
    found = (_array_problem(store, spec, shard_size, item.shard, name, digests.get(name)) for name in arrays)
    return next((problem for problem in found if problem), None)


def _array_problem(
    store: StoreWriter, spec: SourceSpec, shard_size: int, shard: int, array: str, digest: str | None
) -> str | None:
    """Read a shard of one array and compare its digest."""
    of = "" if array == IMAGES else f" of `{array}`"
    if digest is None:
        return f"the manifest has no digest of `{array}`"
    if not store.has_shard(spec.name, shard, array):
        return f"its file{of} is missing"
    length = _length(spec, shard_size, shard)
    try:
        images = store.read_shard(spec.name, shard * shard_size, length, array)
    except (StoreError, OSError, ValueError, KeyError) as error:
        return f"its file{of} cannot be decoded: {_text(error)}"
    expected = (length, spec.height, spec.width)
    if images.shape != expected:
        return f"its pictures{of} have the shape {images.shape}, the plan says {expected}"
    if digest_images(images) != digest:
        return f"its pictures{of} are not those that were made: their digest differs"
    return None


def _column_damage(
    store: HQStore, judges: Sequence[str], spec: SourceSpec, source: SourceManifest
) -> Iterator[Damage]:
    """Compare the small arrays with the samples of the manifest, row by row."""
    methods = [method.name for method in spec.methods]
    try:
        stored = store[spec.name]
    except (HqgenError, KeyError, OSError, ValueError) as error:
        yield Damage(spec.name, None, None, f"its group cannot be opened: {_text(error)}")
        return
    if list(stored.methods) != methods:
        what = f"its columns are {', '.join(stored.methods)}; the plan's methods {', '.join(methods)}"
        yield Damage(spec.name, None, None, what)
        return
    for name, expected in columns(spec, judges, source.samples).items():
        try:
            whole, found = stored.is_whole(name), np.asarray(stored.column(name))
        except Exception as error:  # noqa: BLE001 - zarr's codecs raise whatever their libraries do
            yield Damage(spec.name, None, None, f"`{name}` cannot be read: {_text(error)}")
            continue
        if not whole:
            yield Damage(spec.name, None, None, f"a file of `{name}` is missing")
            continue
        if found.shape != expected.shape:
            what = f"`{name}` has the shape {found.shape}, the manifest says {expected.shape}"
            yield Damage(spec.name, None, None, what)
            continue
        for row in _different_rows(found, expected):
            what = f"`{name}` is {found[row]}, the manifest says {expected[row]}"
            yield Damage(spec.name, None, row, what)


def _different_rows(found: Column, expected: Column) -> list[int]:
    same = found == expected
    if expected.dtype.kind == "f":
        same |= np.isnan(found) & np.isnan(expected)
    return np.flatnonzero(~same.reshape(len(same), -1).all(axis=1)).tolist()


def _winner_damage(decider: Decider, spec: SourceSpec, source: SourceManifest) -> Iterator[Damage]:
    """Whether each sample's winner and margin follow from its measures."""
    methods, decided = [method.name for method in spec.methods], spec.decided
    for row, sample in enumerate(source.samples):
        measures = measures_of(sample, methods, decider.score)
        found = decider.decide(methods, measures, decided.get(sample.key))
        if (sample.method, sample.refused) != (found.method, found.refused):
            by = "by the rule" if found.by_hand is None else "by hand"
            what = f"the manifest's winner is {sample.method}, {by} it is {found.method or found.refused}"
            yield Damage(spec.name, None, row, what)
        elif sample.by_hand != found.by_hand:
            yield Damage(spec.name, None, row, "the manifest does not say who decided as its plan does")
        elif sample.margin != found.margin:
            what = f"the manifest's margin is {sample.margin}, by the scores it is {found.margin}"
            yield Damage(spec.name, None, row, what)


def _text(error: Exception) -> str:
    return error.message if isinstance(error, HqgenError) else f"{type(error).__name__}: {error}"
