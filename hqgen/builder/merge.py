"""One store from several finished builds, without their recordings.

No method runs and nothing is scored. The new store is the one that a single build of all sources and
recordings would have made, byte for byte. It is written through the same records, so a run that was stopped
continues where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqgen.builder.derived import admit, read_sound, run_shards
from hqgen.builder.finish import Outcome, finish, log_file, write_error
from hqgen.builder.joining import FinishedBuild, JoinedPlan, Place, join_builds
from hqgen.builder.output import Output
from hqgen.builder.settings import MergeSettings
from hqgen.errors import UsageError
from hqgen.interrupt import Stop
from hqgen.manifest import MergedPart, Plan, ShardRecord
from hqgen.progress import Observer
from hqgen.store import IMAGES, candidates_of, digest_images


def merge(manifests: Sequence[str | Path], settings: MergeSettings, observer: Observer) -> Outcome:
    """Make one store of several finished builds.

    Args:
        manifests: at least two; a sample that several builds have is taken from the first of them.
        settings: the folder of the new store.
        observer: is shown the progress.

    Raises:
        StoreError: a build is not finished or is damaged, or the new store cannot be written.
        UsageError: there are fewer than two builds, or `out` is the folder of one of them.
        PlanMismatchError: the builds do not fit together, or the folder holds another store.
        InterruptedBuildError: the user asked to stop; what was done is kept.
    """
    started = datetime.now(UTC)
    paths = [Path(path).absolute() for path in manifests]
    if len(paths) < 2:
        raise UsageError("a merge needs at least two builds", hint="name two builds or more, and `--out`")
    builds = [FinishedBuild.open(path) for path in paths]
    output = Output(settings.out.absolute())
    if any(output.store.path.resolve() == build.store.path.resolve() for build in builds):
        raise UsageError(f"`{output.root}` holds one of the builds to merge", hint="choose another `--out`")
    joined = join_builds(builds)
    try:
        with output.locked(), log_file(output, started):
            healed = admit(output, joined.plan, observer, overwrite=settings.existing == "overwrite")
            outcome = _merge(builds, joined, output, observer, started, damaged=bool(healed))
            return replace(outcome, healed=healed)
    except OSError as error:
        raise write_error(output, error) from error


def _merge(
    builds: Sequence[FinishedBuild],
    joined: JoinedPlan,
    output: Output,
    observer: Observer,
    started: datetime,
    *,
    damaged: bool,
) -> Outcome:
    plan = joined.plan
    jobs = list(_missing(joined, output))
    left = sum(len(job.places) for job in jobs)
    there = output.manifest()
    if not (jobs or damaged or there is None) and there.plan_id == plan.id:
        return Outcome(there, output, 0)
    output.accept(plan, joined.files)
    output.store.create(plan)
    total = sum(len(places) for places in joined.places.values())
    run_shards("merging", jobs, lambda job, stop: _shard(job, output, stop), observer, left=left, total=total)
    manifest = finish(plan, output, started, merged_from=tuple(_parts(builds, joined)))
    return Outcome(manifest, output, 0, left)


def _parts(builds: Sequence[FinishedBuild], joined: JoinedPlan) -> Iterator[MergedPart]:
    """What the manifest says of each build."""
    for build in builds:
        counts = {
            source: Counter(place.build is build for place in places)[True]
            for source, places in joined.places.items()
        }
        yield MergedPart(
            manifest=str(build.path),
            plan_id=build.manifest.plan_id,
            samples={source: number for source, number in counts.items() if number},
        )


@dataclass(frozen=True)
class _Job:
    """A shard of the new store: the plan of its source, its index, and where its samples are."""

    part: Plan
    index: int
    places: tuple[Place, ...]

    @property
    def source(self) -> str:
        """Name of its source."""
        return self.part.sources[0].name


def _missing(joined: JoinedPlan, output: Output) -> Iterator[_Job]:
    """The shards that are not complete, in order."""
    size = joined.plan.shard_size
    for spec in joined.plan.sources:
        part = joined.plan.part(spec.name)
        for index in spec.shards(size):
            if output.record_plan(spec.name, index) != part.id:
                yield _Job(part, index, joined.places[spec.name][index * size : (index + 1) * size])


def _shard(job: _Job, output: Output, stop: Stop) -> int:
    """Put one shard together and write it; gives the number of its samples, 0 after a wish to stop."""
    if stop.asked:
        return 0
    kept = job.part.sources[0].methods if job.part.keep_candidates else ()
    output.withdraw_record(job.source, job.index)
    candidates = {method.name: _array(job, output, candidates_of(method.name)) for method in kept}
    record = ShardRecord(
        plan=job.part.id,
        source=job.source,
        shard=job.index,
        images_blake3=_array(job, output, IMAGES),
        candidates_blake3=candidates,
        samples=tuple(place.record(job.source) for place in job.places),
    )
    output.write_record(record)
    return len(job.places)


def _array(job: _Job, output: Output, array: str) -> str:
    """Write a shard of one array, from the shards that have its pictures; gives its digest."""
    size = job.part.shard_size
    shards: dict[tuple[FinishedBuild, int], list[int]] = {}
    for row, place in enumerate(job.places):
        shards.setdefault((place.build, place.row // size), []).append(row)
    pictures: NDArray[np.uint8] | None = None
    for (build, index), rows in shards.items():
        damaged = f"`{array}` in shard {index} of `{job.source}` is damaged"
        source = build.source(job.source)
        found = read_sound(build.store, source, source.shards[index], size, array, damaged)
        inside = [job.places[row].row % size for row in rows]
        if len(shards) == 1 and inside == [*range(len(found))]:
            output.store.share_shard(build.store, (job.source, index, array), job.index)
            return digest_images(found)
        if pictures is None:
            pictures = np.empty((len(job.places), *found.shape[1:]), np.uint8)
        pictures[rows] = found[inside]
    assert pictures is not None
    output.store.write_shard(job.source, job.index * size, pictures, array)
    return digest_images(pictures)
