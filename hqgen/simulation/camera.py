"""A spike camera in software: light in, packed spikes out.

The pixel integrates and fires (Dong, Huang, Tian 2017: charge accumulates until it meets a threshold, one bit
a readout). What a real pixel adds to that is in `Sensor`; docs/simulator.md shows against which measurements
its numbers were chosen and which of them are missed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import SourceError, UnknownNameError, UsageError
from hqgen.files import writing
from hqgen.pictures import SUFFIXES, picture_files, read_light
from hqgen.simulation.motion import Motion, moving_picture
from hqgen.simulation.pixels import fire_frame
from hqgen.spikes.packed import PackedSpikes, frame_bytes
from hqgen.spikes.recording import write_dat
from hqgen.text import count

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sensor:
    """A spike camera under a given light. Charge is counted in thresholds, so 1 fires.

    The defaults are an ideal sensor: it fires at exactly `sensitivity` times the brightness.

    Args:
        sensitivity: spikes per frame that brightness 1 fires: exposure, aperture and light together.
        response_spread: standard deviation of the pixels' gain about 1 (photo-response non-uniformity).
        dark: median dark current, spikes per frame.
        dark_spread: standard deviation of the logarithm of the dark current from pixel to pixel.
        threshold_noise: standard deviation of the threshold, drawn again for every charge of every pixel.
        readout_noise: standard deviation of what the comparator adds at each readout; it does not accumulate.
        hot_share: share of hot pixels.
        hot: median additional dark current of a hot pixel, spikes per frame.
        flicker: by how much the charge of even frames exceeds the mean, and that of odd ones falls short.
        electrons: electrons a threshold holds, for shot noise; None leaves it off.

    Raises:
        ValueError: a number is negative or not finite, or a share is above 1.
    """

    sensitivity: float
    response_spread: float = 0.0
    dark: float = 0.0
    dark_spread: float = 0.0
    threshold_noise: float = 0.0
    readout_noise: float = 0.0
    hot_share: float = 0.0
    hot: float = 0.0
    flicker: float = 0.0
    electrons: float | None = None

    def __post_init__(self) -> None:
        numbers = [number for number in astuple(self) if number is not None]
        if not np.isfinite(numbers).all() or min(numbers) < 0:
            raise ValueError(f"the numbers of a sensor must be finite and at least 0: {self}")
        if max(self.hot_share, self.flicker) > 1 or self.electrons == 0:
            raise ValueError(f"`hot_share` and `flicker` must be at most 1, `electrons` above 0: {self}")


_REAL = {
    "response_spread": 0.025,
    "dark": 0.0037,
    "dark_spread": 0.45,
    "threshold_noise": 0.035,
    "readout_noise": 0.005,
    "hot_share": 0.0011,
    "hot": 0.03,
    "flicker": 0.002,
}

_UHSR = {"dark": 0.006, "dark_spread": 0.47, "threshold_noise": 0.013, "readout_noise": 0.003}
"""The camera of UHSR, where it differs: in the still surround of the helicopter's screen the rates of pixels
spread by 15 % and the interval CV is 0.010, which `low` misses by far (10 % and 0.025)."""

# One camera in two lights, and another one in low light. 0.6 is the convention of Spike-REDS: the firing rate
# by 0.6 is the picture.
PRESETS = {
    "normal": Sensor(sensitivity=0.6, **_REAL),
    "low": Sensor(sensitivity=0.06, **_REAL),
    "uhsr": Sensor(sensitivity=0.06, **_REAL | _UHSR),
}


def preset(name: str) -> Sensor:
    """The sensor of a light level: `normal`, `low` or `uhsr`.

    Raises:
        UnknownNameError: another name.
    """
    if name not in PRESETS:
        raise UnknownNameError("light", name, PRESETS)
    return PRESETS[name]


def simulate(
    scene: Iterable[NDArray[np.float32]], sensor: Sensor, *, seed: int | Sequence[int]
) -> PackedSpikes:
    """Expose a sensor to a scene, frame by frame; no more than one frame of it is held.

    The charge that is left after a spike is kept. A pixel fires at most once per frame: charge for more than
    that is lost, as in the camera, where one bit is all that a readout can say.

    Args:
        scene: frames (H, W), linear light in [0, 1], all of one shape.
        sensor: what they fall on.
        seed: equal seeds give equal pixels and equal noise.

    Raises:
        ValueError: there is no frame, one has another shape than the first, or values outside [0, 1] or NaN.
    """
    frames = iter(scene)
    first = next(frames, None)
    if first is None:
        raise ValueError("the scene has no frame")
    if first.ndim != 2 or first.size == 0:
        raise ValueError(f"a frame must have the shape (H, W) with at least one pixel, not {first.shape}")
    height, width = first.shape
    rng = np.random.default_rng(seed)
    pixels = _pixels(sensor, first.size, rng)
    packed = [
        _readout(light, index, sensor, pixels, rng)
        for index, light in enumerate(_checked(chain([first], frames), (height, width)))
    ]
    return PackedSpikes(np.stack(packed), height, width)


def _checked(frames: Iterable[NDArray[np.float32]], shape: tuple[int, int]) -> Iterator[NDArray[np.float32]]:
    for index, frame in enumerate(frames):
        if frame.shape != shape:
            raise ValueError(f"frame {index} of the scene is {frame.shape}, the first one {shape}")
        low, high = float(frame.min()), float(frame.max())
        if not (low >= 0 and high <= 1):  # NaN fails both
            raise ValueError(f"frame {index} of the scene has values {low}..{high}, light is in [0, 1]")
        yield frame.reshape(-1).astype(np.float32, copy=False)


_HOT_SPREAD = 0.4
"""Standard deviation of the logarithm; the 48 hot pixels of the low-light recording have 0.36."""


class _Pixels(NamedTuple):
    """The pixels, each (H * W,): `gain` and `dark` stay, the others change with every frame."""

    gain: NDArray[np.float32]
    dark: NDArray[np.float32]
    charge: NDArray[np.float64]
    threshold: NDArray[np.float32]
    fired: NDArray[np.int64]


def _pixels(sensor: Sensor, count: int, rng: np.random.Generator) -> _Pixels:
    gain = np.maximum(1 + sensor.response_spread * rng.standard_normal(count), 0) * sensor.sensitivity
    dark = sensor.dark * np.exp(sensor.dark_spread * rng.standard_normal(count))
    hot = rng.random(count) < sensor.hot_share
    dark[hot] += sensor.hot * np.exp(_HOT_SPREAD * rng.standard_normal(np.count_nonzero(hot)))
    threshold = 1 + sensor.threshold_noise * rng.standard_normal(count)
    return _Pixels(
        gain=gain.astype(np.float32),
        dark=dark.astype(np.float32),
        charge=rng.random(count),
        threshold=threshold.astype(np.float32),
        fired=np.empty(count, np.int64),
    )


def _readout(
    light: NDArray[np.float32], index: int, sensor: Sensor, pixels: _Pixels, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Expose for one frame and read it out: uint8 (ceil(H * W / 8),)."""
    exposure = light * pixels.gain + pixels.dark
    exposure *= np.float32(1 + sensor.flicker if index % 2 == 0 else 1 - sensor.flicker)
    if sensor.electrons is not None:
        exposure = (rng.poisson(exposure * sensor.electrons) / sensor.electrons).astype(np.float32)
    comparator = _normal(rng, light.size, sensor.readout_noise)
    packed = np.zeros(frame_bytes(1, light.size), np.uint8)
    spikes = fire_frame(exposure, comparator, pixels.charge, pixels.threshold, pixels.fired, packed)
    fired = pixels.fired[:spikes]
    pixels.threshold[fired] = 1 + _normal(rng, spikes, sensor.threshold_noise)
    return packed


def _normal(rng: np.random.Generator, count: int, deviation: float) -> NDArray[np.float32]:
    if deviation == 0:
        return np.zeros(count, np.float32)
    noise = rng.standard_normal(count, dtype=np.float32)
    noise *= np.float32(deviation)
    return noise


PICTURE_MOTION = Motion(right=0.1, down=0.04, rotation=0.01)
"""The usual motion of a picture: 4 pixels to the right in the 41 frames of a window."""


def simulate_pictures(
    pictures: Path,
    out: Path,
    *,
    sensor: Sensor,
    seed: int = 0,
    frames: int = 201,
    height: int = 250,
    width: int = 400,
    motion: Motion = PICTURE_MOTION,
    sequence: bool = False,
) -> list[Path]:
    """Simulate recordings from picture files and write them.

    A file becomes the recording `out`, its picture moving. A folder becomes one recording a picture in the
    folder `out`, named after the pictures; with `sequence` it becomes the single recording `out`, and each
    picture, in the order of the names, one frame of it. A picture's noise depends on `seed` and its own name,
    not on which others are beside it.

    Args:
        pictures: a picture or a folder of pictures.
        out: a `.dat` or `.npz` file, or for a folder of pictures a folder, which receives `.dat` files.
        sensor: what films them, such as `preset("low")`.
        seed: of pixels and noise.
        frames: length of a recording; a sequence has its own.
        height: H of a recording; a sequence has its own.
        width: W; a sequence has its own.
        motion: how pictures move; those of a sequence do not.
        sequence: whether a folder holds the frames of one scene.

    Returns:
        The files written.

    Raises:
        SourceError: no picture there, or one that cannot be read.
        UsageError: pictures of a sequence that differ in size, or an `out` that does not suit or cannot be
            written.
        RecordingError: .dat cannot hold the geometry.
    """
    files = _picture_files(pictures)
    if sequence:
        _write(out, simulate(_sequence(files), sensor, seed=seed))
        return [out]
    if not pictures.is_dir():
        targets = [out]
    elif out.suffix:
        raise UsageError(
            f"`{pictures}` is a folder, but `{out}` is a single recording",
            hint="name a folder, or say `--sequence` if the pictures are the frames of one scene",
        )
    else:
        targets = [out / f"{file.stem}.dat" for file in files]
        if others := sorted({*out.glob("*.dat")} - {*targets}):
            found = f"{count(len(others), 'other recording')}, such as `{others[0].name}`"
            log.warning(f"`{out}` already holds {found}: a build takes them together with the new ones")
    small = list[Path]()
    for file, target in zip(files, targets, strict=True):
        light = read_light(file)
        if light.shape[0] < height or light.shape[1] < width:
            small.append(file)
        scene = moving_picture(light, frames, height, width, motion)
        _write(target, simulate(scene, sensor, seed=[seed, crc32(file.name.encode())]))
    if small:
        log.warning(
            f"{len(small):,} of {count(len(files), 'picture')} had fewer pixels than {height}x{width} and "
            f"were enlarged, so the recordings are blurred; the first is `{small[0]}`"
        )
    return targets


def _picture_files(pictures: Path) -> list[Path]:
    if not pictures.is_dir():
        return [pictures]
    files = [pictures / picture.name for picture in picture_files(pictures) if not picture.label]
    if not files:
        raise SourceError(f"`{pictures}` holds no picture", hint=f"pictures end in {', '.join(SUFFIXES)}")
    names = [file.stem for file in files]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"`{pictures}` holds two pictures called `{double}`", hint="rename one of them")
    return files


def _sequence(files: list[Path]) -> Iterator[NDArray[np.float32]]:
    shape = None
    for file in files:
        frame = read_light(file)
        shape = shape or frame.shape
        if frame.shape != shape:
            raise UsageError(
                f"`{file}` is {frame.shape[0]}x{frame.shape[1]}, `{files[0]}` is {shape[0]}x{shape[1]}",
                hint="all frames of a sequence must have one size",
            )
        yield frame


def _write(path: Path, spikes: PackedSpikes) -> None:
    if path.suffix.lower() not in (".dat", ".npz"):
        raise UsageError(
            f"`{path}`: recordings are written as .dat or .npz",
            hint="end the name of the file with .dat or .npz",
        )
    with writing(path):
        if path.suffix.lower() == ".npz":
            np.savez_compressed(path, spk=spikes.frames())
        else:
            write_dat(path, spikes)
