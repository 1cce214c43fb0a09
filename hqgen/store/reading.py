"""An HQ store, open for reading."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import StoreError, UnknownNameError
from hqgen.manifest import Manifest, read_manifest
from hqgen.text import why

if TYPE_CHECKING:
    import zarr

FORMAT = "hqgen-store"


NAMES_DAMAGED = "`hqgen inspect MANIFEST --verify` names every damaged shard"
"""What to do about a store that is damaged."""


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Let the block read arrays of a store.

    Args:
        what: is read, for the message.

    Raises:
        StoreError: it cannot be read; decoders and file systems have many errors for that.
    """
    try:
        yield
    except Exception as error:
        raise StoreError(f"{what} cannot be read from the store: {error}", hint=NAMES_DAMAGED) from error


class HQSource:
    """One source of an HQ store.

    Attributes:
        name: the source's name.
        methods: names, in the order of the columns of `scores`.
        images: uint8 (N, H, W); indexing reads from disk, `images[i]` one image.
        candidates: by method, the same of its candidates, `candidates["tfp"][i]`; black where a method has no
            score. Empty where the build kept winners only.
    """

    def __init__(self, name: str, group: zarr.Group) -> None:
        self.name = name
        self._group = group
        self.methods: tuple[str, ...] = tuple(_attributes(group)["methods"])
        self.images: Any = group["images"]
        kept = self.methods if "candidates" in group else ()
        self.candidates: dict[str, Any] = {method: group[f"candidates/{method}"] for method in kept}

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
        return self.column("scores")

    @cached_property
    def judges(self) -> dict[str, NDArray[np.float32]]:
        """By judge, its value of every candidate: float32 (N, M), lower is better, NaN if there is none."""
        names: Any = self._group["judges"].array_keys() if "judges" in self._group else ()  # type: ignore[union-attr]
        return {name: self.column(f"judges/{name}") for name in sorted(names)}

    @cached_property
    def method(self) -> NDArray[np.int8]:
        """Column of the winner: int8 (N,), -1 where no candidate could be scored."""
        return self.column("method")

    @cached_property
    def margin(self) -> NDArray[np.float32]:
        """Lead of the winner over the runner-up: float32 (N,); inf without a runner-up."""
        return self.column("margin")

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """Whether there is a winner: bool (N,)."""
        return self.column("valid")

    @cached_property
    def keys(self) -> list[str]:
        """The samples' keys, N of them."""
        return [str(key) for key in self.column("keys")]

    def shards(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Index of the first image and the images uint8 (n, H, W) of every shard, in order."""
        for start in range(0, len(self), self.shard_size):
            yield start, self.images[start : start + self.shard_size]

    def is_whole(self, name: str) -> bool:
        """Whether all files of one of the small arrays are there; a missing one would be read as zeros."""
        array: Any = self._group[name]
        return bool(array.nchunks_initialized == array.nchunks)

    def column(self, name: str) -> NDArray[Any]:
        """One of the small arrays, whole, by its path in the source's group."""
        array: Any = self._group[name]
        column: NDArray[Any] = array[:]
        return column


class HQStore:
    """An HQ store, open for reading: `store["reds"].images[i]`.

    It is a container of its sources' names, as a dict is: `list(store)`, `"reds" in store`. Its length is the
    number of images.

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

    def __iter__(self) -> Iterator[str]:
        return iter(self.sources)

    def __contains__(self, name: object) -> bool:
        return name in self.sources

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
    root = open_root(path)
    if not _attributes(root)["complete"]:
        raise StoreError(
            f"the HQ store `{path}` is not complete",
            hint="run the same `hqgen build` again; it does only what is missing",
        )
    return HQStore(path, root)


def open_described(manifest_path: Path) -> tuple[Manifest, HQStore]:
    """Open a manifest and the store that it describes.

    Raises:
        StoreError: there is no manifest or no complete store, or the two are of different plans.
    """
    manifest = read_manifest(manifest_path)
    store = open_store(manifest_path.parent / manifest.store)
    if store.plan_id != manifest.plan_id:
        raise StoreError(
            f"the store `{store.path}` is of another plan than the manifest `{manifest_path}`",
            hint="`hqgen inspect MANIFEST --verify` says what differs",
        )
    return manifest, store


def open_root(path: Path) -> zarr.Group:
    """Open the group of an HQ store for reading, complete or not.

    Raises:
        StoreError: there is none, or something else.
    """
    import zarr

    if not path.is_dir():
        raise StoreError(f"there is no HQ store at `{path}`", hint="`hqgen build` makes one")
    try:
        root = zarr.open_group(path, mode="r", zarr_format=3)
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"`{path}` is not an HQ store: {why(error)}") from error
    if _attributes(root).get("format") != FORMAT:
        raise StoreError(f"`{path}` is a Zarr group, but not one that `hqgen build` made")
    return root


def _attributes(group: zarr.Group) -> dict[str, Any]:
    return group.attrs.asdict()
