"""Low-light sets simulated from pictures.

Each picture is shown as UHSR shows its own: on a dim screen inside a dark surround that drifts before the
camera, slower than a pixel in twenty frames. `SCREEN` and the sensor `low` of hqgen are set so that the one
real recording at hand, U-CALTECH's helicopter, looks the same: mean rate 0.031, 0.017 around the screen.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import SourceError, UsageError
from hqgen.files import digest_bytes
from hqgen.spikes.motion import Motion, moving_picture
from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.simulate import Sensor, preset, simulate
from spikeclip.lowlight import THREADS, LowLightSet, write_or_open
from spikeclip.lowlight_writer import LabelledStream, in_order
from spikeclip.shapes import SHAPES, draw

if TYPE_CHECKING:
    from hqgen.build.prepare import Observer

__all__ = ["DEMO_CROP", "SCREEN", "Screen", "demo_low_light", "film", "simulate_low_light"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Screen:
    """How a picture is shown: light in [0, 1], lengths as shares of the frame.

    Attributes:
        size: longer side of the picture.
        surround: light of what lies around the screen.
        black: light of a black pixel of the screen.
        white: light of a white one.
        offset: how far its middle may be from the frame's, each way.
        tilt: most degrees it is turned by, each way.
        drift: most pixels a frame that it moves by; the least is half of that.
        turn: most degrees a frame that it turns by, each way.
    """

    size: float
    surround: float
    black: float
    white: float
    offset: float
    tilt: float
    drift: float
    turn: float


SCREEN = Screen(
    size=0.87, surround=0.22, black=0.30, white=0.95, offset=0.02, tilt=2.0, drift=0.045, turn=0.003
)
"""Of U-CALTECH's helicopter: light by (rate - 0.0037) / 0.06, the numbers of the sensor `low`."""

_HOLD = 4
"""Frames that the scene is drawn once for: it moves by less than a fifth of a pixel in them."""


def film(
    picture: Floats, geometry: tuple[int, int], frames: int, sensor: Sensor, *, seed: Sequence[int]
) -> PackedSpikes:
    """Show a picture on a drifting screen and film it.

    Args:
        picture: float32 (h, w), brightness in [0, 1].
        geometry: (H, W) of the recording.
        frames: T.
        sensor: what films it.
        seed: of place, motion, pixels and noise.
    """
    rng = np.random.default_rng([*seed, 1])
    direction, speed = rng.uniform(0, 2 * np.pi), SCREEN.drift * rng.uniform(0.5, 1)
    motion = Motion(
        right=_HOLD * speed * np.cos(direction),
        down=_HOLD * speed * np.sin(direction),
        rotation=_HOLD * SCREEN.turn * rng.uniform(-1, 1),
    )
    shown = moving_picture(_shown(picture, geometry, rng), -(-frames // _HOLD), *geometry, motion)
    scene = (light for light in shown for _ in range(_HOLD))
    return simulate(islice(scene, frames), sensor, seed=[*seed, 2])


def _shown(picture: Floats, geometry: tuple[int, int], rng: np.random.Generator) -> Floats:
    """The light of the screen with its surround: float32 (H, W) in [0, 1]."""
    from PIL import Image

    height, width = geometry
    scale = SCREEN.size * min(height / picture.shape[0], width / picture.shape[1])
    size = tuple(max(1, round(scale * side)) for side in picture.shape[::-1])
    light = Image.fromarray(SCREEN.black + (SCREEN.white - SCREEN.black) * picture)
    middle = [
        round((frame - side) / 2 + frame * SCREEN.offset * rng.uniform(-1, 1))
        for frame, side in zip((width, height), size, strict=True)
    ]
    scene = Image.new("F", (width, height), SCREEN.surround)
    scene.paste(light.resize(size, Image.Resampling.BICUBIC), (middle[0], middle[1]))
    angle = SCREEN.tilt * rng.uniform(-1, 1)
    turned = scene.rotate(angle, Image.Resampling.BICUBIC, fillcolor=SCREEN.surround)
    return np.clip(np.asarray(turned, np.float32), 0, 1)


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
    observer: Observer | None = None,
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
    opened = {split: _Pictures(pictures, split) for split in per_class}
    classes = tuple(labels or sorted(opened[next(iter(per_class))].names))
    chosen = {split: found.choose(classes, per_class[split]) for split, found in opened.items()}

    def simulated(item: tuple[str, str, int]) -> LabelledStream:
        split, name, label = item
        key = f"{split}/{name}"
        picture = _decoded(key, opened[split].read(name))
        spikes = film(picture, (height, width), frames, sensor, seed=[seed, crc32(key.encode())])
        return LabelledStream(key, label, spikes)

    digests = [digest_bytes(opened[split].read(name)) for split, names in chosen.items() for name, _ in names]
    made_from = {
        "pictures": digest_bytes("\n".join(digests).encode()),
        "names": digest_bytes(repr(chosen).encode()),
        "classes": list(classes),
        "seed": seed,
        "sensor": asdict(sensor),
        "screen": asdict(SCREEN),
        "shape": [frames, height, width],
    }
    items = {split: [(split, *pair) for pair in names] for split, names in chosen.items()}
    return _write(out, made_from, classes, (height, width), frames, items, simulated, observer)


def _write(
    out: Path,
    made_from: Mapping[str, Any],
    classes: Sequence[str],
    geometry: tuple[int, int],
    frames: int,
    items: Mapping[str, list[Any]],
    simulated: Callable[[Any], LabelledStream],
    observer: Observer | None,
) -> LowLightSet:
    """Simulate all items on threads (the simulation lets the interpreter lock go) and write them in order."""
    total = sum(map(len, items.values()))
    shown = observer.progress("simulate", total, "samples") if observer else None
    with shown or nullcontext(lambda _samples: None) as advance, ThreadPoolExecutor(THREADS) as pool:

        def streams(split: str) -> Iterator[LabelledStream]:
            for stream in in_order(pool, simulated, items[split], 2 * THREADS):
                advance(1)
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


class _Pictures:
    """The pictures of one split, in a folder or a zip archive.

    Attributes:
        names: paths inside it, in order, by class.
    """

    def __init__(self, root: Path, split: str) -> None:
        self._folder, archive = root / split, root / f"{split}.zip"
        self._archive = None
        if self._folder.is_dir():
            paths = [path.relative_to(self._folder).as_posix() for path in self._folder.rglob("*")]
        elif zipfile.is_zipfile(archive):
            self._archive = zipfile.ZipFile(archive)
            paths = self._archive.namelist()
        else:
            raise SourceError(
                f"`{root}` holds neither a folder `{split}` nor an archive `{split}.zip`",
                hint="pictures are laid out as SPLIT/CLASS/NAME.jpg, SPLIT a folder or a zip archive",
            )
        self.names: dict[str, list[str]] = {}
        for path in sorted(paths):
            if path.lower().endswith(_SUFFIXES):
                self.names.setdefault(PurePosixPath(path).parent.name, []).append(path)

    def choose(self, classes: Sequence[str], count: int) -> list[tuple[str, int]]:
        """The first `count` pictures of each class, with the class's number."""
        for name in classes:
            if (found := len(self.names.get(name, []))) < count:
                raise SourceError(
                    f"`{self._folder}` has {found} pictures of the class `{name}`, {count} were asked for",
                    hint="ask for fewer; classes are named as their folders are",
                )
        return [(name, label) for label, item in enumerate(classes) for name in self.names[item][:count]]

    def read(self, name: str) -> bytes:
        return self._archive.read(name) if self._archive else (self._folder / name).read_bytes()


_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def _decoded(key: str, data: bytes) -> Floats:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("L"), np.float32) / np.float32(255)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise SourceError(f"`{key}` is no readable picture: {error}", hint="remove or replace it") from error


_DEMO_COUNTS = {"train": 8, "test": 2}
_DEMO_SIDE, _DEMO_FRAMES = 72, 200
DEMO_CROP = 64
"""Side of the crop that suits the frames of `demo_low_light`, 72x72 pixels."""


def demo_low_light(out: Path, *, observer: Observer | None = None) -> LowLightSet:
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
