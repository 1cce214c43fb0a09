"""Another store from a finished one: winners picked again from its candidates, by what it knows of them.

No recording is read and no picture is made. The new store is the one that a build with the other rule or
limits would have made, byte for byte. It is written through the same records, so a run that was stopped
continues where it was.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from hqgen.builder.finish import InterruptedBuildError, Outcome, finish, log_file, write_error
from hqgen.builder.output import Output
from hqgen.builder.plan import by_name
from hqgen.builder.settings import RepickSettings
from hqgen.decision import Decider, make_decider, measures_of
from hqgen.errors import StoreError, UsageError
from hqgen.files import sync
from hqgen.interrupt import Stop, stoppable
from hqgen.manifest import Manifest, Origin, Plan, ShardDigest, ShardRecord, SourceFiles, SourceManifest
from hqgen.progress import Observer
from hqgen.provenance import require_same, specification
from hqgen.store import StoreWriter, candidates_of, digest_images, open_described

THREADS = 4
"""Shards that are worked on at once; each takes the memory of its winners and of one method's candidates."""


def repick(manifest_path: str | Path, settings: RepickSettings, observer: Observer) -> Outcome:
    """Pick the winners of a finished store again, into another store.

    Args:
        manifest_path: the manifest of a store that has its candidates.
        settings: rule and limits; the folder of the new store.
        observer: is shown the progress.

    Raises:
        StoreError: the store holds winners only, or is damaged; or the new one cannot be written.
        UsageError: the rule needs a judge that the store does not have, or `out` is the store's own folder.
        PlanMismatchError: the folder holds another store.
        InterruptedBuildError: the user asked to stop; what was done is kept.
    """
    started, manifest_path = datetime.now(UTC), Path(manifest_path).absolute()
    manifest, store = open_described(manifest_path)
    plan = _plan(manifest, settings, manifest_path)
    output = Output(settings.out.absolute())
    if output.store.path.resolve() == store.path.resolve():
        raise UsageError(f"`{output.root}` holds the store to pick from", hint="choose another `--out`")
    work = _Work(StoreWriter(store.path), output, plan, Decider.of(plan))
    origin = Origin(manifest=str(manifest_path), plan_id=manifest.plan_id)
    try:
        with output.locked(), log_file(output, started):
            _admit(settings, output, plan)
            return _repick(work, manifest, observer, started, origin)
    except OSError as error:
        raise write_error(output, error) from error


def _plan(manifest: Manifest, settings: RepickSettings, path: Path) -> Plan:
    """The plan of the new store."""
    plan = manifest.plan
    if not plan.keep_candidates:
        raise StoreError(
            f"the store of `{path}` holds winners only, so there is nothing to pick from",
            hint="build it again with `--keep-candidates`",
        )
    measures = (str(plan.scorer["name"]), *(str(judge["name"]) for judge in plan.judges))
    decider = make_decider(settings.rule, measures, settings.max_score, settings.min_consistency)
    changes = {
        "rule": specification(decider.rule),
        "max_score": settings.max_score,
        "min_consistency": settings.min_consistency,
        "keep_candidates": settings.keep_candidates,
    }
    return plan.model_copy(update=changes)


def _admit(settings: RepickSettings, output: Output, plan: Plan) -> None:
    """Make sure that the folder is free for the plan."""
    if settings.existing == "overwrite":
        output.clear()
        return
    current = output.plan()
    if current is not None and current.id != plan.id:
        require_same(
            f"`{output.root}` holds a store of another plan",
            by_name(current),
            by_name(plan),
            hint="choose another `--out`, or start over with `--existing overwrite`",
        )
    if current is None and output.store.path.exists():
        raise StoreError(
            f"`{output.store.path}` is there, but no plan of it in `{output.work}`",
            hint="choose another `--out`, or start over with `--existing overwrite`",
        )


def _repick(
    work: _Work, manifest: Manifest, observer: Observer, started: datetime, origin: Origin
) -> Outcome:
    plan, output = work.plan, work.output
    jobs = list(work.missing(manifest))
    total = sum(len(source.samples) for source in manifest.sources)
    left = made = sum(len(job.samples) for job in jobs)
    there = output.manifest()
    if not jobs and there is not None and there.plan_id == plan.id:
        return Outcome(there, output, 0)
    files = {
        source.name: SourceFiles(folder=source.folder, quarantined=source.quarantined_recordings)
        for source in manifest.sources
    }
    output.accept(plan, files)
    output.store.create(plan)
    message = "stopping: shards in flight are finished; interrupt again to stop at once"
    with (
        ThreadPoolExecutor(THREADS) as pool,  # reading, packing and hashing let the interpreter lock go
        stoppable(message) as stop,
        observer.progress("picking", total, "samples", total - left) as progress,
    ):
        try:
            for done in pool.map(lambda job: work.shard(job, stop), jobs):
                left -= done
                progress.advance(done)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if left:
        raise InterruptedBuildError(
            f"stopped with {total - left} of {total} samples done",
            hint="the same command continues from there",
        )
    return Outcome(finish(plan, output, started, origin), output, made)


@dataclass(frozen=True)
class _Job:
    """A shard to pick again: its source in the manifest, its digests, and its samples."""

    source: SourceManifest
    digests: ShardDigest
    start: int
    size: int

    @property
    def samples(self) -> range:
        """Rows of its samples."""
        return range(self.start, min(self.start + self.size, len(self.source.samples)))


@dataclass(frozen=True)
class _Work:
    """What every shard needs: the store to pick from, where to write, the new plan and its decider."""

    origin: StoreWriter
    output: Output
    plan: Plan
    decider: Decider

    def missing(self, manifest: Manifest) -> Iterator[_Job]:
        """The shards that are not complete, in order."""
        size = self.plan.shard_size
        for source in manifest.sources:
            part = self.plan.part(source.name).id
            for digests in source.shards:
                if self.output.record_plan(source.name, digests.shard) != part:
                    yield _Job(source, digests, digests.shard * size, size)

    def shard(self, job: _Job, stop: Stop) -> int:
        """Pick one shard again and write it; gives the number of its samples, 0 after a wish to stop."""
        if stop.asked:
            return 0
        part = self.plan.part(job.source.name)
        (spec,) = part.sources
        methods = [method.name for method in spec.methods]
        samples = []
        for row in job.samples:
            sample = job.source.samples[row]
            decision = self.decider.decide(methods, measures_of(sample, methods, self.decider.score))
            samples.append(sample.model_copy(update=decision._asdict()))
        images = np.zeros((len(samples), spec.height, spec.width), np.uint8)
        for method in sorted({sample.method for sample in samples if sample.method is not None}):
            rows = [row for row, sample in enumerate(samples) if sample.method == method]
            images[rows] = self._candidates(job, method)[rows]
        if self.plan.keep_candidates:
            for method in methods:
                self._keep(job, candidates_of(method))
        self.output.store.write_shard(spec.name, job.start, images)
        self.output.write_record(
            ShardRecord(
                plan=part.id,
                source=spec.name,
                shard=job.digests.shard,
                images_blake3=digest_images(images),
                candidates_blake3=job.digests.candidates_blake3 if self.plan.keep_candidates else {},
                samples=tuple(samples),
            )
        )
        return len(samples)

    def _candidates(self, job: _Job, method: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        """One method's candidates of a shard: uint8 (n, H, W).

        Raises:
            StoreError: they are not what the build made.
        """
        name = job.source.name
        pictures = self.origin.read_shard(name, job.start, len(job.samples), candidates_of(method))
        if digest_images(pictures) != job.digests.candidates_blake3.get(method):
            raise StoreError(
                f"`{self.origin.path}`: the candidates of `{method}` in shard {job.digests.shard} of "
                f"`{name}` are damaged",
                hint="`hqgen inspect MANIFEST --verify` says what else is, and docs/inspect.md how to repair",
            )
        return pictures

    def _keep(self, job: _Job, array: str) -> None:
        """Put the file of a shard of candidates into the new store, as it is."""
        place = job.source.name, job.digests.shard, array
        _share(self.origin.shard_file(*place), self.output.store.shard_file(*place))


def _share(file: Path, target: Path) -> None:
    """Let a file be at a second place: as a link, which takes no space, or else as a copy.

    No part of hqgen or Zarr changes a file of a store; they replace it. So a link is as good as a copy.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(file, target)
    except OSError:
        if not file.is_file():
            raise
        partial = target.with_name(f"{target.name}.partial")
        shutil.copyfile(file, partial)
        sync(partial)
        partial.replace(target)
    sync(target.parent)
