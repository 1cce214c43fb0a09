"""Low-light sets simulated from pictures.

Each picture is shown as in UHSR: on a dim screen inside a dark surround that drifts before the camera, slower
than a pixel in twenty frames. The screens of `spikeclip.data.screen` and the sensors `low` and `uhsr` are set
so that the result looks like a real recording, U-CALTECH's helicopter: mean rate 0.031, around the screen
0.019. docs/spikeclip.md compares the two. The light at the middle frame is kept as the clean picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from zlib import crc32

import numpy as np

from hqgen.errors import SourceError
from hqgen.files import blake3_bytes
from hqgen.pictures import Picture, grey_levels, labelled_pictures
from hqgen.progress import SILENT, Observer
from hqgen.simulation.camera import Sensor, preset
from spikeclip.data.lowlight import LowLightSet
from spikeclip.data.lowlight_writer import LabelledStream, Make, write
from spikeclip.data.screen import SCREENS, Floats, Screen, film
from spikeclip.data.settings import SimulateSettings
from spikeclip.data.shapes import SHAPES, draw


def simulate_low_light(
    pictures: Path,
    out: Path,
    settings: SimulateSettings,
    *,
    observer: Observer = SILENT,
    pool: Executor | None = None,
) -> LowLightSet:
    """Simulate a low-light set from labelled pictures; found there already, it is opened.

    A sample depends on `seed` and its picture's name alone, not on which others are taken.

    Args:
        pictures: a folder that holds, for each split, a folder or a zip archive of its name with pictures
            CLASS/NAME.jpg.
        out: where the set will be.
        settings: how it is simulated. The pictures of a class that are taken are the first ones by name; the
            classes that are taken are all of the split `train`, by name, unless `labels` names them.
        observer: gets the progress.
        pool: films the pictures; None for threads of this process.

    Raises:
        SourceError: no such folder, split, class or picture, or a picture that cannot be read.
        StoreError: something else is at `out`, or another process is writing there.
    """
    sensor, screen = preset(settings.light), SCREENS[settings.screen]
    geometry, frames = (settings.height, settings.width), settings.frames
    classes, chosen = chosen_pictures(pictures, settings)

    def samples(split: str) -> Iterator[Make]:
        for picture, label in chosen[split]:
            key = f"{split}/{picture.name}"
            light = np.asarray(picture.gray(), np.float32) / np.float32(255)
            noise = [settings.seed, crc32(key.encode())]
            yield partial(_filmed, key, label, light, geometry, frames, sensor, screen, noise)

    digests = [blake3_bytes(picture.file.read_bytes()) for rows in chosen.values() for picture, _ in rows]
    names = {split: [(picture.name, label) for picture, label in rows] for split, rows in chosen.items()}
    return write(
        out,
        labels=classes,
        geometry=geometry,
        frames=frames,
        splits={split: len(rows) for split, rows in chosen.items()},
        samples=samples,
        made_from={
            "pictures": blake3_bytes("\n".join(digests).encode()),
            "names": blake3_bytes(repr(names).encode()),
            "classes": list(classes),
            "seed": settings.seed,
            "sensor": asdict(sensor),
            "screen": screen.identity(),
            "shape": [frames, *geometry],
        },
        with_truth=True,
        task="simulate",
        observer=observer,
        pool=pool,
    )


def chosen_pictures(
    pictures: Path, settings: SimulateSettings
) -> tuple[tuple[str, ...], dict[str, list[tuple[Picture, int]]]]:
    """The classes of a simulated set, and for each split its pictures with the numbers of their classes.

    Raises:
        SourceError: no such folder, split, class or picture.
    """
    per_class = {"train": settings.train} | ({} if settings.test == 0 else {"test": settings.test})
    found = {split: _pictures(pictures, split) for split in per_class}
    classes = tuple(settings.labels or sorted({picture.label for picture in found["train"]}))
    chosen = {
        split: _first(found[split], classes, count, pictures / split) for split, count in per_class.items()
    }
    return classes, chosen


def _filmed(
    key: str,
    label: int,
    light: Floats,
    geometry: tuple[int, int],
    frames: int,
    sensor: Sensor,
    screen: Screen,
    seed: Sequence[int],
) -> LabelledStream:
    spikes, truth = film(light, geometry, frames, sensor, screen, seed=seed)
    return LabelledStream(key, label, spikes, grey_levels(truth))


def _pictures(root: Path, split: str) -> list[Picture]:
    """The labelled pictures of a split, in a folder or an archive of its name."""
    for place in (root / split, root / f"{split}.zip"):
        if place.exists():
            return labelled_pictures(place)
    raise SourceError(
        f"`{root}` holds neither a folder `{split}` nor an archive `{split}.zip`",
        hint="pictures are laid out as SPLIT/CLASS/NAME.jpg, SPLIT a folder or a zip archive",
    )


def _first(
    pictures: Sequence[Picture], classes: Sequence[str], count: int | None, place: Path
) -> list[tuple[Picture, int]]:
    """The first `count` pictures of each class, or all of them, with the class's number."""
    chosen = []
    for number, name in enumerate(classes):
        found = [picture for picture in pictures if picture.label == name]
        if len(found) < (count or 1):
            raise SourceError(
                f"`{place}` has {len(found)} pictures of the class `{name}`, "
                f"{count or 'some'} were asked for",
                hint="ask for fewer; classes are named as their folders are",
            )
        chosen += [(picture, number) for picture in found[:count]]
    return chosen


_DEMO_COUNTS = {"train": 8, "test": 2}
DEMO_SIDE, DEMO_FRAMES = 72, 200


def demo_samples(split: str) -> Iterator[tuple[int, int]]:
    """The class and the number in it of each sample of the demo."""
    yield from product(range(len(SHAPES)), range(_DEMO_COUNTS[split]))


def demo_low_light(out: Path, *, observer: Observer = SILENT, pool: Executor | None = None) -> LowLightSet:
    """A small set of drawn shapes, always the same: 64 and 16 samples of 200 frames of 72x72, 8 classes.

    Raises:
        StoreError: something else is at `out`, or another process is writing there.
    """
    sensor, screen, geometry = preset("low"), SCREENS["plain"], (DEMO_SIDE, DEMO_SIDE)

    def samples(split: str) -> Iterator[Make]:
        for label, number in demo_samples(split):
            key = f"{split}/{SHAPES[label]}/{number}"
            light, noise = draw(SHAPES[label], key), [crc32(key.encode())]
            yield partial(_filmed, key, label, light, geometry, DEMO_FRAMES, sensor, screen, noise)

    return write(
        out,
        labels=SHAPES,
        geometry=geometry,
        frames=DEMO_FRAMES,
        splits={split: len(SHAPES) * count for split, count in _DEMO_COUNTS.items()},
        samples=samples,
        made_from={"demo": 1, "sensor": asdict(sensor), "screen": screen.identity()},
        with_truth=True,
        task="simulate",
        observer=observer,
        pool=pool,
    )
