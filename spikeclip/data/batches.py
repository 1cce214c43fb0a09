"""Batches of the low-light set, made on the device from packed bits: for training and for held-out samples.

A batch is a function of the seed, the stage and the step alone: a training that continues from a checkpoint
needs the number of its step and nothing else to see the same batches again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hqgen.errors import UsageError
from spikeclip.data.base_pictures import BasePictures
from spikeclip.data.hq_crops import HQCrops
from spikeclip.data.lowlight import LowLightSplit
from spikeclip.data.voxels import BINS, centre_crop, tfi_packed, voxelize_packed

Rows = NDArray[np.int64]
Chance = NDArray[np.float64]

CHANCES = 10
"""Random numbers that come with each sample."""

Target = Literal["tfi", "tfp", "base"]
"""TFI at the middle frame, the mean rate over all frames that are binned, or a picture of `base`."""

_CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples on the device: a whole batch, or a part of one.

    Attributes:
        voxel: float32 (n, bins, h, w), spikes per bin.
        label: int64 (n,), indices into the classes.
        batch_label: int64 (B,), labels of the whole batch, over all parts and processes.
        target: float32 (n, 1, h, w), spikes per frame, see `Target`; None unless asked for.
        hq: float32 (n, 1, h, w) in 0..1, HQ crops; None unless asked for.
        chance: float64 (n, CHANCES) in [0, 1), on the CPU: what is random in a loss comes from here, so that
            it is the same again in a training that continues.
    """

    voxel: Tensor
    label: Tensor
    batch_label: Tensor
    target: Tensor | None = None
    hq: Tensor | None = None
    chance: Chance | None = None

    def __len__(self) -> int:
        return len(self.label)

    def split(self, count: int) -> list[Batch]:
        """At most `count` parts of about equal size."""
        size = math.ceil(len(self) / count)
        return [self._rows(slice(start, start + size)) for start in range(0, len(self), size)]

    def _rows(self, rows: slice) -> Batch:
        target = None if self.target is None else self.target[rows]
        hq = None if self.hq is None else self.hq[rows]
        chance = None if self.chance is None else self.chance[rows]
        return Batch(self.voxel[rows], self.label[rows], self.batch_label, target, hq, chance)


@dataclass(frozen=True)
class BatchMaker:
    """Makes batches: packed bits to the device, and all arithmetic there.

    Args:
        split: the samples.
        size: B of a whole batch, over all processes.
        bins: of the voxel.
        crop: side of the middle square of the frames; None takes them whole.
        target: the picture of each sample to go with it; None: none.
        hq: HQ crops to go with the samples, as many as these.
        device: where batches are made and stay.
        base: where the target is `base`, the pictures of the samples, which have been made.
    """

    split: LowLightSplit
    size: int
    bins: int = BINS
    crop: int | None = None
    target: Target | None = None
    hq: HQCrops | None = None
    device: torch.device = _CPU
    base: BasePictures | None = None

    def in_order(self) -> Iterator[Batch]:
        """All samples once, in their order; the last batch may be smaller."""
        for step, start in enumerate(range(0, len(self.split), self.size)):
            yield self.batch(step, np.arange(start, min(start + self.size, len(self.split))))

    def batch(
        self,
        step: int,
        rows: Rows,
        share: slice = slice(None),
        mirrored: NDArray[np.bool_] | None = None,
        seed: Sequence[int] = (),
    ) -> Batch:
        """Make a batch, or a share of it.

        Args:
            step: number of the batch, which decides its HQ crops.
            rows: the samples of the whole batch, indices into the split.
            share: which of these to make.
            mirrored: which samples of the whole batch to mirror left to right; None mirrors none.
            seed: of `chance`, with the step.
        """
        packed, height, width = self._packed(rows[share]), self.split.height, self.split.width
        voxel = voxelize_packed(packed, height, width, self.bins, self.crop)
        target = self._target(packed, voxel, rows[share])
        if mirrored is not None:
            mask = self._moved(mirrored[share])[:, None, None, None]
            voxel = torch.where(mask, voxel.flip(-1), voxel)
            target = None if target is None else torch.where(mask, target.flip(-1), target)
        labels = self._moved(self.split.labels[rows])
        chance = np.random.default_rng([*seed, step, 3]).random((len(rows), CHANCES))[share]
        return Batch(voxel, labels[share], labels, target, self._crops(step, len(rows), share), chance)

    def _target(self, packed: Tensor, voxel: Tensor, rows: Rows) -> Tensor | None:
        height, width = self.split.height, self.split.width
        if self.target == "tfi":
            return tfi_packed(packed, height, width, self.crop)
        if self.target == "tfp":
            return voxel.mean(1, keepdim=True) / (packed.shape[1] // self.bins)
        if self.base is None:
            return None
        down, across = centre_crop(height, width, self.crop)
        return self._moved(self.base.read(self.split, rows)[:, None, down, across])

    def _packed(self, rows: Rows) -> Tensor:
        resident = self.split.resident(self.device)
        if resident is None:
            return self._moved(self.split.read(rows)[0])
        if self.device.type == "cpu":  # NumPy's new memory is faster than PyTorch's; see `voxels`
            return torch.from_numpy(resident.numpy()[rows])
        return resident[self._moved(rows)]

    def _crops(self, step: int, count: int, share: slice) -> Tensor | None:
        if self.hq is None:
            return None
        return self._moved(self.hq.batch(step, self.size)[:count][share])[:, None].float() / 255

    def _moved(self, values: NDArray[Any]) -> Tensor:
        """An array on the device; from page-locked memory, so that nobody waits for the copy."""
        tensor = torch.from_numpy(np.ascontiguousarray(values))
        if self.device.type != "cuda":
            return tensor.to(self.device)
        return tensor.pin_memory().to(self.device, non_blocking=True)


class Batches:
    """The training batches of one stage.

    Every epoch is a permutation of the samples of its own, cut into whole batches; the samples that fill no
    batch are left out, others in each epoch.

    Args:
        maker: makes them.
        seed: of order and augmentation.
        stage: its name; stages of one seed see different orders.
        flip: whether to mirror every other sample, drawn at random, left to right.
        rank: which slice of each batch to make, of `world` equal ones.
        world: number of slices, one for each process of a distributed training.

    Raises:
        UsageError: fewer samples than a batch holds, a batch that does not divide among the ranks, or a crop
            larger than the frames.
    """

    def __init__(
        self,
        maker: BatchMaker,
        *,
        seed: int,
        stage: str,
        flip: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        _check(maker, world)
        self.steps_per_epoch = len(maker.split) // maker.size
        self._maker, self._seed, self._flip = maker, [seed, crc32(stage.encode())], flip
        self._share = slice(rank * maker.size // world, (rank + 1) * maker.size // world)

    def rows(self, step: int) -> Rows:
        """The samples of the whole batch `step`, as indices into the split: int64 (size,)."""
        epoch, place = divmod(step, self.steps_per_epoch)
        size = self._maker.size
        return _order(len(self._maker.split), *self._seed, epoch)[place * size : (place + 1) * size]

    def batch(self, step: int) -> Batch:
        """Batch `step`, counted from 0 over all epochs; this rank's slice of it."""
        mirrored = None
        if self._flip:
            mirrored = np.random.default_rng([*self._seed, step]).random(self._maker.size) < 0.5
        return self._maker.batch(step, self.rows(step), self._share, mirrored, self._seed)


def _check(maker: BatchMaker, world: int) -> None:
    split, size = maker.split, maker.size
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
    centre_crop(split.height, split.width, maker.crop)


@lru_cache(maxsize=4)
def _order(count: int, seed: int, stage: int, epoch: int) -> Rows:
    # The 1 keeps these numbers apart from those of the flips, which are drawn from (seed, stage, step), and
    # of the batches, from (seed, stage, step, 3).
    return np.random.default_rng([seed, stage, epoch, 1]).permutation(count)
