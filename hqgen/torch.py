"""The pictures of a finished store as a data set of PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import Dataset

from hqgen.errors import UnknownNameError, UsageError
from hqgen.export.pictures import stored
from hqgen.export.selection import select
from hqgen.export.settings import SelectionSettings
from hqgen.manifest import find_manifest
from hqgen.store import open_described

Item = dict[str, Any]


class HQDataset(Dataset[Item]):
    """Pictures of a store with what is known of them; `torch.utils.data.DataLoader` takes it as it is.

    An item is a dict: `image` uint8 (1, H, W), or what `transform` makes of it; `key`, `source` and `method`;
    `score` of the image and its `margin`, the lead over the best other candidate, NaN without one.

    Args:
        manifest: the manifest, or its folder.
        part: the split whose samples these are; None for all samples.
        method: whose candidates the images are; None for the winners. Samples without such a candidate are
            left out. Limits hold for the winner, so that two methods give the same samples.
        split: shares by name, as in `train=0.8,val=0.2`; the recording decides.
        split_seed: another one gives other splits.
        max_score: leaves out samples whose winner has a larger score.
        min_margin: leaves out samples whose winner leads by less.
        curation: whether verdicts that the store has not applied count.
        transform: is given each image, a tensor uint8 (1, H, W).

    Attributes:
        samples: the samples, in the order of the store.

    Raises:
        StoreError: the store is missing, not complete or damaged.
        UnknownNameError: there is no such part or method.
        UsageError: no sample is left, the store keeps winners only, or a verdict asks for a picture that it
            does not have.
    """

    def __init__(
        self,
        manifest: str | Path,
        *,
        part: str | None = None,
        method: str | None = None,
        split: str = "train=1",
        split_seed: int = 0,
        max_score: float | None = None,
        min_margin: float | None = None,
        curation: Literal["honour", "ignore"] = "honour",
        transform: Callable[[torch.Tensor], Any] | None = None,
    ) -> None:
        path, self._transform = find_manifest(manifest), transform
        described, self._store = open_described(path)
        limits = SelectionSettings(
            split=split, split_seed=split_seed, max_score=max_score, min_margin=min_margin, curation=curation
        )
        selection = select(path, described, limits)
        if part not in (None, *selection.splits):
            raise UnknownNameError("split", str(part), selection.splits)
        names = dict.fromkeys(name for source in self._store for name in self._store[source].methods)
        if method not in (None, *names):
            raise UnknownNameError("method of the store", str(method), tuple(names))
        if method is not None and not described.plan.keep_candidates:
            raise UsageError(
                f"the store of `{path}` keeps winners only, not the candidates of `{method}`",
                hint="build it with `--keep-candidates`, or leave `method` out",
            )
        samples = [sample for sample in selection.samples if part in (None, sample.split)]
        if method is not None:
            samples = [item.of(method) for item in samples if item.record.scores.get(method) is not None]
        self.samples = tuple(samples)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Item:
        sample = self.samples[index]
        (picture,) = stored(self._store[sample.source.name], [sample])
        image = torch.from_numpy(np.array(picture))[None]
        return {
            "image": image if self._transform is None else self._transform(image),
            "key": sample.record.key,
            "source": sample.source.name,
            "method": sample.method,
            "score": sample.score,
            "margin": math.nan if sample.record.margin is None else sample.record.margin,
        }
