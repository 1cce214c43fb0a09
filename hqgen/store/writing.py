"""The side of an HQ store that a build writes through."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import StoreError
from hqgen.files import blake3_bytes, sync
from hqgen.manifest import Plan, SampleRecord, ShardDigest, ShardRecord, SourceSpec
from hqgen.store.reading import FORMAT, open_root

if TYPE_CHECKING:
    import zarr

_ROWS_PER_CHUNK = 65_536

IMAGES = "images"
"""The array of the winners."""


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
        """Create every array of pictures that is not there yet, and mark the store as being built."""
        import zarr

        for partial in self.path.rglob(
            "*.partial"
        ):  # a killed writer's: Zarr writes beside a file and renames
            partial.unlink(missing_ok=True)
        root = zarr.open_group(self.path, mode="a", zarr_format=3)
        self._mark(root, plan, complete=False)
        for source in plan.sources:
            group = root.require_group(source.name)
            _drop_unnamed(self.path / source.name)
            _create_pictures(group, IMAGES, source, plan.shard_size)
            if plan.keep_candidates:
                candidates = group.require_group(CANDIDATES)
                for method in source.methods:
                    _create_pictures(candidates, method.name, source, plan.shard_size)

    def write_shard(self, source: str, start: int, images: NDArray[np.uint8], array: str = IMAGES) -> None:
        """Write one whole shard of an array, the images `start` onwards, and see it on the disk."""
        pictures = self._pictures(source, array)
        pictures[start : start + len(images)] = images
        file = self.shard_file(source, start // pictures.shards[0], array)
        sync(file)
        sync(file.parent)  # its entry, too, so that no record outlives its images

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

    def shard_file(self, source: str, shard: int, array: str = IMAGES) -> Path:
        """The file that holds a shard of an array."""
        return self.path / source / array / "c" / str(shard) / "0" / "0"

    def finish(self, plan: Plan, records: Iterator[ShardRecord]) -> None:
        """Write the small arrays from all records, in the plan's order, and mark the store complete."""
        import zarr

        root = zarr.open_group(self.path, mode="r+", zarr_format=3)
        for source in plan.sources:
            group = root.require_group(source.name)
            group.attrs.put({"methods": [method.name for method in source.methods]})
            samples = (sample for _ in source.shards(plan.shard_size) for sample in next(records).samples)
            judges = [str(judge["name"]) for judge in plan.judges]
            if judges:
                group.require_group(JUDGES)
            for name, column in columns(source, judges, samples).items():
                rows = min(len(column), _ROWS_PER_CHUNK)
                array = group.create_array(
                    name,
                    shape=column.shape,
                    chunks=(rows, *column.shape[1:]),
                    dtype=str if column.dtype == object else column.dtype,
                    fill_value="" if column.dtype == object else column.dtype.type(0),
                    dimension_names=(SAMPLE, "candidate")[: column.ndim],
                    config={"write_empty_chunks": True},
                    overwrite=True,
                )
                array[:] = column
        self._mark(root, plan, complete=True)

    def _mark(self, root: zarr.Group, plan: Plan, *, complete: bool) -> None:
        names = [source.name for source in plan.sources]
        root.attrs.put({"format": FORMAT, "plan_id": plan.id, "complete": complete, "sources": names})

    def _pictures(self, source: str, array: str) -> Any:
        import zarr

        # Not kept in the store: without it, a shard of black images would leave no file.
        pictures = zarr.open_array(self.path / source / array, mode="r+", zarr_format=3)
        return pictures.with_config({"write_empty_chunks": True})


def _drop_unnamed(group: Path) -> None:
    """Remove descriptions of arrays from before axes had names, to be written again; the shards stay."""
    for array in (IMAGES, candidates_of("*")):
        for file in group.glob(f"{array}/zarr.json"):
            if json.loads(file.read_bytes()).get("dimension_names") is None:
                file.unlink()


def _create_pictures(group: zarr.Group, name: str, source: SourceSpec, shard_size: int) -> None:
    """Create an array of one picture per sample, if it is not there yet."""
    from zarr.codecs import ZstdCodec

    if name in group:
        return
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
