"""What is damaged of a build: its documents, the files of its store, its shards.

A build looks before it says that there is nothing to do: at every document, at the sizes of all files, and at
the pictures of a few shards. A shard that is damaged loses its record, so it is missing like any other, and
is made again. `hqgen inspect --verify` reads everything and changes nothing.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hqgen.builder.output import Output, files_of
from hqgen.documents import read_sealed
from hqgen.errors import StoreError
from hqgen.manifest import Manifest, Plan, ShardRecord, SourceManifest, SourceSpec
from hqgen.progress import SILENT, Observer
from hqgen.store import IMAGES, candidates_of
from hqgen.text import why
from hqgen.verify import THREADS, Damage, shard_problem, verify

SAMPLE = 8
"""Shards whose pictures are read where not all are asked for, chosen at random by every run."""

NAMED = 5
"""Damages that a build names; the log has all."""


def verify_build(
    manifest_path: Path, *, advance: Callable[[int], None] = lambda _samples: None
) -> list[Damage]:
    """Everything that is damaged of a finished build: see `verify`; and its documents, if they are there.

    Raises:
        StoreError: as `verify`.
    """
    damage = verify(manifest_path, advance=advance)
    output = Output(manifest_path.absolute().parent)
    manifest = output.manifest()
    if manifest is not None and output.work.is_dir() and output.manifest_path.samefile(manifest_path):
        damage += [*_document_damage(output, manifest.plan, manifest), *_record_damage(output, manifest)]
    return damage


def withdraw_damaged(output: Output, plan: Plan, observer: Observer, *, everything: bool) -> tuple[str, ...]:
    """Find what is damaged of a build, finished or not, and declare damaged shards incomplete.

    What else is damaged is written again whenever a build is finished again. Descriptions of arrays are
    written again at once, because shards cannot be read without them.

    Args:
        output: where the build is.
        plan: that it was built by.
        observer: is shown the damage.
        everything: whether the pictures of all shards are read.

    Returns:
        A line for each damage.
    """
    manifest = output.manifest()
    damage = [*_document_damage(output, plan, manifest), *_store_damage(output, plan, manifest)]
    if everything and manifest is not None and manifest.store_files is None:
        damage.append(_of("manifest.json", "is of a time without digests of the store's files"))
    sound: list[tuple[SourceSpec, int]] = []
    lost = list(_incomplete_shards(output, plan, sound))
    chosen = sound if everything else random.sample(sound, min(SAMPLE, len(sound)))
    lost += _changed_shards(output, plan, chosen, observer if everything else SILENT)
    if everything and manifest is not None:
        lost += _record_damage(output, manifest)
    for item in lost:
        output.withdraw_record(str(item.source), int(item.shard or 0))
    lines = tuple(str(item) for item in damage + lost)
    for line in lines[:NAMED]:
        observer.note(f"damaged: {line}")
    if len(lines) > NAMED:
        observer.note(f"and {len(lines) - NAMED:,} more; the log in `{output.work / 'logs'}` has all")
    return lines


def _document_damage(output: Output, plan: Plan, manifest: Manifest | None) -> Iterator[Damage]:
    """Documents besides records that are missing, were changed, or do not say what the manifest says."""
    if output.finished and manifest is None:
        yield _of("manifest.json", "is damaged")
    plans = {output.part_path(part.id): part.id for part in map(plan.part, (s.name for s in plan.sources))}
    for path, plan_id in {output.work / "plan.json": plan.id, **plans}.items():
        name = str(path.relative_to(output.root))
        try:
            if Plan.model_validate_json(read_sealed(path)).id != plan_id:
                yield _of(name, "is not what the manifest says")
        except (OSError, ValueError) as error:
            yield _of(name, f"is missing or damaged: {_reason(error)}")
    try:
        files = output.read_files()
        if manifest is not None and files != files_of(manifest):
            yield _of("hq.build/sources.json", "is not what the manifest says")
    except (OSError, ValueError) as error:
        yield _of("hq.build/sources.json", f"is missing or damaged: {_reason(error)}")
    for name in ("blake3.json", "readings.json"):  # which a build reads and writes whenever it needs them
        try:
            json.loads(read_sealed(output.work / name))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            yield _of(f"hq.build/{name}", f"is damaged: {_reason(error)}")


def _of(name: str, what: str) -> Damage:
    return Damage(None, None, None, f"`{name}` {what}")


def _reason(error: BaseException) -> str:
    """The first line of what is wrong; of a document that does not fit its model, that is the summary."""
    return why(error).splitlines()[0]


def _store_damage(output: Output, plan: Plan, manifest: Manifest | None) -> list[Damage]:
    """Files of the store, besides shards, that were changed; descriptions of arrays are written again."""
    known = manifest.store_files if manifest else None
    changed = [_of(key, what) for key, what in output.store.changed_files(known or {})]
    if changed or known is None:
        output.store.describe(plan, complete=output.finished)
    return changed


def _incomplete_shards(output: Output, plan: Plan, sound: list[tuple[SourceSpec, int]]) -> Iterator[Damage]:
    """Shards with a damaged record or with files of another size; the others of this plan go to `sound`."""
    for spec in plan.sources:
        part = plan.part(spec.name).id
        for index in spec.shards(plan.shard_size):
            try:
                if output.completed_by(spec.name, index) == part:
                    sound.append((spec, index))
            except FileNotFoundError:
                if output.finished:
                    yield Damage(spec.name, index, None, "its record is missing")
            except ValueError as error:
                yield Damage(spec.name, index, None, _reason(error))


def _changed_shards(
    output: Output, plan: Plan, shards: list[tuple[SourceSpec, int]], observer: Observer
) -> Iterator[Damage]:
    """Shards whose pictures are not those of their records."""

    def length(place: tuple[SourceSpec, int]) -> int:
        spec, index = place
        return min(plan.shard_size, len(spec.samples) - index * plan.shard_size)

    def problem(place: tuple[SourceSpec, int]) -> str | None:
        spec, index = place
        kept = spec.methods if plan.keep_candidates else ()
        arrays = (IMAGES, *(candidates_of(method.name) for method in kept))
        try:
            digests = output.record(spec.name, index).digests
        except StoreError as error:
            return error.message
        return shard_problem(output.store, spec, plan.shard_size, arrays, digests)

    with (
        ThreadPoolExecutor(THREADS) as pool,
        observer.progress("verifying", sum(map(length, shards)), "samples") as progress,
    ):
        for (spec, index), what in zip(shards, pool.map(problem, shards), strict=True):
            progress.advance(length((spec, index)))
            if what is not None:
                yield Damage(spec.name, index, None, what)


def _record_damage(output: Output, manifest: Manifest) -> Iterator[Damage]:
    """Records that are missing or damaged, or do not say what the manifest says."""
    plan = manifest.plan
    for spec, source in zip(plan.sources, manifest.sources, strict=True):
        part = plan.part(spec.name).id
        for index in spec.shards(plan.shard_size):
            expected = _expected_record(part, source, index, plan.shard_size)
            try:
                found = output.record(spec.name, index)
            except StoreError as error:
                what = f"its record is missing or damaged: {_reason(error.__cause__ or error)}"
                yield Damage(spec.name, index, None, what)
                continue
            if found.model_copy(update={"sizes": {}}) != expected:
                yield Damage(spec.name, index, None, "its record is not what the manifest says")


def _expected_record(part: str, source: SourceManifest, index: int, size: int) -> ShardRecord:
    digests = source.shards[index]
    return ShardRecord(
        plan=part,
        source=source.name,
        shard=index,
        images_blake3=digests.images_blake3,
        candidates_blake3=digests.candidates_blake3,
        samples=source.samples[index * size : (index + 1) * size],
    )
