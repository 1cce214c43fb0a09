"""A store made from finished ones: what it takes of them, where it may go, and its shards made in threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hqgen.builder.check import withdraw_damaged
from hqgen.builder.finish import InterruptedBuildError
from hqgen.builder.output import Output
from hqgen.builder.plan import by_name
from hqgen.errors import StoreError
from hqgen.interrupt import Stop, stoppable
from hqgen.manifest import Plan, ShardDigest, SourceManifest
from hqgen.progress import Observer
from hqgen.provenance import require_same
from hqgen.store import StoreWriter, digest_images, digests_of

Job = TypeVar("Job")

THREADS = 4
"""Shards that are worked on at once; each takes the memory of its winners and of one method's candidates."""


def admit(output: Output, plan: Plan, observer: Observer, *, overwrite: bool) -> tuple[str, ...]:
    """Make sure that a folder is free for a plan, or holds a part of its store.

    Returns:
        What is damaged of that part, see `withdraw_damaged`.

    Raises:
        PlanMismatchError: it holds a store of another plan.
        StoreError: it holds a store without a plan.
    """
    if overwrite:
        output.clear()
        return ()
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
    if current is None or not output.has_records:
        return ()
    return withdraw_damaged(output, current, observer, everything=False)


def read_sound(
    store: StoreWriter, source: SourceManifest, digests: ShardDigest, size: int, array: str, damaged: str
) -> NDArray[np.uint8]:
    """A shard of one array of a finished store, if it is what the build made: uint8 (n, H, W).

    Args:
        store: the finished one.
        source: in the manifest of the store.
        digests: of the shard, in the manifest.
        size: samples in a whole shard.
        array: name of the array.
        damaged: what the message says of one that is not sound.

    Raises:
        StoreError: its digest is not that of the manifest.
    """
    start = digests.shard * size
    pictures = store.read_shard(source.name, start, min(size, len(source.samples) - start), array)
    if digest_images(pictures) != digests_of(digests).get(array):
        raise StoreError(
            f"`{store.path}`: {damaged}",
            hint="`hqgen inspect MANIFEST --verify` says what else is, and docs/inspect.md how to repair",
        )
    return pictures


def run_shards(
    what: str,
    jobs: Sequence[Job],
    work: Callable[[Job, Stop], int],
    observer: Observer,
    *,
    left: int,
    total: int,
    threads: int = THREADS,
) -> None:
    """Work on shards in threads until all are done.

    Args:
        what: is done, for the progress.
        jobs: a shard each.
        work: does one; gives the number of its samples, or 0 if it did nothing after a wish to stop.
        observer: gets the progress.
        left: samples of all jobs.
        total: samples of the whole store.
        threads: shards at once.

    Raises:
        InterruptedBuildError: the user asked to stop; what was done is kept.
    """
    message = "stopping: shards in flight are finished; interrupt again to stop at once"
    with (
        ThreadPoolExecutor(threads) as pool,  # reading, scoring and packing let the interpreter lock go
        stoppable(message) as stop,
        observer.progress(what, total, "samples", total - left) as progress,
    ):
        try:
            for done in pool.map(lambda job: work(job, stop), jobs):
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
