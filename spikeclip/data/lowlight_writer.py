"""Writing low-light sets: whole, by one process, or not at all."""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import SourceError, StoreError
from hqgen.files import held
from hqgen.progress import SILENT, Observer
from hqgen.provenance import require_same
from hqgen.sources import Rejected
from hqgen.spikes.packed import PackedSpikes, frame_bytes
from spikeclip.data.lowlight import FORMAT, THREADS, Digest, LowLightSet, open_prepared, partial_path

if TYPE_CHECKING:
    import zarr

_ROWS_PER_CHUNK = 65_536

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class LabelledStream:
    """A sample on its way into a low-light set.

    Attributes:
        key: its name.
        label: number of its class.
        spikes: the stream.
        truth: the clean picture at the middle frame, uint8 (H, W); None where it is not known.
    """

    key: str
    label: int
    spikes: PackedSpikes
    truth: Bytes | None = None


Make = Callable[[], LabelledStream | Rejected]
"""Makes one sample, or says why there is none; runs on a thread or, pickled, in another process."""


def write(
    out: Path,
    *,
    labels: Sequence[str],
    geometry: tuple[int, int],
    frames: int,
    splits: Mapping[str, int],
    samples: Callable[[str], Iterable[Make]],
    made_from: Mapping[str, Any],
    rejected: Sequence[Rejected] = (),
    with_truth: bool = False,
    task: str = "prepare",
    observer: Observer = SILENT,
    pool: Executor | None = None,
) -> LowLightSet:
    """Write a low-light set, or open the one that is there if it was made from the same.

    Args:
        out: where it will be.
        labels: names of the classes.
        geometry: (H, W) of all streams.
        frames: T of all streams.
        splits: how many samples each split has at most.
        samples: gives what makes the samples of a split, in order.
        made_from: JSON that says what the set is made from and how.
        rejected: what was left out before.
        with_truth: whether all samples have a clean picture; otherwise none has.
        task: name of the work, for the progress.
        observer: gets the progress.
        pool: makes the samples; None for threads of this process.

    Raises:
        StoreError: another set is there, another process is writing there, or nobody can.
        SourceError: not one sample was left.
    """
    import zarr

    if out.exists():
        found, what = open_prepared(out), f"`{out}` holds another low-light set"
        hint = "name another place, or remove it"
        require_same(what, found.made_from, made_from, hint=hint, error=StoreError)
        return found
    # Decoding and simulating let the interpreter lock go, so that threads are enough.
    with (
        _locked(out) as folder,
        observer.progress(task, sum(splits.values()), "samples") as job,
        nullcontext(pool) if pool else ThreadPoolExecutor(THREADS) as workers,
    ):
        root = zarr.open_group(folder, mode="a", zarr_format=3)
        streams, truth = (Digest(labels, geometry, frames) for _ in range(2))
        left_out, written = list(rejected), []
        for name, count in splits.items():
            group = _SplitWriter(root.create_group(name), count, frames, geometry, with_truth)
            for item in _made(workers, samples(name)):
                job.advance()
                if isinstance(item, Rejected):
                    left_out.append(item)
                else:
                    streams.add(name, item.key, item.label, group.add(item))
                    if item.truth is not None:
                        truth.add(name, item.key, item.label, item.truth)
            written += [name] if group.finish() else []
        if not written:
            first = f"; `{left_out[0].path}`: {left_out[0].reason}" if left_out else ""
            raise SourceError(f"no sample is left for the low-light set `{out}`{first}")
        root.attrs.put(
            {
                "format": FORMAT,
                "labels": list(labels),
                "geometry": list(geometry),
                "frames": frames,
                "splits": written,
                "digest": streams.hex(),
                "truth": truth.hex() if with_truth else None,
                "made_from": dict(made_from),
                "rejected": [[item.path, item.reason] for item in left_out],
            }
        )
    return open_prepared(out)


def _made(pool: Executor, makes: Iterable[Make]) -> Iterator[LabelledStream | Rejected]:
    """The samples in order, only a few made in advance: a slow disk does not fill the memory."""
    waiting: deque[Future[LabelledStream | Rejected]] = deque()
    for make in makes:
        waiting.append(pool.submit(make))
        if len(waiting) > 2 * THREADS:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@contextmanager
def _locked(out: Path) -> Iterator[Path]:
    """An empty folder that nobody else writes to; it becomes `out` when the block ends well."""
    folder = partial_path(out)
    lock = folder / "lock"
    with held(lock, out, "process", StoreError):
        for left in folder.iterdir():  # by a run that was killed
            if left.is_dir():
                shutil.rmtree(left)
            elif left != lock:
                left.unlink()
        try:
            yield folder
            os.sync()  # one call for thousands of files, so that none is empty after a power cut
            lock.unlink()
            folder.rename(out)
        except OSError as error:
            raise StoreError(
                f"the low-light set `{out}` cannot be written: {error.strerror or error}",
                hint="choose a folder that you can write to, with enough space",
            ) from error


class _SplitWriter:
    """Writes the samples of one split, a chunk each, and then the small arrays."""

    def __init__(
        self, group: zarr.Group, count: int, frames: int, geometry: tuple[int, int], with_truth: bool
    ) -> None:
        self._group, self._labels, self._keys = group, list[int](), list[str]()
        self._packed = self._array("packed", count, (frames, frame_bytes(*geometry)))
        self._truth = self._array("truth", count, geometry) if with_truth else None

    def _array(self, name: str, count: int, shape: tuple[int, int]) -> Any:
        """An array of a chunk for each sample."""
        from zarr.codecs import ZstdCodec

        return self._group.create_array(
            name,
            shape=(count, *shape),
            chunks=(1, *shape),
            dtype="uint8",
            fill_value=0,
            compressors=ZstdCodec(level=1, checksum=True),
            config={"write_empty_chunks": True},
        )

    def add(self, sample: LabelledStream) -> Bytes:
        """Write a sample; gives its bytes as they are stored."""
        spikes = sample.spikes
        upright = PackedSpikes.pack(spikes.frames()) if spikes.bottom_up else spikes
        self._packed[len(self._labels)] = upright.data
        if self._truth is not None:
            self._truth[len(self._labels)] = sample.truth
        self._labels.append(sample.label)
        self._keys.append(sample.key)
        return upright.data

    def finish(self) -> int:
        """Write the small arrays; gives the number of samples."""
        count = len(self._labels)
        for array in (self._packed, self._truth):
            if array is not None:
                array.resize((count, *array.shape[1:]))
        chunks = (min(max(count, 1), _ROWS_PER_CHUNK),)
        labels: Any = self._group.create_array("labels", shape=(count,), chunks=chunks, dtype=np.int64)
        labels[:] = np.array(self._labels, np.int64)
        keys: Any = self._group.create_array("keys", shape=(count,), chunks=chunks, dtype=str)
        keys[:] = np.array(self._keys, object)
        return count
