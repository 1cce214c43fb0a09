"""Another store from a finished one: winners picked again from its candidates.

No method runs. The new store is the one that a build with the other rule, limits, metric or judges would have
made, byte for byte. It is written through the same records, so a run that was stopped continues where it was.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqgen.builder.derived import THREADS, admit, read_sound, run_shards
from hqgen.builder.finish import Outcome, finish, log_file, write_error
from hqgen.builder.output import Output, files_of
from hqgen.builder.rescoring import (
    Measuring,
    Recordings,
    ShardMeasures,
    measuring,
    require_pictures,
    unchanged_recordings,
)
from hqgen.builder.settings import RepickSettings
from hqgen.decision import Decider, make_decider, measures_of
from hqgen.errors import StoreError, UsageError
from hqgen.interrupt import Stop
from hqgen.manifest import (
    ByHand,
    Manifest,
    Origin,
    Plan,
    SampleRecord,
    ShardDigest,
    ShardRecord,
    SourceManifest,
    SourceSpec,
    Verdict,
)
from hqgen.progress import Observer
from hqgen.provenance import specification
from hqgen.sources.recordings import SourceRecording
from hqgen.store import IMAGES, StoreWriter, candidates_of, digest_images, open_described


def repick(
    manifest_path: str | Path,
    settings: RepickSettings,
    observer: Observer,
    verdicts: Sequence[Verdict] | None = None,
) -> Outcome:
    """Pick the winners of a finished store again, into another store.

    Args:
        manifest_path: the manifest of a store that has its candidates.
        settings: rule, limits, metric and judges; the folder of the new store.
        observer: is shown the progress.
        verdicts: what people say of the samples; None for what they said of the old store.

    Raises:
        StoreError: the store holds winners only, is damaged, or lacks a candidate that the metric may score
            or that a person picked; or the new one cannot be written.
        UsageError: the rule needs a judge that is not there, or `out` is the store's own folder.
        ScoreError: the metric or a judge cannot run here, or refuses pictures of a source's size.
        SourceError, RecordingError: a judge needs the recordings, and they are gone or have changed.
        PlanMismatchError: the folder holds another store.
        InterruptedBuildError: the user asked to stop; what was done is kept.
    """
    started, manifest_path = datetime.now(UTC), Path(manifest_path).absolute()
    manifest, store = open_described(manifest_path)
    measured = _measuring(manifest, settings)
    plan = _plan(manifest.plan, settings, measured)
    said = manifest.verdicts
    if verdicts is not None:
        said, plan = tuple(verdicts) or None, _decided(plan, verdicts)
    output = Output(settings.out.absolute())
    if output.store.path.resolve() == store.path.resolve():
        raise UsageError(f"`{output.root}` holds the store to pick from", hint="choose another `--out`")
    work = _Work(StoreWriter(store.path), output, plan, Decider.of(plan), manifest, measured, said)
    if not manifest.plan.keep_candidates:
        _require_winners(work, manifest_path, by_hand=verdicts is not None)
    origin = Origin(manifest=str(manifest_path), plan_id=manifest.plan_id)
    try:
        with output.locked(), log_file(output, started):
            healed = admit(output, plan, observer, overwrite=settings.existing == "overwrite")
            outcome = _repick(work, settings.data_root, observer, started, origin, damaged=bool(healed))
            return replace(outcome, healed=healed)
    except OSError as error:
        raise write_error(output, error) from error


def _measuring(manifest: Manifest, settings: RepickSettings) -> Measuring:
    """What the new store's candidates are measured by."""
    measured = measuring(manifest.plan, settings.metric, settings.judges)
    require_pictures(manifest, measured.scorer)
    return measured


def _plan(plan: Plan, settings: RepickSettings, measured: Measuring) -> Plan:
    """The plan of the new store."""
    limits = settings.max_score, settings.min_consistency
    decider = make_decider(settings.rule, measured.names, *limits)
    changes = {
        "scorer": measured.scorer,
        "judges": measured.judges,
        "rule": specification(decider.rule),
        "max_score": settings.max_score,
        "min_consistency": settings.min_consistency,
        "keep_candidates": settings.keep_candidates,
    }
    return plan.model_copy(update=changes)


def _decided(plan: Plan, verdicts: Sequence[Verdict]) -> Plan:
    """The plan with what people decided; a mark decides nothing, so it is not part of a plan."""
    said = {item.key: item for item in verdicts if item.action in ("pick", "reject")}
    sources = []
    for spec in plan.sources:
        found = [said[sample.key] for sample in spec.samples if sample.key in said]
        by_hand = tuple(ByHand(key=item.key, method=item.method, note=item.note) for item in found)
        sources.append(spec.model_copy(update={"by_hand": by_hand or None}))
    return plan.model_copy(update={"sources": tuple(sources)})


def _require_winners(work: _Work, path: Path, *, by_hand: bool) -> None:
    """Make sure that a store of winners only has all pictures of the new one.

    Raises:
        StoreError: it has not, or it was not people who decided.
    """
    if not by_hand:
        raise StoreError(
            f"the store of `{path}` holds winners only, so there is nothing to pick from",
            hint="build it again with `--keep-candidates`",
        )
    for source, spec in zip(work.manifest.sources, work.plan.sources, strict=True):
        for before, sample in zip(source.samples, work.decided(spec, source.samples), strict=True):
            if sample.method not in (None, before.method):
                raise StoreError(
                    f"`{sample.method}` is to win `{sample.key}`, and the store of `{path}` holds the "
                    "pictures of winners only",
                    hint="build it again with `--keep-candidates`, or undo that verdict",
                )


def _repick(
    work: _Work, data_root: Path, observer: Observer, started: datetime, origin: Origin, *, damaged: bool
) -> Outcome:
    plan, output, manifest = work.plan, work.output, work.manifest
    jobs = list(work.missing())
    total = sum(len(source.samples) for source in manifest.sources)
    made = sum(len(job.samples) for job in jobs)
    there = output.manifest()
    if not (jobs or damaged or there is None) and (there.plan_id, there.verdicts) == (plan.id, work.verdicts):
        return Outcome(there, output, 0)
    recordings: Recordings = {}
    if jobs and work.measuring.needs_recordings:
        names = {job.source.name for job in jobs}
        cache = output.work / "blake3.json"
        recordings = unchanged_recordings(manifest, names, data_root, cache, observer)
    output.accept(plan, files_of(manifest))
    output.store.create(plan)
    run_shards(
        work.what,
        jobs,
        lambda job, stop: work.shard(job, recordings, stop),
        observer,
        left=made,
        total=total,
        threads=work.threads,
    )
    return Outcome(finish(plan, output, started, origin, verdicts=work.verdicts), output, made)


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
    """What every shard needs.

    Attributes:
        origin: the store to pick from.
        output: where to write.
        plan: the new one.
        decider: of the new plan.
        manifest: of the store to pick from.
        measuring: what candidates are measured by.
        verdicts: what people said of the samples; None for nothing.
    """

    origin: StoreWriter
    output: Output
    plan: Plan
    decider: Decider
    manifest: Manifest
    measuring: Measuring
    verdicts: tuple[Verdict, ...] | None

    @property
    def what(self) -> str:
        """What is done, for the progress."""
        return "picking" if self.measuring.scoring is None else "scoring"

    @property
    def threads(self) -> int:
        """Shards that are worked on at once."""
        return THREADS if self.measuring.scoring is None else os.cpu_count() or 1

    def missing(self) -> Iterator[_Job]:
        """The shards that are not complete, in order."""
        size = self.plan.shard_size
        for source in self.manifest.sources:
            part = self.plan.part(source.name).id
            for digests in source.shards:
                if self.output.record_plan(source.name, digests.shard) != part:
                    yield _Job(source, digests, digests.shard * size, size)

    def shard(self, job: _Job, recordings: Recordings, stop: Stop) -> int:
        """Pick one shard again and write it; gives the number of its samples, 0 after a wish to stop."""
        if stop.asked:
            return 0
        part = self.plan.part(job.source.name)
        (spec,) = part.sources
        methods = [method.name for method in spec.methods]
        before = [job.source.samples[row] for row in job.samples]
        samples = self.decided(spec, self._measured(job, spec, before, recordings.get(spec.name, ())))
        images = np.zeros((len(samples), spec.height, spec.width), np.uint8)
        for method in sorted({sample.method for sample in samples if sample.method is not None}):
            rows = [row for row, sample in enumerate(samples) if sample.method == method]
            images[rows] = self._candidates(job, method)[rows]
        digests, pairs = {}, list(zip(samples, before, strict=True))
        for method in methods if self.plan.keep_candidates else ():
            lost = [method in new.reasons and method not in old.reasons for new, old in pairs]
            digests[method] = self._keep(job, method, np.flatnonzero(lost))
        self.output.store.write_shard(spec.name, job.start, images)
        self.output.write_record(
            ShardRecord(
                plan=part.id,
                source=spec.name,
                shard=job.digests.shard,
                images_blake3=digest_images(images),
                candidates_blake3=digests,
                samples=tuple(samples),
            )
        )
        return len(samples)

    def decided(self, spec: SourceSpec, samples: Iterable[SampleRecord]) -> list[SampleRecord]:
        """Samples of a source with what the new plan decides of them."""
        methods, by_hand = [method.name for method in spec.methods], spec.decided
        decided = []
        for sample in samples:
            measures = measures_of(sample, methods, self.decider.score)
            decision = self.decider.decide(methods, measures, by_hand.get(sample.key))
            decided.append(sample.model_copy(update=decision._asdict()))
        return decided

    def _measured(
        self,
        job: _Job,
        spec: SourceSpec,
        samples: Sequence[SampleRecord],
        recordings: Sequence[SourceRecording],
    ) -> Sequence[SampleRecord]:
        """The samples of a shard, with what the new plan measures."""
        read = partial(self._candidates, job)
        score = str(self.manifest.plan.scorer["name"])
        shard = ShardMeasures(self.measuring, score, spec, job.start, samples, recordings, read)
        return shard.records()

    def _candidates(self, job: _Job, method: str) -> NDArray[np.uint8]:
        """One method's candidates of a shard, or the winners where there are only those: uint8 (n, H, W).

        Raises:
            StoreError: they are not what the build made.
        """
        array, what = candidates_of(method), f"the candidates of `{method}`"
        if not self.manifest.plan.keep_candidates:
            array, what = IMAGES, "the winners"
        damaged = f"{what} in shard {job.digests.shard} of `{job.source.name}` are damaged"
        return read_sound(self.origin, job.source, job.digests, job.size, array, damaged)

    def _keep(self, job: _Job, method: str, lost: NDArray[np.intp]) -> str:
        """Put one method's candidates of a shard into the new store, and give their digest.

        Args:
            job: the shard.
            method: name of the method.
            lost: rows of candidates that the new scorer gives no score; they become black.
        """
        array = candidates_of(method)
        if not lost.size:
            place = job.source.name, job.digests.shard, array
            self.output.store.share_shard(self.origin, place, job.digests.shard)
            return job.digests.candidates_blake3[method]
        pictures = self._candidates(job, method)
        pictures[lost] = 0
        self.output.store.write_shard(job.source.name, job.start, pictures, array)
        return digest_images(pictures)
