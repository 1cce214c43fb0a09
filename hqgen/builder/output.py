"""The output directory of a build, and what may be done to it.

::

    OUT/hq.zarr                  the HQ store
    OUT/manifest.json            the manifest; written last, so it is there only for a complete store
    OUT/hq.build/plan.json       the plan that the store is being built by
    OUT/hq.build/plans/ID.json   the part of a plan that one source has, for every one ever accepted here
    OUT/hq.build/records/SOURCE/SHARD.json
    OUT/hq.build/sources.json    folders of the sources, and the recordings in them that cannot be used
    OUT/hq.build/blake3.json    digests of recordings, by path, size and time of change
    OUT/hq.build/readings.json  whether recordings are read as they were written, by the same
    OUT/hq.build/logs/           one log a run
    OUT/hq.build/earlier/N/      builds of other plans that this one takes finished samples from, until it is
                                 complete; each with its store and records as they were in OUT
    OUT/hq.build/lock            held by the build that is running

Every document appears whole or not at all: it is written to a temporary file, synced and renamed. Each has a
seal (see `hqgen.documents`), so one that was changed since counts as damaged. The manifest holds the plan and
`sources.json`, too; they are taken from there if they are damaged.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from hqgen.documents import dump, read_sealed, write_sealed
from hqgen.errors import StoreError
from hqgen.files import held, make_way, write_atomically
from hqgen.manifest import Manifest, Plan, ShardRecord, SourceFiles, read_manifest
from hqgen.store import IMAGES, StoreWriter, candidates_of
from hqgen.text import why

_FILES: TypeAdapter[dict[str, SourceFiles]] = TypeAdapter(dict[str, SourceFiles])


def files_of(manifest: Manifest) -> dict[str, SourceFiles]:
    """What there was on the disk for every source, as a manifest has it."""
    return {
        source.name: SourceFiles(folder=source.folder, quarantined=source.quarantined_recordings)
        for source in manifest.sources
    }


@dataclass(frozen=True)
class Output:
    """The output directory `root`; picklable, so that workers on other machines can write through it."""

    root: Path

    @property
    def store(self) -> StoreWriter:
        """The HQ store."""
        return StoreWriter(self.root / "hq.zarr")

    @property
    def manifest_path(self) -> Path:
        """The manifest's place beside the store."""
        return self.root / "manifest.json"

    @property
    def work(self) -> Path:
        """The folder of everything that is neither store nor manifest."""
        return self.root / "hq.build"

    @property
    def begun(self) -> bool:
        """Whether something was built here before."""
        return (self.work / "plan.json").exists()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the output directory while the block runs.

        Raises:
            StoreError: another build holds it, or nothing can be written there.
        """
        with held(self.work / "lock", self.root, "build", StoreError):
            self._settle()
            yield

    def plan(self) -> Plan | None:
        """The plan that the store is being built by, or None where nothing was built yet.

        Raises:
            StoreError: it is damaged, and there is no manifest that has it, too.
        """
        manifest = None
        try:
            if (plan := self._read_plan(self.work / "plan.json")) is not None:
                return plan
            if self.has_records:
                manifest = self.manifest()
        except StoreError:
            if (manifest := self.manifest()) is None:
                raise
        return None if manifest is None else manifest.plan

    def part(self, plan_id: str) -> Plan | None:
        """A source's part of a plan that was accepted here, now or before, by the id that records give."""
        return self._read_plan(self.part_path(plan_id))

    def accept(self, plan: Plan, files: dict[str, SourceFiles]) -> None:
        """Make `plan` the one that the store is being built by; a manifest that is there goes."""
        self._remove(self.manifest_path)
        self._write(self.work / "sources.json", [_FILES.dump_json(files, indent=1).decode(), "\n"])
        for source in plan.sources:
            part = plan.part(source.name)
            self._write(self.part_path(part.id), dump(part))
        self._write(self.work / "plan.json", dump(plan))

    def files(self) -> dict[str, SourceFiles]:
        """What there was on the disk for every source when a plan was last accepted."""
        try:
            return self.read_files()
        except (OSError, ValueError):
            manifest = self.manifest()
        return {} if manifest is None else files_of(manifest)

    def read_files(self) -> dict[str, SourceFiles]:
        """The content of `sources.json`.

        Raises:
            OSError, ValueError: it is missing or damaged.
        """
        return _FILES.validate_json(read_sealed(self.work / "sources.json"))

    @property
    def has_records(self) -> bool:
        """Whether a shard was ever completed here."""
        return (self.work / "records").is_dir()

    @property
    def finished(self) -> bool:
        """Whether there is a manifest, which may be damaged."""
        return self.manifest_path.exists()

    def manifest(self) -> Manifest | None:
        """The manifest, or None where the store is not complete, or the manifest is damaged."""
        try:
            return read_manifest(self.manifest_path, unchanged=True)
        except StoreError:
            return None

    def only_of(self, plan: Plan) -> bool:
        """Whether there are records, and all that are not damaged are of this plan."""
        ids = {plan.part(source.name).id for source in plan.sources}
        found = set()
        for path in (self.work / "records").glob("*/*.json"):
            with suppress(OSError, ValueError):
                found.add(ShardRecord.model_validate_json(read_sealed(path)).plan)
        return bool(found) and found <= ids

    def part_path(self, plan_id: str) -> Path:
        """Where a source's part of a plan is."""
        return self.work / "plans" / f"{plan_id}.json"

    def clear(self) -> None:
        """Remove everything that a build made here, the store first to be checked to be one.

        Raises:
            StoreError: there is something at the path of the store that is not an HQ store.
        """
        self.store.check_ours()
        for file in (self.manifest_path, self.work / "plan.json", self.work / "sources.json"):
            self._remove(file)
        self.forget_earlier()
        for folder in (self.work / "plans", self.work / "records", self.store.path):
            if folder.exists():
                shutil.rmtree(folder)

    def earlier(self) -> list[Output]:
        """Builds that were set aside, the newest last; none once a later one is complete."""
        return [Output(folder) for folder in sorted((self.work / "earlier").glob("[0-9]*"))]

    def set_aside(self) -> None:
        """Move store and records away, so that another plan can be built here and take from them."""
        newest = max((int(build.root.name) for build in self.earlier()), default=0)
        write_atomically(self.work / "earlier" / "moving", f"{newest + 1:06d}")
        self._settle()

    def _settle(self) -> None:
        """Complete a `set_aside`, or one that a kill broke off: nothing else may be done here before."""
        moving = self.work / "earlier" / "moving"
        if not moving.exists():
            return
        aside = Output(self.work / "earlier" / moving.read_text())
        aside.work.mkdir(parents=True, exist_ok=True)
        self.manifest_path.unlink(missing_ok=True)
        moves = [(self.work / name, aside.work / name) for name in ("plans", "records", "plan.json")]
        for place, target in (*moves, (self.store.path, aside.store.path)):
            if place.exists():
                place.rename(target)
        moving.unlink()

    def forget_earlier(self) -> None:
        """Remove the builds that were set aside."""
        if (self.work / "earlier").exists():
            shutil.rmtree(self.work / "earlier")

    def record_path(self, source: str, shard: int) -> Path:
        """Where the record of a shard is."""
        return self.work / "records" / source / f"{shard:06d}.json"

    def record_plan(self, source: str, shard: int) -> str | None:
        """Id of the part of a plan that a shard was completed by; None where it is not complete."""
        try:
            return self.completed_by(source, shard)
        except (FileNotFoundError, ValueError):
            return None

    def completed_by(self, source: str, shard: int) -> str:
        """Id of the part of a plan that a shard was completed by; the content of its files is not read.

        Raises:
            FileNotFoundError: its record is missing.
            ValueError: its record is damaged, or a file of it is missing or has another size than it had.
        """
        try:
            document = json.loads(read_sealed(self.record_path(source, shard)))
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:
            raise ValueError(f"its record is damaged: {why(error)}") from error
        try:
            plan, sizes = str(document["plan"]), document.get("sizes", {})
            arrays = (IMAGES, *map(candidates_of, document.get("candidates_blake3", ())))
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError("its record is damaged: it is not the record of a shard") from error
        for array in arrays:
            if problem := self.store.file_problem(source, shard, array, sizes.get(array)):
                raise ValueError(problem)
        return plan

    def record(self, source: str, shard: int) -> ShardRecord:
        """The record of a shard.

        Raises:
            StoreError: it is missing or damaged.
        """
        path = self.record_path(source, shard)
        try:
            return ShardRecord.model_validate_json(read_sealed(path))
        except (OSError, ValueError) as error:
            raise StoreError(
                f"the record `{path}` is missing or damaged: {why(error)}",
                hint="remove the file and run the same build again; it makes the shard again",
            ) from error

    def withdraw_record(self, source: str, shard: int) -> None:
        """Declare a shard incomplete: other images are about to take the place of those in its record."""
        self._remove(self.record_path(source, shard))

    def write_record(self, record: ShardRecord) -> ShardRecord:
        """Declare a shard complete; its images must be on the disk. Gives the record with their sizes."""
        arrays = (IMAGES, *map(candidates_of, record.candidates_blake3))
        files = {array: self.store.shard_file(record.source, record.shard, array) for array in arrays}
        sizes = {array: file.stat().st_size for array, file in files.items()}
        record = record.model_copy(update={"sizes": sizes})
        self._write(self.record_path(record.source, record.shard), dump(record))
        return record

    def records(self, plan: Plan) -> Iterator[ShardRecord]:
        """All records of a plan, in its order, one at a time."""
        for source in plan.sources:
            for shard in source.shards(plan.shard_size):
                yield self.record(source.name, shard)

    def write_manifest(self, manifest: Manifest) -> None:
        """Write the manifest: the last act of a build."""
        self._write(self.manifest_path, dump(manifest))

    def _write(self, path: Path, pieces: Iterable[str]) -> None:
        write_sealed(path, pieces, within=self.root)

    def _remove(self, path: Path) -> None:
        make_way(path, within=self.root)
        path.unlink(missing_ok=True)

    def _read_plan(self, path: Path) -> Plan | None:
        try:
            return Plan.model_validate_json(read_sealed(path))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreError(
                f"the plan `{path}` cannot be read; it is damaged or of another version of hqgen",
                hint="build into another directory, or start over with `--existing overwrite`",
            ) from error
