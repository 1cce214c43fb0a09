"""What a training sees of its data: what it learns from, what is held out, what is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from hqgen.errors import ScoreError, SourceError, TrainingError
from hqgen.progress import Observer
from hqgen.quality.normalise import gain_of
from hqgen.training.hardware import Hardware
from hqgen.training.loop import Stop
from spikeclip.data.base_pictures import BasePictures
from spikeclip.data.batches import Batch, Batches, BatchMaker, Target
from spikeclip.data.hq_crops import HQCrops
from spikeclip.data.lowlight import LowLightSet, LowLightSplit
from spikeclip.training.grid import SHOWN, Images, grid
from spikeclip.training.settings import StageName, TrainSettings

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
        self.low_light, self.settings, self.hardware = low_light, settings, hardware
        split = low_light.split("train")
        if len(split) < 2:
            raise SourceError(
                f"the low-light set `{low_light.path}` has too few training samples: {len(split)}",
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

    def batches(
        self, stage: StageName, *, target: Target | None = None, hq: HQCrops | None = None
    ) -> Batches:
        """The training batches of a stage.

        Args:
            stage: its name.
            target: the picture of each sample to go with it.
            hq: HQ crops to go with the samples.
        """
        return Batches(
            self._maker(self._learned, self.settings.of(stage).batch, target, hq),
            seed=self.settings.seed,
            stage=stage,
            flip=self.settings.augment == "flip",
            rank=self.hardware.rank,
            world=self.hardware.world,
        )

    def held_out(
        self, stage: StageName, *, target: Target | None = None, hq: HQCrops | None = None
    ) -> Iterator[Batch]:
        """The held-out samples in batches of the stage's size, the same every time."""
        return self._maker(self._held_out, self.settings.of(stage).batch, target, hq).in_order()

    @cached_property
    def base(self) -> BasePictures:
        """Pictures of `base` of the set; those of the split `train` are made by `make_targets`."""
        return BasePictures(self.low_light, self.hardware.device.type)

    def make_targets(self, stage: StageName, observer: Observer, stop: Stop) -> bool:
        """Make the pictures that a stage learns from and that take long; they stay beside the low-light set.

        Returns:
            whether all are there: False where `stop` said so before.
        """
        if self.settings.target(stage) != "base":
            return True
        made = not self.hardware.leads or self.base.make(self.low_light.split("train"), observer, stop)
        return not self.hardware.any(not made)

    @cached_property
    def shown(self) -> Batch:
        """A few samples with their TFI, of the split `test` if there is one."""
        split = self.low_light.split("test" if "test" in self.low_light.splits else "train")
        rows = np.linspace(0, len(split) - 1, min(SHOWN, len(split))).astype(np.int64)
        return next(self._maker(split.select(rows), len(rows), target="tfi").in_order())

    def images(self, network: nn.Module) -> Images:
        """What a network makes of the samples that are shown, float32 (N, h, w)."""
        return self._pictures(network, self.shown)

    def white_gain(self, network: nn.Module) -> float:
        """The gain at which the median held-out picture of a network has the white point of an HQ store's.

        Raises:
            TrainingError: every held-out picture is black, or not finite.
        """
        gains: list[float] = []
        for batch in self.held_out("fine"):
            for image in self._pictures(network, batch):
                with suppress(ScoreError):  # a black picture says nothing about the gain of the others
                    gains.append(gain_of(image) / 255)
        if not gains:
            raise TrainingError(
                "the network's pictures of all held-out samples are black or not finite, so no gain makes "
                "them bright",
                hint='leave out `fine.start-gain = "white"`, or train stage coarse longer',
            )
        return float(np.median(gains))

    @property
    def tfi(self) -> Images:
        """TFI of the samples that are shown, float32 (N, h, w)."""
        assert self.shown.target is not None
        return self.shown.target[:, 0].cpu().numpy()

    @property
    def shown_classes(self) -> list[str]:
        """The names of their classes."""
        return [self.low_light.labels[label] for label in self.shown.label.tolist()]

    def grid(self, rows: Mapping[str, Images]) -> Image.Image:
        """Rows of the samples that are shown, under one of their TFI."""
        return grid({"tfi": self.tfi, **rows}, self.shown_classes)

    def _pictures(self, network: nn.Module, batch: Batch) -> Images:
        network.eval()
        with torch.no_grad(), self.hardware.autocast():
            images: Tensor = network(batch.voxel)
        network.train()
        return images[:, 0].float().cpu().numpy()

    def _maker(
        self, split: LowLightSplit, size: int, target: Target | None = None, hq: HQCrops | None = None
    ) -> BatchMaker:
        bins, crop = self.settings.bins, self.settings.crop
        base = self.base if target == "base" else None
        return BatchMaker(split, size, bins, crop, target, hq, self.hardware.device, base)
