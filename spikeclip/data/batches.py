"""Batches of the low-light set, made on the device from packed bits.

A batch is a function of the seed, the stage and the step alone: a training that goes on from a checkpoint
needs the number of its step and nothing else to see the same batches again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hqgen.errors import UsageError
from spikeclip.data.lowlight import LowLightSplit
from spikeclip.data.voxels import BINS, tfi_packed, voxelize_packed

__all__ = ["Batch", "Batches"]

AHEAD = 2
"""Batches made in advance: one that is ready and one in the making."""

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples on the device.

    Attributes:
        voxel: float32 (B, bins, h, w), spikes a bin.
        label: int64 (B,), indices into the classes.
        target: float32 (B, 1, h, w), TFI of the stream at its middle frame; None unless asked for.
    """

    voxel: Tensor
    label: Tensor
    target: Tensor | None = None

    def __len__(self) -> int:
        return len(self.label)


class Batches:
    """The training batches of one stage.

    Every epoch is a permutation of the samples of its own, cut into whole batches; the samples that fill no
    batch are left out, others in each epoch.

    Args:
        split: the samples.
        size: B of a whole batch, over all ranks.
        seed: of order and augmentation.
        stage: its name; stages of one seed see different orders.
        bins: of the voxel.
        crop: side of the middle square of the frames; None takes them whole.
        target: whether to make the coarse target.
        flip: whether to mirror every other sample, drawn at random, left to right.
        device: where batches are made and stay.
        rank: which slice of each batch to make, of `world` equal ones.
        world: number of slices, one for each process of a distributed training.

    Raises:
        UsageError: fewer samples than a batch holds, a batch that does not divide among the ranks, or a crop
            larger than the frames.
    """

    def __init__(
        self,
        split: LowLightSplit,
        size: int,
        *,
        seed: int,
        stage: str,
        bins: int = BINS,
        crop: int | None = None,
        target: bool = False,
        flip: bool = False,
        device: str | torch.device = "cpu",
        rank: int = 0,
        world: int = 1,
    ) -> None:
        _check(split, size, crop, world)
        self.size, self.steps_per_epoch = size, len(split) // size
        self._count, self._seed, self._flip = len(split), [seed, crc32(stage.encode())], flip
        self._share = slice(rank * size // world, (rank + 1) * size // world)
        self._maker = _Maker(split, bins, crop, target, torch.device(device))

    def rows(self, step: int) -> Rows:
        """The samples of the whole batch `step`, as indices into the split: int64 (size,)."""
        epoch, place = divmod(step, self.steps_per_epoch)
        return _order(self._count, *self._seed, epoch)[place * self.size : (place + 1) * self.size]

    def batch(self, step: int) -> Batch:
        """Batch `step`, counted from 0 over all epochs; this rank's slice of it."""
        mirrored = np.random.default_rng([*self._seed, step]).random(self.size) < 0.5
        return self._maker(self.rows(step)[self._share], mirrored[self._share] if self._flip else None)

    def loader(self, start: int, stop: int) -> Iterator[Batch]:
        """Batches start..stop-1 in order, the next ones made on a thread while one is used."""
        with ThreadPoolExecutor(1) as pool:
            waiting: deque[Future[Batch]] = deque()
            for step in range(start, stop):
                waiting.append(pool.submit(self.batch, step))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


def _check(split: LowLightSplit, size: int, crop: int | None, world: int) -> None:
    if not 1 <= size <= len(split):
        raise UsageError(
            f"the split `{split.name}` has {len(split)} samples, too few for a batch of {size}",
            hint="take smaller batches, or prepare more recordings",
        )
    if size % world:
        raise UsageError(
            f"a batch of {size} does not divide among {world} processes",
            hint=f"take a multiple of {world}",
        )
    if crop is not None and not 1 <= crop <= min(split.height, split.width):
        raise UsageError(
            f"the frames are {split.height}x{split.width} pixels, too small for a crop of {crop}x{crop}",
            hint=f"take a `crop` of at most {min(split.height, split.width)}",
        )


@lru_cache(maxsize=4)
def _order(count: int, seed: int, stage: int, epoch: int) -> Rows:
    # The 1 keeps these numbers apart from those of the flips, which are drawn from (seed, stage, step).
    return np.random.default_rng([seed, stage, epoch, 1]).permutation(count)


@dataclass(frozen=True)
class _Maker:
    """Makes batches of samples: packed bits to the device, and all arithmetic there."""

    split: LowLightSplit
    bins: int
    crop: int | None
    target: bool
    device: torch.device

    def __call__(self, rows: Rows, mirrored: NDArray[np.bool_] | None) -> Batch:
        packed, label = self._packed(rows)
        height, width = self.split.height, self.split.width
        voxel = voxelize_packed(packed, height, width, self.bins, self.crop)
        target = tfi_packed(packed, height, width, self.crop) if self.target else None
        if mirrored is not None:
            mask = self._moved(mirrored)[:, None, None, None]
            voxel = torch.where(mask, voxel.flip(-1), voxel)
            target = None if target is None else torch.where(mask, target.flip(-1), target)
        return Batch(voxel, label, target)

    def _packed(self, rows: Rows) -> tuple[Tensor, Tensor]:
        resident = self.split.resident(self.device)
        if resident is None:
            packed, label = self.split.read(rows)
            return self._moved(packed), self._moved(label)
        if self.device.type == "cpu":  # NumPy's new memory is faster than PyTorch's; see `voxels`
            return torch.from_numpy(resident.numpy()[rows]), self._moved(self.split.labels[rows])
        return resident[self._moved(rows)], self._moved(self.split.labels[rows])

    def _moved(self, values: NDArray[Any]) -> Tensor:
        """An array on the device; from page-locked memory, so that nobody waits for the copy."""
        tensor = torch.from_numpy(values)
        if self.device.type != "cuda":
            return tensor.to(self.device)
        return tensor.pin_memory().to(self.device, non_blocking=True)
