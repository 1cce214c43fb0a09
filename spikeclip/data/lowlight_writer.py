"""Writing low-light sets: whole, by one process, or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import SourceError, StoreError
from hqgen.files import digest_bytes, held
from hqgen.sources import Rejected
from hqgen.spikes.packed import PackedSpikes, frame_bytes

if TYPE_CHECKING:
    import zarr

__all__ = ["FORMAT", "Digest", "LabelledStream", "in_order", "partial_path", "write"]

FORMAT = "spikeclip-low-light"
_ROWS_PER_CHUNK = 65_536

Bytes = NDArray[np.uint8]
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, eq=False)
class LabelledStream:
    """A sample on its way into a low-light set."""

    key: str
    label: int
    spikes: PackedSpikes


def write(
    out: Path,
    *,
    labels: Sequence[str],
    geometry: tuple[int, int],
    frames: int,
    splits: Mapping[str, int],
    streams: Callable[[str], Iterable[LabelledStream | Rejected]],
    made_from: Mapping[str, Any],
    rejected: Sequence[Rejected] = (),
) -> None:
    """Write a low-light set.

    Args:
        out: where it is to lie.
        labels: names of the classes.
        geometry: (H, W) of all streams.
        frames: T of all streams.
        splits: how many samples `streams` gives of each split at most.
        streams: the samples of a split in order, and among them what could not be had.
        made_from: JSON that says what the set is made from and how.
        rejected: what was left out before.

    Raises:
        StoreError: another process is writing there, or nobody can.
        SourceError: not one sample was left.
    """
    import zarr

    with _locked(out) as folder:
        root = zarr.open_group(folder, mode="a", zarr_format=3)
        digest, left_out, written = Digest(labels, geometry, frames), list(rejected), []
        for name, count in splits.items():
            group = _SplitWriter(root.create_group(name), count, frames, geometry)
            for item in streams(name):
                if isinstance(item, Rejected):
                    left_out.append(item)
                else:
                    digest.add(name, item.key, item.label, group.add(item))
            written += [name] if group.finish() else []
        if not written:
            raise _nothing_left(out, left_out)
        root.attrs.put(
            {
                "format": FORMAT,
                "labels": list(labels),
                "geometry": list(geometry),
                "frames": frames,
                "splits": written,
                "digest": digest.hex(),
                "made_from": dict(made_from),
                "rejected": [[item.path, item.reason] for item in left_out],
            }
        )


def partial_path(out: Path) -> Path:
    """Where a set lies while it is written."""
    return out.with_name(f".{out.name}.partial")


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
            raise _unwritable(out, error) from error


def _unwritable(out: Path, error: OSError) -> StoreError:
    return StoreError(
        f"the low-light set `{out}` cannot be written: {error.strerror or error}",
        hint="name a place with enough space that is yours to write to",
    )


class _SplitWriter:
    """Writes the samples of one split, a chunk each, and then the small arrays."""

    def __init__(self, group: zarr.Group, count: int, frames: int, geometry: tuple[int, int]) -> None:
        from zarr.codecs import ZstdCodec

        shape = (frames, frame_bytes(*geometry))
        self._group, self._labels, self._keys = group, list[int](), list[str]()
        self._packed: Any = group.create_array(
            "packed",
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
        self._labels.append(sample.label)
        self._keys.append(sample.key)
        return upright.data

    def finish(self) -> int:
        """Write the small arrays; gives the number of samples."""
        count = len(self._labels)
        self._packed.resize((count, *self._packed.shape[1:]))
        for name, values in (("labels", np.array(self._labels, np.int64)), ("keys", self._keys)):
            array: Any = self._group.create_array(
                name,
                shape=(count,),
                chunks=(min(max(count, 1), _ROWS_PER_CHUNK),),
                dtype=str if name == "keys" else np.int64,
            )
            array[:] = np.array(values, object) if name == "keys" else values
        return count


def _nothing_left(out: Path, left_out: list[Rejected]) -> SourceError:
    first = f"; `{left_out[0].path}`: {left_out[0].reason}" if left_out else ""
    return SourceError(f"no sample is left for the low-light set `{out}`{first}")


class Digest:
    """BLAKE3 over what a set holds: classes, geometry, and each sample in its order."""

    def __init__(self, labels: Sequence[str], geometry: tuple[int, int], frames: int) -> None:
        self._parts: list[Any] = [list(labels), list(geometry), frames]

    def add(self, split: str, key: str, label: int, stream: Bytes) -> None:
        """Take in one sample."""
        self._parts.append([split, key, label, digest_bytes(np.ascontiguousarray(stream).data)])

    def hex(self) -> str:
        """The digest of what was taken in so far, 64 hexadecimal digits."""
        return digest_bytes(json.dumps(self._parts).encode())


def in_order(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """`pool.map`, but never more than `ahead` results waiting: a slow reader does not fill the memory."""
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
