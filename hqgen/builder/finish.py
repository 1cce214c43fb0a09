"""The end of a build: the small arrays, the manifest, the log, and how it can fail on its way there."""

from __future__ import annotations

import errno
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from hqgen.builder.output import Output
from hqgen.errors import HqgenError, StoreError
from hqgen.manifest import Manifest, MergedPart, Origin, Plan, ShardDigest, SourceManifest, Times, Verdict

log = logging.getLogger(__name__)

_SOFTWARE = ("hqgen", "numpy", "numba", "zarr", "dask", "torch")


class InterruptedBuildError(HqgenError):
    """The user stopped the build; what is done is kept.

    What to do: run the same command again, it continues from there.
    """

    exit_code = 130


@dataclass(frozen=True)
class Outcome:
    """A finished build: its manifest, where the manifest is, and what this run did.

    Attributes:
        manifest: of the whole store.
        output: where it is.
        made: samples on which methods ran, or that were picked.
        taken: samples that were taken whole from an earlier build.
        healed: what was damaged and is made or written again, a line each.
    """

    manifest: Manifest
    output: Output
    made: int
    taken: int = 0
    healed: tuple[str, ...] = ()


def finish(
    plan: Plan,
    output: Output,
    started: datetime,
    repicked_from: Origin | None = None,
    merged_from: tuple[MergedPart, ...] | None = None,
    verdicts: tuple[Verdict, ...] | None = None,
) -> Manifest:
    """Complete a store whose shards are all there, and write its manifest.

    Args:
        plan: that the store was built by.
        output: where it is.
        started: when this run began, UTC.
        repicked_from: of a store that was picked from another one.
        merged_from: of a store that was merged from others.
        verdicts: of a store that people curated: what they said of it.
    """
    store_files = output.store.finish(plan, output.records(plan))
    manifest = _manifest(plan, output, started).model_copy(
        update={
            "repicked_from": repicked_from,
            "merged_from": merged_from,
            "verdicts": verdicts,
            "store_files": store_files,
        }
    )
    output.write_manifest(manifest)
    return manifest


def _manifest(plan: Plan, output: Output, started: datetime) -> Manifest:
    records, files = output.records(plan), output.files()
    finished = datetime.now(UTC)
    sources = []
    for source in plan.sources:
        shards = [next(records) for _ in source.shards(plan.shard_size)]
        sources.append(
            SourceManifest(
                name=source.name,
                folder=files[source.name].folder,
                shards=tuple(
                    ShardDigest(
                        shard=shard.shard,
                        images_blake3=shard.images_blake3,
                        candidates_blake3=shard.candidates_blake3,
                    )
                    for shard in shards
                ),
                quarantined_recordings=files[source.name].quarantined,
                samples=tuple(sample for shard in shards for sample in shard.samples),
            )
        )
    return Manifest(
        plan_id=plan.id,
        store=output.store.path.name,
        software={name: version(name) for name in _SOFTWARE} | {"python": platform.python_version()},
        plan=plan,
        sources=tuple(sources),
        times=Times(
            started=started.isoformat(timespec="seconds"),
            finished=finished.isoformat(timespec="seconds"),
            seconds=round((finished - started).total_seconds(), 3),
        ),
    )


def write_error(output: Output, error: OSError) -> StoreError:
    """What to say where something cannot be written."""
    space = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return StoreError(
        f"`{error.filename or output.root}` cannot be written: {error.strerror or error}",
        hint=("free some space there, or choose another `--out`; " if space else "")
        + "what is done is kept, and the same command continues from there",
    )


@contextmanager
def log_file(output: Output, started: datetime) -> Iterator[None]:
    """Keep what this run logs in a file of its own."""
    folder = output.work / "logs"
    folder.mkdir(exist_ok=True)
    handler = logging.FileHandler(folder / f"{started:%Y%m%dT%H%M%S}-{os.getpid()}.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("hqgen")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    except BaseException:
        log.info("the build ended early", exc_info=True)
        raise
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()
