"""Random crops of the pictures in HQ stores, shuffled shard by shard.

A whole shard of a store is read four times faster than its pictures one by one, so the pictures of an epoch
come from a few shards at a time: the shards are shuffled, and then the pictures of every `POOL` of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import StoreError, UsageError
from hqgen.store import HQSource, HQStore, open_store
from hqgen.verify import verify

POOL = 8
"""Shards whose pictures are mixed, and as many again that are kept for the step to the next ones."""

Images = NDArray[np.uint8]
Rows = NDArray[np.int64]


class HQCrops:
    """Crops of all valid pictures of one or more HQ stores.

    Args:
        stores: their paths.
        crop: side of a crop in pixels.
        seed: of order and places.

    Attributes:
        stores: open, in order.

    Raises:
        StoreError: a store is missing or not complete, or no valid picture is in any.
        UsageError: pictures are smaller than the crop.
    """

    def __init__(self, stores: Sequence[Path], crop: int, seed: int) -> None:
        self.stores: tuple[HQStore, ...] = tuple(open_store(path) for path in stores)
        self._crop, self._seed = crop, seed
        sources = [store[name] for store in self.stores for name in store.sources]
        _check_size(sources, crop)
        self._shards = [
            (source, start) for source in sources for start in range(0, len(source), source.shard_size)
        ]
        self._valid = [_valid_pictures(index, *shard) for index, shard in enumerate(self._shards)]
        self._count = sum(map(len, self._valid))
        if not self._count:
            raise StoreError(
                f"no valid picture in {', '.join(f'`{store.path}`' for store in self.stores)}",
                hint="`hqgen inspect` says why",
            )
        self._order = lru_cache(maxsize=2)(self._epoch_order)
        self._images = lru_cache(maxsize=2 * POOL)(self._read)

    def __len__(self) -> int:
        return self._count

    def batch(self, step: int, size: int) -> Images:
        """Batch `step` of `size` crops: uint8 (size, crop, crop), a function of seed, step and size alone.

        Batches of one size go through all pictures once before one comes again.

        Raises:
            StoreError: a picture on the disk is damaged.
        """
        rng = np.random.default_rng([self._seed, step, 2])
        crops = np.empty((size, self._crop, self._crop), np.uint8)
        for index, place in enumerate(range(step * size, (step + 1) * size)):
            epoch, position = divmod(place, self._count)
            shard, row = self._order(epoch)[position]
            crops[index] = _random_crop(self._images(int(shard))[row], self._crop, rng)
        return crops

    def verify(self) -> None:
        """Compare every store with the manifest beside it; candidates are not looked at.

        Raises:
            StoreError: a store is damaged, or has no manifest.
        """
        for store in self.stores:
            if damage := verify(store.path.parent / "manifest.json", candidates=False):
                raise StoreError(
                    f"the HQ store `{store.path}` is damaged: {damage[0]}"
                    + (f", and {len(damage) - 1} more" if len(damage) > 1 else ""),
                    hint="run the `hqgen build` that made it again, with `--existing overwrite`",
                )

    def _epoch_order(self, epoch: int) -> Rows:
        """Shard and row in it of every picture, in the order of an epoch: int64 (N, 2)."""
        rng = np.random.default_rng([self._seed, epoch, 1])
        shards = rng.permutation(len(self._shards))
        pools = [shards[start : start + POOL] for start in range(0, len(shards), POOL)]
        return np.concatenate(
            [rng.permutation(np.concatenate([self._valid[index] for index in pool])) for pool in pools]
        )

    def _read(self, index: int) -> Images:
        source, start = self._shards[index]
        try:
            images: Images = source.images[start : start + source.shard_size]
        except Exception as error:  # zarr's codecs raise whatever their libraries do
            raise StoreError(
                f"pictures {start} onwards of `{source.name}` cannot be read: {error}",
                hint="`hqgen inspect --verify` finds what is damaged",
            ) from error
        return images


def _check_size(sources: Sequence[HQSource], crop: int) -> None:
    for source in sources:
        height, width = source.images.shape[1:]
        if not 1 <= crop <= min(height, width):
            raise UsageError(
                f"pictures of `{source.name}` are {height}x{width}, too small for crops of {crop}x{crop}",
                hint=f"take a `crop` of at most {min(height, width)}, or leave that source out",
            )


def _valid_pictures(index: int, source: HQSource, start: int) -> Rows:
    """The number of a shard, and the row in it, of each of its valid pictures: int64 (n, 2)."""
    rows = np.flatnonzero(source.valid[start : start + source.shard_size])
    return np.column_stack(np.broadcast_arrays(index, rows))


def _random_crop(image: Images, side: int, rng: np.random.Generator) -> Images:
    top, left = (int(rng.integers(length - side + 1)) for length in image.shape)
    return image[top : top + side, left : left + side]
