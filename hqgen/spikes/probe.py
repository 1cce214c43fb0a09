"""What is in a file, and which reading of it is plausible: the facts of `hqgen probe`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import RecordingError, UnreadableError
from hqgen.spikes.camera import Camera, is_raw, usual_axes
from hqgen.spikes.discovery import BYTES, discover, padding_columns
from hqgen.spikes.kernels import count_spikes
from hqgen.spikes.plausibility import (
    FRAMES,
    Reading,
    Verdict,
    alternatives,
    check,
    flags,
    merit,
    much_better,
    read,
)
from hqgen.spikes.recording import Recording, open_recording

FLICKER_FRAMES = 4096
"""Frames whose brightness is compared: a fifth of a second at 20,000 per second."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the frames hold, by one reading of the file.

    Attributes:
        rate: spikes per frame and pixel of the first 41 frames.
        dead: pixels that never fire in them.
        hot: pixels that fire far more than all of their neighbours.
        saturated: pixels that fire in every one of them.
        flicker: standard deviation of the brightness of up to 4,096 whole frames, divided by its mean.
        flicker_period: frames after which the brightness repeats; None without a clear period.
        padding: columns at the end of the rows that do not look like picture.
    """

    rate: float
    dead: int
    hot: int
    saturated: int
    flicker: float
    flicker_period: float | None
    padding: int


@dataclass(frozen=True, slots=True)
class Probe:
    """A file and its readings.

    Attributes:
        path: of the file.
        size: its bytes.
        problem: why it cannot be read as it was asked for; empty if it can.
        verdict: of that reading; None if it cannot be read so.
        readings: what was tried, the most plausible first.
        best: the reading to use; None if none is plausible.
        proposal: the flags of the best reading; empty if the file is read so anyway.
        facts: by the best reading, or else by the one that was asked for.
        picture: spikes of each pixel in the first 41 frames, by each of `readings`: (H, W).
    """

    path: Path
    size: int
    problem: str
    verdict: Verdict | None
    readings: tuple[Reading, ...]
    best: Reading | None
    proposal: str
    facts: Facts
    pictures: tuple[NDArray[np.float32], ...]


def probe(path: Path, camera: Camera) -> Probe:
    """Read a file in all known ways, and say which one is plausible.

    Args:
        path: of the file.
        camera: how it is meant to be read.

    Raises:
        UnreadableError: it cannot be read at all.
        RecordingError: no reading gives frames.
    """
    asked, problem, verdict = camera.for_file(path), "", None
    try:
        verdict = check(open_recording(path, asked), path)
    except UnreadableError:
        raise
    except RecordingError as error:
        problem = f"{error.message} ({error.hint})" if error.hint else error.message
    readings = _readings(path, asked, verdict)
    if not readings:
        raise RecordingError(problem or f"`{path}`: no reading gives frames")
    best = _best(readings, verdict)
    shown = best or readings[0]
    usual = asked.over(Camera(axes=usual_axes(path))) if verdict is None else verdict.given.camera
    return Probe(
        path=path,
        size=path.stat().st_size,
        problem=problem,
        verdict=verdict,
        readings=readings,
        best=best,
        proposal="" if best is None else flags(best.camera, usual),
        facts=_facts(open_recording(path, shown.camera)),
        pictures=tuple(_counts(open_recording(path, reading.camera)) for reading in readings),
    )


def _best(readings: tuple[Reading, ...], verdict: Verdict | None) -> Reading | None:
    first = readings[0]
    if verdict is None:
        return first if first.signs.clear and first.signs.evenness > 0.85 else None
    return first if verdict.kind == "misread" or much_better(first, verdict.given) else verdict.given


def _readings(path: Path, asked: Camera, verdict: Verdict | None) -> tuple[Reading, ...]:
    """All readings of a file that give frames, the most plausible first, each one once."""
    given = [] if verdict is None else [verdict.given]
    found = [*given, *alternatives(path, asked), *_discovered(path, asked)]
    unique = {
        (item.shape, item.camera.padding or 0, item.camera.bit_order or "lsb", item.camera.axes): item
        for item in reversed(found)
    }
    return tuple(sorted(unique.values(), key=merit, reverse=True))


def _discovered(path: Path, asked: Camera) -> list[Reading]:
    """The reading that the bits of a file without a header show."""
    if not is_raw(path):
        return []
    with path.open("rb") as file:
        geometry = discover(np.frombuffer(file.read(BYTES), np.uint8))
    if geometry is None:
        return []
    height, columns = geometry
    plain = asked.model_copy(update={"region": None, "preset": None, "frame_range": None})
    whole = plain.model_copy(update={"height": height, "width": columns, "padding": 0})
    try:
        padding = padding_columns(_counts(open_recording(path, whole)))
        part = whole.model_copy(update={"width": columns - padding, "padding": padding})
        return [read(open_recording(path, part))]
    except RecordingError:
        return []  # frames of this size do not fill the file


def _counts(recording: Recording) -> NDArray[np.float32]:
    return count_spikes(recording.spikes(0, min(FRAMES, len(recording)))).astype(np.float32)


def _facts(recording: Recording) -> Facts:
    counts = _counts(recording)
    frames = min(FRAMES, len(recording))
    padded = np.pad(counts, 1, mode="reflect" if min(counts.shape) > 1 else "edge")
    height, width = counts.shape
    neighbours = np.stack(
        [padded[y : y + height, x : x + width] for y in range(3) for x in range(3) if (y, x) != (1, 1)]
    )
    highest = neighbours.max(0)
    hot = (counts > highest + 3 * np.sqrt(highest + 1)) & (counts > 0.1 * frames)
    flicker, period = _flicker(recording)
    return Facts(
        rate=float(counts.mean()) / frames,
        dead=int(np.count_nonzero(counts == 0)),
        hot=int(np.count_nonzero(hot)),
        saturated=int(np.count_nonzero(counts == frames)),
        flicker=flicker,
        flicker_period=period,
        padding=padding_columns(counts),
    )


def _flicker(recording: Recording) -> tuple[float, float | None]:
    """How much the brightness of whole frames varies, and after how many frames it repeats."""
    count = min(FLICKER_FRAMES, len(recording))
    totals = np.concatenate(
        [
            np.bitwise_count(recording.spikes(start, min(start + 256, count)).data).sum(1, dtype=np.float64)
            for start in range(0, count, 256)
        ]
    )
    mean = float(totals.mean())
    if mean == 0 or count < 16:
        return 0.0, None
    places = np.arange(count)
    left = totals - np.polyval(np.polyfit(places, totals, 1), places)  # without a slow drift
    power = np.abs(np.fft.rfft(left * np.hanning(count))) ** 2
    peak = int(np.argmax(power[2:])) + 2
    clear = power[peak] > 0.3 * power[2:].sum() and peak < count // 3
    return float(left.std()) / mean, count / peak if clear else None
