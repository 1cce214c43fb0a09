"""Low-light sets simulated from pictures.

Each picture is shown as UHSR shows its own: on a dim screen inside a dark surround that drifts before the
camera, slower than a pixel in twenty frames. `SCREEN` and the sensor `low` of hqgen are set so that the one
real recording at hand, U-CALTECH's helicopter, looks the same: mean rate 0.031, 0.017 around the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
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
from spikeclip.data.screen import SCREEN, Floats, film
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
    pool: Executor | None = None,
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
        observer: gets the progress.
        pool: films the pictures; None for threads of this process.

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

    def shown(split: str, item: tuple[Picture, int]) -> _Shown:
        picture, label = item
        key = f"{split}/{picture.name}"
        light = np.asarray(picture.gray(), np.float32) / np.float32(255)
        return _Shown(key, label, light, (seed, crc32(key.encode())))

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
    camera = partial(_filmed, geometry=(height, width), frames=frames, sensor=sensor)
    return _write(out, made_from, classes, chosen, shown, camera, observer, pool)


class _Shown(NamedTuple):
    """A picture to film: its sample's key and label, float32 (h, w) in 0..1, and the seed of its noise."""

    key: str
    label: int
    light: Floats
    seed: tuple[int, ...]


def _filmed(shown: _Shown, geometry: tuple[int, int], frames: int, sensor: Sensor) -> LabelledStream:
    spikes = film(shown.light, geometry, frames, sensor, seed=list(shown.seed))
    return LabelledStream(shown.key, shown.label, spikes)


def _write(
    out: Path,
    made_from: Mapping[str, Any],
    classes: Sequence[str],
    chosen: Mapping[str, Sequence[Any]],
    shown: Callable[[str, Any], _Shown],
    camera: partial[LabelledStream],
    observer: Observer,
    pool: Executor | None,
) -> LowLightSet:
    """Film what was chosen of each split and write it in order. Threads do it as well as processes."""
    total = sum(map(len, chosen.values()))
    with (
        observer.progress("simulate", total, "samples") as job,
        nullcontext(pool) if pool else ThreadPoolExecutor(THREADS) as filming,
    ):

        def streams(split: str) -> Iterator[LabelledStream]:
            for stream in in_order(
                filming, camera, (shown(split, item) for item in chosen[split]), 2 * THREADS
            ):
                job.advance()
                yield stream

        return write_or_open(
            out,
            made_from,
            labels=classes,
            geometry=camera.keywords["geometry"],
            frames=camera.keywords["frames"],
            splits={split: len(rows) for split, rows in chosen.items()},
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


def demo_low_light(out: Path, *, observer: Observer = SILENT, pool: Executor | None = None) -> LowLightSet:
    """A small set of drawn shapes, always the same: 64 and 16 samples of 200 frames of 72x72, 8 classes.

    Raises:
        StoreError: something else lies at `out`, or another process is writing there.
    """
    sensor = preset("low")

    def shown(split: str, item: tuple[int, int]) -> _Shown:
        label, number = item
        key = f"{split}/{SHAPES[label]}/{number}"
        return _Shown(key, label, draw(SHAPES[label], key), (crc32(key.encode()),))

    chosen = {
        split: [(label, number) for label in range(len(SHAPES)) for number in range(count)]
        for split, count in _DEMO_COUNTS.items()
    }
    made_from = {"demo": 1, "sensor": asdict(sensor), "screen": asdict(SCREEN)}
    camera = partial(_filmed, geometry=(_DEMO_SIDE, _DEMO_SIDE), frames=_DEMO_FRAMES, sensor=sensor)
    return _write(out, made_from, SHAPES, chosen, shown, camera, observer, pool)
