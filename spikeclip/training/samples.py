"""What a training sees of its data: what it learns from, what is held out, what is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hqgen.errors import SourceError
from spikeclip.data.batches import Batches
from spikeclip.data.hq_crops import HQCrops
from spikeclip.data.lowlight import LowLightSet
from spikeclip.data.voxels import tfi_packed, voxelize_packed
from spikeclip.training.grid import SHOWN
from spikeclip.training.hardware import Hardware
from spikeclip.training.loop import Part
from spikeclip.training.settings import StageName, TrainSettings

__all__ = ["Samples"]

HELD_OUT_SHARE = 10
"""At most one sample in so many is held out."""


class Samples:
    """The low-light set in the roles that a training has for it.

    Args:
        low_light: the set; its split `train` is learned from.
        settings: of the training.
        hardware: where batches are made, and this process's share of them.

    Raises:
        SourceError: fewer than two training samples.
    """

    def __init__(self, low_light: LowLightSet, settings: TrainSettings, hardware: Hardware) -> None:
        self._set, self._settings, self._hardware = low_light, settings, hardware
        split = low_light.split("train")
        if len(split) < 2:
            raise SourceError(
                f"the low-light set `{low_light.path}` has {len(split)} training samples, too few",
                hint="prepare more recordings; one is held out, the others are learned from",
            )
        count = max(1, min(settings.validation, len(split) // HELD_OUT_SHARE))
        order = np.random.default_rng(settings.seed).permutation(len(split))
        self._held_out = split.select(np.sort(order[:count]))
        self._learned = split.select(np.sort(order[count:]))

    @property
    def classes(self) -> list[int]:
        """The classes that are learned from."""
        return [int(label) for label in np.unique(self._learned.labels)]

    def batches(self, stage: StageName, *, target: bool = False) -> Batches:
        """The training batches of a stage; `target` asks for the TFI."""
        return Batches(
            self._learned,
            self._settings.of(stage).batch,
            seed=self._settings.seed,
            stage=stage,
            bins=self._settings.bins,
            crop=self._settings.crop,
            target=target,
            flip=self._settings.augment == "flip",
            device=self._hardware.device,
            rank=self._hardware.rank,
            world=self._hardware.world,
        )

    def draw(self, batches: Batches, hq: HQCrops | None = None) -> Callable[[int], Part]:
        """What makes this process's share of the batch of a step, with as many HQ crops if there are any."""
        labels = self._learned.labels
        share = batches.size // self._hardware.world
        own = slice(self._hardware.rank * share, (self._hardware.rank + 1) * share)

        def part(step: int) -> Part:
            batch = batches.batch(step)
            crops = None if hq is None else self._gray(hq.batch(step, batches.size)[own])
            whole = self._moved(labels[batches.rows(step)])
            return Part(batch.voxel, batch.label, whole, batch.target, crops)

        return part

    def held_out(
        self, stage: StageName, *, target: bool = False, hq: HQCrops | None = None
    ) -> Iterator[Part]:
        """The held-out samples in parts of the stage's batch size, the same every time."""
        size = self._settings.of(stage).batch
        for start in range(0, len(self._held_out), size):
            packed, numbers = self._held_out.read(range(start, min(start + size, len(self._held_out))))
            voxel, tfi = self._seen(packed, target=target)
            label = self._moved(numbers)
            crops = None if hq is None else self._gray(hq.batch(start // size, size)[: len(numbers)])
            yield Part(voxel, label, label, tfi, crops)

    @cached_property
    def _shown(self) -> tuple[NDArray[np.uint8], list[str]]:
        """A few samples, of the split `test` if there is one, and what their classes are."""
        split = self._set.split("test" if "test" in self._set.splits else "train")
        packed, labels = split.read(np.linspace(0, len(split) - 1, min(SHOWN, len(split))).astype(np.int64))
        return packed, [self._set.labels[label] for label in labels]

    @property
    def shown_names(self) -> list[str]:
        """The classes of the samples that are shown."""
        return self._shown[1]

    @cached_property
    def shown_voxel(self) -> Tensor:
        """Their voxels, float32 (N, bins, h, w)."""
        return self._seen(self._shown[0], target=False)[0]

    @cached_property
    def shown_tfi(self) -> NDArray[np.float32]:
        """Their TFI, float32 (N, h, w)."""
        tfi = self._seen(self._shown[0], target=True)[1]
        assert tfi is not None
        return tfi[:, 0].cpu().numpy()

    def _seen(self, packed: NDArray[np.uint8], *, target: bool) -> tuple[Tensor, Tensor | None]:
        """Voxel and, if asked for, TFI of packed streams."""
        streams, crop = self._moved(packed), self._settings.crop
        height, width = self._set.geometry
        tfi = tfi_packed(streams, height, width, crop) if target else None
        return voxelize_packed(streams, height, width, self._settings.bins, crop), tfi

    def _gray(self, crops: NDArray[np.uint8]) -> Tensor:
        """HQ pictures uint8 (n, h, w) as the networks' images: float32 (n, 1, h, w) in 0..1."""
        return self._moved(crops)[:, None].float() / 255

    def _moved(self, values: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(values))
        if self._hardware.device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(self._hardware.device, non_blocking=True)
