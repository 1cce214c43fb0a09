"""Low-light sets simulated from pictures.

Each picture is shown as UHSR shows its own: on a dim screen inside a dark surround that drifts before the
camera, slower than a pixel in twenty frames. `SCREEN` and the sensor `low` of hqgen are set so that the one
real recording at hand, U-CALTECH's helicopter, looks the same: mean rate 0.031, 0.017 around the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from hqgen.errors import SourceError, UsageError
from hqgen.files import digest_bytes
from hqgen.pictures import Picture, labelled_pictures
from hqgen.progress import SILENT, Observer
from hqgen.simulation.camera import Sensor, preset
from spikeclip.data.lowlight import THREADS, LowLightSet
from spikeclip.data.lowlight_writer import LabelledStream, in_order
from spikeclip.data.prepare import write_or_open
from spikeclip.data.screen import SCREEN, film
from spikeclip.data.shapes import SHAPES, draw

__all__ = ["demo_low_light", "simulate_low_light"]


def simulate_low_light(
    pictures: Path,
    out: Path,
    *,
    per_class: Mapping[str, int],
    seed: int = 0,
    height: int = 250,
    width: int = 250,
    frames: int = 200,
    sensor: Sensor | None = None,
    labels: Sequence[str] | None = None,
    observer: Observer = SILENT,
) -> LowLightSet:
    """Simulate a low-light set from labelled pictures; found there already, it is opened.

    A sample depends on `seed` and its picture's name alone, not on which others are taken.

    Args:
        pictures: a folder that holds, for each split, a folder or a zip archive of its name with pictures
            CLASS/NAME.jpg.
        out: where the set is to lie.
        per_class: how many pictures of each class to take, by split: the first ones by name.
        seed: of places, motions and noise.
        height: H of a recording.
        width: W of a recording.
        frames: T.
        sensor: what films them; None takes hqgen's `low`.
        labels: the classes in the order of their numbers; None takes all of the first split, by name.
        observer: is told how it goes on.

    Raises:
        SourceError: no such folder, split, class or picture, or a picture that cannot be read.
        UsageError: numbers that make no set.
        StoreError: something else lies at `out`, or another process is writing there.
    """
    if min(height, width) < 8 or frames < 1 or not per_class or min(per_class.values()) < 1:
        raise UsageError(
            f"no set can be made of {frames} frames of {height}x{width} and {dict(per_class)} a class",
            hint='frames have 8 pixels a side at least; name splits as in {"train": 100, "test": 20}',
        )
    sensor = sensor or preset("low")
    found = {split: _pictures(pictures, split) for split in per_class}
    classes = tuple(labels or sorted({picture.label for picture in found[next(iter(per_class))]}))
    chosen = {
        split: _first(found[split], classes, count, pictures / split) for split, count in per_class.items()
    }

    def simulated(item: tuple[str, Picture, int]) -> LabelledStream:
        split, picture, label = item
        key = f"{split}/{picture.name}"
        light = np.asarray(picture.gray(), np.float32) / np.float32(255)
        spikes = film(light, (height, width), frames, sensor, seed=[seed, crc32(key.encode())])
        return LabelledStream(key, label, spikes)

    digests = [digest_bytes(picture.file.read_bytes()) for rows in chosen.values() for picture, _ in rows]
    names = {split: [(picture.name, label) for picture, label in rows] for split, rows in chosen.items()}
    made_from = {
        "pictures": digest_bytes("\n".join(digests).encode()),
        "names": digest_bytes(repr(names).encode()),
        "classes": list(classes),
        "seed": seed,
        "sensor": asdict(sensor),
        "screen": asdict(SCREEN),
        "shape": [frames, height, width],
    }
    items = {split: [(split, *pair) for pair in rows] for split, rows in chosen.items()}
    return _write(out, made_from, classes, (height, width), frames, items, simulated, observer)


def _write(
    out: Path,
    made_from: Mapping[str, Any],
    classes: Sequence[str],
    geometry: tuple[int, int],
    frames: int,
    items: Mapping[str, list[Any]],
    simulated: Callable[[Any], LabelledStream],
    observer: Observer,
) -> LowLightSet:
    """Simulate all items on threads (the simulation lets the interpreter lock go) and write them in order."""
    total = sum(map(len, items.values()))
    with observer.progress("simulate", total, "samples") as job, ThreadPoolExecutor(THREADS) as pool:

        def streams(split: str) -> Iterator[LabelledStream]:
            for stream in in_order(pool, simulated, items[split], 2 * THREADS):
                job.advance()
                yield stream

        return write_or_open(
            out,
            made_from,
            labels=classes,
            geometry=geometry,
            frames=frames,
            splits={split: len(rows) for split, rows in items.items()},
            streams=streams,
        )


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
    pictures: Sequence[Picture], classes: Sequence[str], count: int, place: Path
) -> list[tuple[Picture, int]]:
    """The first `count` pictures of each class, with the class's number."""
    chosen = []
    for number, name in enumerate(classes):
        found = [picture for picture in pictures if picture.label == name]
        if len(found) < count:
            raise SourceError(
                f"`{place}` has {len(found)} pictures of the class `{name}`, {count} were asked for",
                hint="ask for fewer; classes are named as their folders are",
            )
        chosen += [(picture, number) for picture in found[:count]]
    return chosen


_DEMO_COUNTS = {"train": 8, "test": 2}
_DEMO_SIDE, _DEMO_FRAMES = 72, 200


def demo_low_light(out: Path, *, observer: Observer = SILENT) -> LowLightSet:
    """A small set of drawn shapes, always the same: 64 and 16 samples of 200 frames of 72x72, 8 classes.

    Raises:
        StoreError: something else lies at `out`, or another process is writing there.
    """
    sensor, geometry = preset("low"), (_DEMO_SIDE, _DEMO_SIDE)

    def simulated(item: tuple[str, int, int]) -> LabelledStream:
        split, label, number = item
        key = f"{split}/{SHAPES[label]}/{number}"
        picture, seed = draw(SHAPES[label], key), [crc32(key.encode())]
        return LabelledStream(key, label, film(picture, geometry, _DEMO_FRAMES, sensor, seed=seed))

    items = {
        split: [(split, label, number) for label in range(len(SHAPES)) for number in range(count)]
        for split, count in _DEMO_COUNTS.items()
    }
    made_from = {"demo": 1, "sensor": asdict(sensor), "screen": asdict(SCREEN)}
    return _write(out, made_from, SHAPES, geometry, _DEMO_FRAMES, items, simulated, observer)
