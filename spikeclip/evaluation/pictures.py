"""The same few samples as each network and method makes them, beside the truth: to be looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hqgen.config import Device
from hqgen.methods.base import Method
from spikeclip.data.voxels import centre_crop
from spikeclip.evaluation.comparison import load_subject, named_subjects, reconstruct_samples, select_samples
from spikeclip.evaluation.quality import Image

if TYPE_CHECKING:
    from torch import nn

    from spikeclip.data.lowlight import LowLightSet


@dataclass(frozen=True)
class Reconstructions:
    """What networks and methods make of the same few samples, beside the truth.

    Attributes:
        classes: name of the class of each of the N samples.
        rows: float32 (N, h, w) by the name of the network or method; where it has no output, 0. The first row
            is `truth` where the set knows it.
    """

    classes: tuple[str, ...]
    rows: Mapping[str, Image]


def reconstructions(
    checkpoints: Mapping[str, Path | nn.Module],
    low_light: LowLightSet,
    *,
    methods: Sequence[Method],
    split: str = "test",
    crop: int | None = 224,
    samples: int = 6,
    device: Device = "auto",
) -> Reconstructions:
    """Let networks and methods reconstruct a few samples, spread evenly; the rest is as in `evaluate`."""
    from hqgen.devices import exact_arithmetic, resolve_device

    few, place = select_samples(low_light, split, samples), resolve_device(device)
    packed, labels = few.read(range(len(few)))
    truths, area = few.truths(range(len(few))), centre_crop(*low_light.geometry, crop)
    rows = {} if truths is None else {"truth": truths[:, *area].astype(np.float32)}
    dark = np.zeros([side.stop - side.start for side in area], np.float32)
    with exact_arithmetic():
        for name, subject in named_subjects(checkpoints, methods).items():
            made = reconstruct_samples(load_subject(subject, place), few, packed, crop, place)
            rows[name] = np.stack([dark if isinstance(item, str) else item for item in made])
    return Reconstructions(tuple(low_light.labels[label] for label in labels), rows)
