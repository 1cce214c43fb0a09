"""A low-light set before it is made: classes, geometry and labels, from the headers of what it is made from.

Making a set takes minutes to hours. What does not fit a training is known before: too few samples, one class
only, frames smaller than the crop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hqgen.spikes.packed import frame_bytes
from spikeclip.data.lowlight import LowLightSet, LowLightSplit
from spikeclip.data.prepare import survey
from spikeclip.data.settings import DEMO, SimulateSettings
from spikeclip.data.shapes import SHAPES
from spikeclip.data.simulated import DEMO_FRAMES, DEMO_SIDE, chosen_pictures, demo_samples


@dataclass(frozen=True)
class _NotMade:
    """Stands for the streams of a split: their shape is known, and reading one is an error."""

    shape: tuple[int, ...]


def announced(
    path: Path,
    labels: Sequence[str],
    geometry: tuple[int, int],
    frames: int,
    samples: Mapping[str, Sequence[int]],
) -> LowLightSet:
    """A set as it will be, without its streams and so without a digest; reading a sample raises a StoreError.

    Args:
        path: what messages call it by.
        labels: names of the classes.
        geometry: (H, W).
        frames: T.
        samples: for each split the class of each sample.
    """
    splits = {
        name: LowLightSplit(
            name,
            *geometry,
            packed=_NotMade((len(rows), frames, frame_bytes(*geometry))),  # type: ignore[arg-type]
            rows=np.arange(len(rows)),
            labels=np.asarray(rows, np.int64),
            keys=tuple(map(str, range(len(rows)))),
        )
        for name, rows in samples.items()
    }
    return LowLightSet(path, tuple(labels), geometry, frames, "", None, tuple(splits), {}, (), splits)


def announced_recordings(spikes: Path, entry: str | None = None) -> LowLightSet:
    """The set that `spikeclip.data.prepare.prepare` will make, from the headers of the recordings.

    Raises:
        SourceError, UsageError: as `prepare`.
    """
    settings, source = survey(spikes, entry)
    samples: dict[str, list[int]] = {}
    for recording in source.recordings:
        assert recording.label is not None
        samples.setdefault(recording.split or "train", []).append(recording.label)
    return announced(spikes, settings.labels, source.geometry, source.recordings[0].frames, samples)


def announced_pictures(pictures: Path, settings: SimulateSettings) -> LowLightSet:
    """The set that `spikeclip.data.simulated.simulate_low_light` will make, from the names of the pictures.

    Raises:
        SourceError: as `simulate_low_light`.
    """
    classes, chosen = chosen_pictures(pictures, settings)
    samples = {split: [label for _, label in rows] for split, rows in chosen.items()}
    return announced(pictures, classes, (settings.height, settings.width), settings.frames, samples)


def announced_demo() -> LowLightSet:
    """The set of the demo."""
    samples = {split: [label for label, _ in demo_samples(split)] for split in ("train", "test")}
    return announced(Path(DEMO), SHAPES, (DEMO_SIDE, DEMO_SIDE), DEMO_FRAMES, samples)
