"""The HQ store: one Zarr v3 group a source, holding the winners.

::

    hq.zarr/                     attributes: format, plan_id and whether the store is complete
    └── <source>/                attributes: methods, in the order of the columns of `scores`
        ├── images   uint8   (N, H, W)   chunks (1, H, W), shards (S, H, W)
        ├── scores   float32 (N, M)      of every candidate; NaN if there is none
        ├── method   int8    (N,)        column of the winner; -1 if there is none
        ├── margin   float32 (N,)        lead over the runner-up; inf without one, NaN without a winner
        ├── valid    bool    (N,)        whether there is a winner; where not, the image is black
        └── keys     string  (N,)        the samples' keys

`images` is created at its final size before any worker writes, and every shard of it is written whole, by one
task. The small arrays follow from the records and are written once, when all shards are there. This module is
the only one that knows Zarr.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import StoreError, UnknownNameError
from hqgen.files import blake3_bytes, sync
from hqgen.manifest import Plan, SampleRecord, ShardRecord, SourceSpec

if TYPE_CHECKING:
    import zarr

_FORMAT = "hqgen-store"
_ROWS_PER_CHUNK = 65_536


def digest_images(images: NDArray[np.uint8]) -> str:
    """BLAKE3 of images uint8 (n, H, W) in C order."""
    return blake3_bytes(np.ascontiguousarray(images).data)


class HQSource:
    """One source of an HQ store.

    Attributes:
        name: the source's name.
        methods: names, in the order of the columns of `scores`.
        images: uint8 (N, H, W); indexing reads from disk, `images[i]` one image.
    """

    def __init__(self, name: str, group: zarr.Group) -> None:
        self.name = name
        self._group = group
        self.methods: tuple[str, ...] = tuple(_attributes(group)["methods"])
        self.images: Any = group["images"]

    def __len__(self) -> int:
        return int(self.images.shape[0])

    def __repr__(self) -> str:
        count, height, width = self.images.shape
        return f"HQSource({self.name!r}, {count} images {height}x{width})"

    @property
    def shard_size(self) -> int:
        """Images in a shard of the store; a shard is the cheapest piece to read."""
        return int(self.images.shards[0])

    @cached_property
    def scores(self) -> NDArray[np.float32]:
        """Score of every candidate: float32 (N, M), lower is better, NaN if there is none."""
        return self._column("scores")

    @cached_property
    def method(self) -> NDArray[np.int8]:
        """Column of the winner: int8 (N,), -1 where no candidate could be scored."""
        return self._column("method")

    @cached_property
    def margin(self) -> NDArray[np.float32]:
        """Lead of the winner over the runner-up: float32 (N,); inf without a runner-up."""
        return self._column("margin")

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """Whether there is a winner: bool (N,)."""
        return self._column("valid")

    @cached_property
    def keys(self) -> list[str]:
        """The samples' keys, N of them."""
        return [str(key) for key in self._column("keys")]

    def shards(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Index of the first image and the images uint8 (n, H, W) of every shard, in order."""
        for start in range(0, len(self), self.shard_size):
            yield start, self.images[start : start + self.shard_size]

    def _column(self, name: str) -> NDArray[Any]:
        array: Any = self._group[name]
        column: NDArray[Any] = array[:]
        return column


class HQStore:
    """An HQ store, open for reading: `store["reds"].images[i]`; its length is the number of images.

    Attributes:
        path: where it is.
        plan_id: id of the plan that it was built by.
        sources: names of the sources, in order.
    """

    def __init__(self, path: Path, root: zarr.Group) -> None:
        self.path = path
        self._root = root
        attributes = _attributes(root)
        self.plan_id = str(attributes["plan_id"])
        self.sources: tuple[str, ...] = tuple(attributes["sources"])

    def __getitem__(self, name: str) -> HQSource:
        if name not in self.sources:
            raise UnknownNameError("source of the store", name, self.sources)
        return HQSource(name, self._root[name])  # type: ignore[arg-type]

    def __len__(self) -> int:
        return sum(len(self[name]) for name in self.sources)

    def __repr__(self) -> str:
        return f"HQStore({str(self.path)!r}, sources={list(self.sources)}, {len(self)} images)"


def open_store(path: str | os.PathLike[str]) -> HQStore:
    """Open a complete HQ store for reading.

    Raises:
        StoreError: there is no HQ store, or its build has not finished.
    """
    path = Path(path)
    root = _open_root(path)
    if not _attributes(root)["complete"]:
        raise StoreError(
            f"the HQ store `{path}` is not complete",
            hint="run the same `hqgen build` again; it does only what is missing",
        )
    return HQStore(path, root)


def _open_root(path: Path) -> zarr.Group:
    import zarr

    if not path.is_dir():
        raise StoreError(f"there is no HQ store at `{path}`", hint="`hqgen build` makes one")
    try:
        root = zarr.open_group(path, mode="r", zarr_format=3)
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"`{path}` is not an HQ store: {error}") from error
    if _attributes(root).get("format") != _FORMAT:
        raise StoreError(f"`{path}` is a Zarr group, but not one that `hqgen build` made")
    return root


def _attributes(group: zarr.Group) -> dict[str, Any]:
    return group.attrs.asdict()


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
            _open_root(self.path)

    def create(self, plan: Plan) -> None:
        """Create every array of images that is not there yet, and mark the store as being built."""
        import zarr
        from zarr.codecs import ZstdCodec

        for partial in self.path.rglob(
            "*.partial"
        ):  # a killed writer's: Zarr writes beside a file and renames
            partial.unlink(missing_ok=True)
        root = zarr.open_group(self.path, mode="a", zarr_format=3)
        self._mark(root, plan, complete=False)
        for source in plan.sources:
            group = root.require_group(source.name)
            if "images" not in group:
                shape = (source.height, source.width)
                group.create_array(
                    "images",
                    shape=(len(source.samples), *shape),
                    chunks=(1, *shape),
                    shards=(plan.shard_size, *shape),
                    dtype="uint8",
                    fill_value=0,
                    # Level 1 takes 0.1 ms less an image than the default and 1 % more space.
                    compressors=ZstdCodec(level=1),
                    config={"write_empty_chunks": True},
                )

    def write_shard(self, source: str, start: int, images: NDArray[np.uint8]) -> None:
        """Write one whole shard, the images `start` onwards, and see it on the disk."""
        array = self._images(source)
        array[start : start + len(images)] = images
        file = self._shard_file(source, start // array.shards[0])
        sync(file)
        sync(file.parent)  # its entry, too, so that no record outlives its images

    def read_shard(self, source: str, start: int, count: int) -> NDArray[np.uint8]:
        """Images `start` to `start + count - 1`: uint8 (count, H, W).

        Raises:
            StoreError: the shard's file is missing or cannot be decoded.
        """
        array = self._images(source)
        if not self.has_shard(source, start // array.shards[0]):
            raise StoreError(f"`{self.path}`: the file of shard {start} of `{source}` is missing")
        try:
            images: NDArray[np.uint8] = array[start : start + count]
        except Exception as error:  # zarr's codecs raise whatever their libraries do
            raise StoreError(f"`{self.path}`: images {start} onwards of `{source}`: {error}") from error
        return images

    def has_shard(self, source: str, shard: int) -> bool:
        """Whether the shard's file is there; its content is not read."""
        return self._shard_file(source, shard).is_file()

    def finish(self, plan: Plan, records: Iterator[ShardRecord]) -> None:
        """Write the small arrays from all records, in the plan's order, and mark the store complete."""
        import zarr

        root = zarr.open_group(self.path, mode="r+", zarr_format=3)
        for source in plan.sources:
            group = root.require_group(source.name)
            group.attrs.put({"methods": [method.name for method in source.methods]})
            samples = (sample for _ in source.shards(plan.shard_size) for sample in next(records).samples)
            for name, column in columns(source, samples).items():
                rows = min(len(column), _ROWS_PER_CHUNK)
                array = group.create_array(
                    name,
                    shape=column.shape,
                    chunks=(rows, *column.shape[1:]),
                    dtype=str if column.dtype == object else column.dtype,
                    fill_value="" if column.dtype == object else column.dtype.type(0),
                    config={"write_empty_chunks": True},
                    overwrite=True,
                )
                array[:] = column
        self._mark(root, plan, complete=True)

    def _mark(self, root: zarr.Group, plan: Plan, *, complete: bool) -> None:
        names = [source.name for source in plan.sources]
        root.attrs.put({"format": _FORMAT, "plan_id": plan.id, "complete": complete, "sources": names})

    def _images(self, source: str) -> Any:
        import zarr

        # Not kept in the store: without it, a shard of black images would leave no file.
        array = zarr.open_array(self.path / source / "images", mode="r+", zarr_format=3)
        return array.with_config({"write_empty_chunks": True})

    def _shard_file(self, source: str, shard: int) -> Path:
        return self.path / source / "images" / "c" / str(shard) / "0" / "0"


def columns(source: SourceSpec, samples: Iterable[SampleRecord]) -> dict[str, NDArray[Any]]:
    """The small arrays that stand for the samples of one source, by name."""
    count, names = len(source.samples), [method.name for method in source.methods]
    scores = np.full((count, len(names)), np.nan, np.float32)
    method = np.full(count, -1, np.int8)
    margin = np.full(count, np.nan, np.float32)
    keys = np.empty(count, object)
    for row, sample in enumerate(samples):
        keys[row] = sample.key
        scores[row] = [np.nan if (score := sample.scores[name]) is None else score for name in names]
        if sample.method is not None:
            method[row] = names.index(sample.method)
            margin[row] = np.inf if sample.margin is None else sample.margin
    return {"keys": keys, "valid": method >= 0, "method": method, "margin": margin, "scores": scores}
