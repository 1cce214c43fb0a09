"""The side of an HQ store that a build writes through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import StoreError
from hqgen.files import blake3_bytes, make_way, share, sync, write_atomically
from hqgen.manifest import Plan, SampleRecord, ShardDigest, ShardRecord, SourceSpec
from hqgen.store.reading import FORMAT, open_root
from hqgen.text import count as counted
from hqgen.text import why

if TYPE_CHECKING:
    import zarr
    from zarr.core.buffer import Buffer

_ROWS_PER_CHUNK = 65_536

IMAGES = "images"
"""The array of the winners."""

ROOT = "zarr.json"
"""The file that describes the whole store."""

SAMPLE = "sample"
"""The name of the first axis of every array."""

CANDIDATES, JUDGES = "candidates", "judges"
"""The groups of one array per method, and of one per judge."""


def candidates_of(method: str) -> str:
    """The array of one method's candidates."""
    return f"{CANDIDATES}/{method}"


def digests_of(shard: ShardDigest) -> dict[str, str]:
    """What each array of a shard must have, by the name of the array."""
    candidates = {candidates_of(name): digest for name, digest in shard.candidates_blake3.items()}
    return {IMAGES: shard.images_blake3, **candidates}


def digest_images(images: NDArray[np.uint8]) -> str:
    """BLAKE3 of images uint8 (n, H, W) in C order."""
    return blake3_bytes(np.ascontiguousarray(images).data)


@dataclass(frozen=True)
class StoreWriter:
    """The side of the store that a build writes through; it holds only the path."""

    path: Path

    def check_ours(self) -> None:
        """Make sure that the path is free, or holds an HQ store.

        Raises:
            StoreError: something else is there.
        """
        if self.path.exists():
            open_root(self.path)

    def create(self, plan: Plan) -> None:
        """Describe every array of pictures, and mark the store as being built."""
        for partial in self.path.rglob("*.partial"):  # of a killed writer
            partial.unlink(missing_ok=True)
        self.describe(plan, complete=False)

    def describe(self, plan: Plan, *, complete: bool) -> None:
        """Write the files that describe the store and its arrays of pictures, unless they are there."""
        with _in_memory() as (root, files):
            _describe(root, plan, complete=complete)
        self._write(files)

    def write_shard(self, source: str, start: int, images: NDArray[np.uint8], array: str = IMAGES) -> None:
        """Write one whole shard of an array, the images `start` onwards, and see it on the disk."""
        pictures = self._pictures(source, array)
        file = self.shard_file(source, start // pictures.shards[0], array)
        make_way(file, within=self.path.parent)
        file.unlink(missing_ok=True)  # Zarr would read it first, and it may be damaged
        pictures[start : start + len(images)] = images
        sync(file)
        sync(file.parent)  # its entry, too, so that no record outlives its images

    def share_shard(self, origin: StoreWriter, place: tuple[str, int, str], index: int) -> None:
        """Let a whole shard of another store be one of this store, see `share`.

        Args:
            origin: the other store.
            place: source, index and array there.
            index: of the shard here.
        """
        source, _, array = place
        target = self.shard_file(source, index, array)
        make_way(target, within=self.path.parent)
        share(origin.shard_file(*place), target)

    def read_shard(self, source: str, start: int, count: int, array: str = IMAGES) -> NDArray[np.uint8]:
        """Images `start` to `start + count - 1` of an array: uint8 (count, H, W).

        Raises:
            StoreError: the shard's file is missing or cannot be decoded.
        """
        pictures = self._pictures(source, array)
        shard = start // pictures.shards[0]
        if not self.has_shard(source, shard, array):
            raise StoreError(f"`{self.path}`: the file of shard {shard} of `{source}/{array}` is missing")
        try:
            images: NDArray[np.uint8] = pictures[start : start + count]
        except Exception as error:  # zarr's codecs raise whatever their libraries do
            raise StoreError(f"`{self.path}`: {array} {start} onwards of `{source}`: {error}") from error
        return images

    def has_shard(self, source: str, shard: int, array: str = IMAGES) -> bool:
        """Whether the shard's file is there; its content is not read."""
        return self.shard_file(source, shard, array).is_file()

    def file_problem(self, source: str, shard: int, array: str, size: int | None) -> str | None:
        """What is wrong with a shard's file, whose content is not read; None for nothing.

        Args:
            source: its source.
            shard: its index.
            array: name of its array.
            size: bytes that it must have; None where that is not known.
        """
        of = "" if array == IMAGES else f" of `{array}`"
        if not self.has_shard(source, shard, array):
            return f"its file{of} is missing"
        found = self.shard_file(source, shard, array).stat().st_size
        return None if size in (None, found) else f"its file{of} has {found:,} of {counted(size, 'byte')}"

    def shard_file(self, source: str, shard: int, array: str = IMAGES) -> Path:
        """The file that holds a shard of an array."""
        return self.path / source / array / "c" / str(shard) / "0" / "0"

    def finish(self, plan: Plan, records: Iterator[ShardRecord]) -> dict[str, str]:
        """Write the small arrays from all records, in the plan's order, and mark the store complete.

        Returns:
            BLAKE3 of every file of the store that does not hold pictures, by path in the store.
        """
        judges = [str(judge["name"]) for judge in plan.judges]
        with _in_memory() as (root, files):
            _describe(root, plan, complete=True)
            for source in plan.sources:
                samples = (sample for _ in source.shards(plan.shard_size) for sample in next(records).samples)
                group = root.require_group(source.name)
                if judges:
                    group.require_group(JUDGES)
                for name, column in columns(source, judges, samples).items():
                    _create_column(group, name, column)
        # The file that says that the store is complete comes last.
        files[ROOT] = files.pop(ROOT)
        self._write(files)
        return {key: blake3_bytes(content) for key, content in sorted(files.items())}

    def changed_files(self, expected: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Files that are not as they were written: the path of each in the store, and what is wrong.

        Args:
            expected: the digests that `finish` gave.
        """
        for key, digest in expected.items():
            try:
                content = (self.path / key).read_bytes()
            except OSError as error:
                yield key, f"cannot be read: {why(error)}"
                continue
            if blake3_bytes(content) != digest:
                yield key, "is not as it was written: its digest differs"

    def _write(self, files: Mapping[str, bytes]) -> None:
        """Write those that are not there as they should be."""
        for key, content in files.items():
            file = self.path / key
            if not file.is_file() or file.read_bytes() != content:
                make_way(file, within=self.path.parent)
                write_atomically(file, content)

    def _pictures(self, source: str, array: str) -> Any:
        import zarr

        # Not kept in the store: without it, a shard of black images would leave no file.
        pictures = zarr.open_array(self.path / source / array, mode="r+", zarr_format=3)
        return pictures.with_config({"write_empty_chunks": True})


@contextmanager
def _in_memory() -> Iterator[tuple[zarr.Group, dict[str, bytes]]]:
    """A store in memory, and after the block its files by path.

    So files are compared with those on the disk before they are written, and each is written whole.
    """
    import zarr
    from zarr.storage import MemoryStore

    content: dict[str, Buffer] = {}
    files: dict[str, bytes] = {}
    yield zarr.open_group(MemoryStore(content), mode="w", zarr_format=3), files
    files |= {key: value.to_bytes() for key, value in content.items()}


def _describe(root: zarr.Group, plan: Plan, *, complete: bool) -> None:
    """The groups of a store and its arrays of pictures, without the pictures."""
    names = [source.name for source in plan.sources]
    root.attrs.put({"format": FORMAT, "plan_id": plan.id, "complete": complete, "sources": names})
    for source in plan.sources:
        group = root.create_group(source.name)
        group.attrs.put({"methods": [method.name for method in source.methods]})
        _create_pictures(group, IMAGES, source, plan.shard_size)
        if plan.keep_candidates:
            candidates = group.create_group(CANDIDATES)
            for method in source.methods:
                _create_pictures(candidates, method.name, source, plan.shard_size)


def _create_column(group: zarr.Group, name: str, column: NDArray[Any]) -> None:
    """Create one of the small arrays with its content."""
    array = group.create_array(
        name,
        shape=column.shape,
        chunks=(min(len(column), _ROWS_PER_CHUNK), *column.shape[1:]),
        dtype=str if column.dtype == object else column.dtype,
        fill_value="" if column.dtype == object else column.dtype.type(0),
        dimension_names=(SAMPLE, "candidate")[: column.ndim],
        config={"write_empty_chunks": True},
    )
    array[:] = column


def _create_pictures(group: zarr.Group, name: str, source: SourceSpec, shard_size: int) -> None:
    """Create an array of one picture per sample."""
    from zarr.codecs import ZstdCodec

    shape = (source.height, source.width)
    group.create_array(
        name,
        shape=(len(source.samples), *shape),
        chunks=(1, *shape),
        shards=(shard_size, *shape),
        dtype="uint8",
        fill_value=0,
        dimension_names=(SAMPLE, "y", "x"),
        # Level 1 takes 0.1 ms less an image than the default and 1 % more space.
        compressors=ZstdCodec(level=1),
        config={"write_empty_chunks": True},
    )


def columns(
    source: SourceSpec, judges: Iterable[str], samples: Iterable[SampleRecord]
) -> dict[str, NDArray[Any]]:
    """The small arrays that stand for the samples of one source, by path in its group.

    Args:
        source: what the plan says of it.
        judges: names of the plan's judges.
        samples: its samples, in order.
    """
    count, names = len(source.samples), [method.name for method in source.methods]
    scores = np.full((count, len(names)), np.nan, np.float32)
    values = {judge: np.full((count, len(names)), np.nan, np.float32) for judge in judges}
    method = np.full(count, -1, np.int8)
    margin = np.full(count, np.nan, np.float32)
    keys = np.empty(count, object)
    for row, sample in enumerate(samples):
        keys[row] = sample.key
        scores[row] = _row(sample.scores, names)
        for judge, value in values.items():
            value[row] = _row(sample.judges[judge], names)
        if sample.method is not None:
            method[row] = names.index(sample.method)
            margin[row] = np.inf if sample.margin is None else sample.margin
    small = {"keys": keys, "valid": method >= 0, "method": method, "margin": margin, "scores": scores}
    return small | {f"{JUDGES}/{judge}": value for judge, value in values.items()}


def _row(values: Mapping[str, float | None], names: Iterable[str]) -> list[float]:
    return [np.nan if (value := values[name]) is None else value for name in names]
