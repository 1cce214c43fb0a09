"""Whether a recording is read as it was written, as far as its own spikes can show it.

A wrong geometry, axis or bit order gives frames without any error. Four signs show it without ground truth:

- *evenness*: neighbours in a column of the picture are as similar as neighbours in a row. With a wrong width,
  rows do not continue each other, and only the neighbours in a row stay similar.
- *pause*: a pixel that has fired needs time until it fires again, so it fires less often in two successive
  frames than chance would have it. Along an axis that is not time, or at a wrong frame length, there is no
  pause.
- *halves*: with twice the width, two rows are side by side, and the halves of the picture repeat each other.
- *seams*: with the wrong bit order, neighbours over the limit of two bytes are less similar than neighbours
  within a byte.

A scene can lack any of these: a dark, saturated or noisy one says nothing, and a scene of stripes or in fast
motion is uneven. So a reading is only called wrong if another reading of the same file is much better.

An upside-down picture and one with rows and columns exchanged are as plausible as the right one: only ground
truth, or the known shape of a sensor, can show it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import HqgenError, UsageError
from hqgen.spikes.camera import PRESETS, VIDAR, Axes, Camera, is_raw, usual_axes
from hqgen.spikes.kernels import count_spikes
from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.recording import Recording, open_recording

log = logging.getLogger(__name__)

FRAMES = 41
"""Frames that are looked at: the first window."""

FEWEST_LIMITS = 1000
"""Pairs of neighbours over the limits of bytes that show something. In 40x40 pixels there are 160 of them,
and the edge of an object can be a quarter of these."""

SHIFTS = range(8, 57)
"""Columns from half the width: in a periodic picture, one of them is a whole number of periods."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Signs:
    """What the frames of one reading show.

    Attributes:
        rate: spikes per frame and pixel.
        rows: correlation of each row of the counts with the next one, -1 to 1; 0 for a flat picture.
        columns: the same of columns.
        pause: how much rarer than by chance a pixel fires in two successive frames: 1 never, 0 as by chance.
        halves: correlation of the left and the right half of the picture.
        beside: the largest of the same with the right half moved by some columns, high in a periodic picture;
            0 where the halves are not alike, since it takes long.
        seams: mean squared difference over the limits of bytes, divided by that of neighbours within a byte:
            about 1 with the right bit order. 1 where the rows are not whole bytes.
        pixels: H * W.
    """

    rate: float
    rows: float
    columns: float
    pause: float
    halves: float
    beside: float
    seams: float
    pixels: int

    @property
    def clear(self) -> bool:
        """Whether there is a picture: neighbours are more similar than noise could make them."""
        return max(self.rows, self.columns) > max(0.05, 12 / math.sqrt(self.pixels))

    @property
    def evenness(self) -> float:
        """The smaller correlation divided by the larger one: 0 to 1."""
        larger = max(self.rows, self.columns)
        return max(min(self.rows, self.columns) / larger, 0) if larger > 0 else 0

    @property
    def merit(self) -> float:
        """How much of a picture and of a pause there is: 0 to 1."""
        return max(min(self.rows, self.columns), 0) * min(max(self.pause, 0), 1)


def signs(spikes: PackedSpikes) -> Signs:
    """Measure the first frames of a reading.

    Args:
        spikes: (T, H, W); of more than 41 frames the first 41 are used.
    """
    spikes = spikes[:FRAMES]
    _, height, width = spikes.shape
    counts = count_spikes(spikes).astype(np.float32)
    counts -= counts.mean()
    # Hot pixels would outweigh the picture of a dim scene.
    spread = 4 * float(counts.std())
    np.clip(counts, -spread, spread, out=counts)
    half = width // 2
    rows, columns = _correlation(counts[:-1], counts[1:]), _correlation(counts[:, :-1], counts[:, 1:])
    halves = _correlation(counts[:, :half], counts[:, half : 2 * half])
    rate, pause = _rate_and_pause(spikes)
    return Signs(
        rate=rate,
        rows=rows,
        columns=columns,
        pause=pause,
        halves=halves,
        beside=_beside(counts, half) if _alike(halves, rows, columns) else 0,
        seams=_seams(counts),
        pixels=height * width,
    )


def _beside(counts: Floats, half: int) -> float:
    """The largest correlation of the left part with the right one, moved by `SHIFTS` from the half."""
    width = counts.shape[1]
    places = [half + sign * shift for shift in SHIFTS for sign in (-1, 1) if shift < half - 8]
    return max((_correlation(counts[:, : width - at], counts[:, at:]) for at in places), default=0)


def _correlation(one: Floats, other: Floats) -> float:
    if one.size == 0:
        return 0
    product = float(np.mean(one * other)) - float(one.mean()) * float(other.mean())
    scale = float(one.std()) * float(other.std())
    return product / scale if scale > 0 else 0


def _rate_and_pause(spikes: PackedSpikes) -> tuple[float, float]:
    """The rate, and 1 - P(fires in two successive frames) / P(by chance), of the rarer of spike and none.

    Chance is what frames further apart say, but not less than the square of the rate: in dim light, pixels do
    not fire twice within these frames at all.
    """
    data, count = spikes.data, len(spikes)
    pixels = spikes.height * spikes.width
    rate = float(np.bitwise_count(data).sum(dtype=np.int64)) / (count * pixels)
    rarer = min(rate, 1 - rate)
    if count < 4 or rarer == 0:
        return rate, 0
    both = [
        float(np.bitwise_count(data[:-lag] & data[lag:]).sum(dtype=np.int64)) / ((count - lag) * pixels)
        for lag in range(1, min(6, count - 1))
    ]
    return rate, (max(float(np.mean(both[1:])), rate**2) - both[0]) / rarer**2


def _seams(counts: Floats) -> float:
    height, width = counts.shape
    if width % 8 or height * (width // 8 - 1) < FEWEST_LIMITS:
        return 1
    squares = (counts[:, 1:] - counts[:, :-1]) ** 2
    over_limits = float(squares[:, 7::8].mean())
    within = (float(squares.sum()) - over_limits * squares[:, 7::8].size) / (height * width // 8 * 7)
    return over_limits / within if within > 0 else 1


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a file.

    Attributes:
        camera: the whole description.
        signs: what the frames show.
        shape: (T, H, W).
    """

    camera: Camera
    signs: Signs
    shape: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is thought of a reading.

    Attributes:
        kind: `fits`; `unclear`, where the frames say too little; `doubtful`; or `misread`.
        reason: what is wrong, if it is `doubtful` or `misread`.
        given: the reading that was asked for.
        better: the reading to use instead; None if none is known.
    """

    kind: Literal["fits", "unclear", "doubtful", "misread"]
    reason: str
    given: Reading
    better: Reading | None = None

    @property
    def proposal(self) -> str:
        """The flags that describe the better reading; empty without one."""
        return "" if self.better is None else flags(self.better.camera, self.given.camera)


def check(recording: Recording, path: Path) -> Verdict:
    """Compare a reading with others of the same file, if its first window is not plausible itself.

    Args:
        recording: as it is read now.
        path: of its file.

    Raises:
        RecordingError: the recording cannot be read.
    """
    if recording.camera.region is not None:  # a part may show too little
        recording = open_recording(path, recording.camera.model_copy(update={"region": None}))
    given = read(recording)
    found = given.signs
    plausible = found.pause > 0.25 and found.evenness > 0.9 and found.seams < 1.15 and not _repeats(found)
    if found.clear and plausible and given.shape[1:] != VIDAR[::-1]:
        return Verdict("fits", "", given)
    # With the right time axis and no picture along the rows, no other width can show one.
    if not 0 < found.rate < 1 or (not found.clear and found.pause > 0.7):
        return Verdict("unclear", "", given)
    return _compared(given, list(alternatives(path, recording.camera)))


def read(recording: Recording) -> Reading:
    """What a recording shows as it is read now."""
    spikes = recording.spikes(0, min(FRAMES, len(recording)))
    if recording.camera.colour is None:
        return Reading(recording.camera, signs(spikes), recording.shape)
    # Neighbours of one colour; their limits of bytes are elsewhere.
    found = replace(signs(PackedSpikes.pack(spikes.frames()[:, ::2, ::2])), seams=1)
    return Reading(recording.camera, found, recording.shape)


def alternatives(path: Path, camera: Camera) -> Iterator[Reading]:
    """Other readings of a file: of known cameras, of half and double width, of other axes and bit order."""
    for other in _cameras(path, camera):
        try:
            yield read(open_recording(path, other))
        except HqgenError:
            continue  # the file does not divide into its frames


def _cameras(path: Path, given: Camera) -> Iterator[Camera]:
    camera = given.model_copy(update={"region": None, "preset": None})
    height, width = camera.height or 0, camera.width or 0
    unstated = {"height": None, "width": None, "frame_range": None}
    order: Literal["lsb", "msb"] = "lsb" if camera.bit_order == "msb" else "msb"
    yield camera.model_copy(update={"bit_order": order})
    if not is_raw(path):
        for axes in _TIME:
            if axes.index("T") != (camera.axes or usual_axes(path)).index("T"):
                yield camera.model_copy(update=unstated | {"axes": axes})
        return
    layouts = [(fields["height"], fields["width"], fields["padding"]) for fields in PRESETS.values()]
    layouts += [(width, height, 0), (2 * height, width // 2, 0), (height // 2, 2 * width, 0)]
    for layout in dict.fromkeys(layouts):
        if layout != (height, width, camera.padding or 0) and min(layout[:2]) > 0:
            changes = dict(zip(("height", "width", "padding"), layout, strict=True))
            yield camera.model_copy(update=changes | {"frame_range": None})


_TIME: tuple[Axes, ...] = ("THW", "HTW", "HWT")
"""An order of axes for each place of time."""


_BROKEN = "rows or columns of the picture do not continue each other"


def _repeats(found: Signs) -> bool:
    """Whether the halves of the picture are the same picture: a peak of similarity at just half the width."""
    return _alike(found.halves, found.rows, found.columns) and found.halves - found.beside > 0.02


def _alike(halves: float, rows: float, columns: float) -> bool:
    """Whether the halves of a picture are more similar than its rows, and these not by chance."""
    return halves > rows > 0.5 * columns


def _compared(given: Reading, others: list[Reading]) -> Verdict:
    found = given.signs
    better = max((other for other in others if much_better(other, given)), key=merit, default=None)
    if better is not None:
        return Verdict("misread", _difference(given, better), given, better)
    if not found.clear:
        return Verdict("unclear", "", given)
    if found.evenness < 0.5:
        pair = f"correlation of rows {found.rows:.2f}, of columns {found.columns:.2f}"
        return Verdict(
            "doubtful", f"rows or columns of the picture do not continue each other ({pair})", given
        )
    if given.shape[1:] == VIDAR[::-1]:
        axes = (given.camera.axes or "THW").translate(str.maketrans("HW", "WH"))
        what = f"Vidar cameras have {VIDAR[0]}x{VIDAR[1]} pixels; `--axes {axes}` exchanges them"
        return Verdict("doubtful", f"rows and columns may be exchanged: {what}", given)
    return Verdict("fits", "", given)


def merit(reading: Reading) -> tuple[float, float]:
    """What readings of one file are sorted by: larger is more plausible."""
    return reading.signs.merit + 0.01 * reading.signs.evenness, -reading.signs.seams


def much_better(other: Reading, given: Reading) -> bool:
    """Whether another reading is better by more than chance, or an odd scene, can make it."""
    new, old = other.signs, given.signs
    if not new.clear or new.evenness < 0.85:
        return False
    if other.camera.model_copy(update={"bit_order": given.camera.bit_order}) == given.camera.model_copy(
        update={"region": None, "preset": None}
    ):
        return old.seams > 1.15 * max(new.seams, 1)
    if _repeats(old) and other.shape[1:] == (2 * given.shape[1], given.shape[2] // 2):
        return new.rows > old.rows
    merit = new.merit > 1.5 * old.merit + 0.05
    even = new.evenness > old.evenness + 0.15 and new.pause > old.pause - 0.1
    return merit or even


def _difference(given: Reading, better: Reading) -> str:
    """What speaks against a reading, in words."""
    old, new = given.signs, better.signs
    if given.shape == better.shape and given.camera.bit_order != better.camera.bit_order:
        return (
            f"the picture does not continue over the limits of bytes (difference {old.seams:.2f} of that "
            f"within bytes; read as below {new.seams:.2f})"
        )
    if _repeats(old):
        return f"the left and the right half are the same picture (correlation {old.halves:.2f})"
    if old.evenness < new.evenness - 0.15:
        return (
            f"{_BROKEN} (correlation of rows {old.rows:.2f}, of columns {old.columns:.2f}; "
            f"read as below {new.rows:.2f} and {new.columns:.2f})"
        )
    return (
        f"pixels do not pause after a spike, as along the axis of time (pause {old.pause:.2f}; read as below "
        f"{new.pause:.2f})"
    )


def flags(camera: Camera, given: Camera) -> str:
    """The flags that change one description into another, as a user types them."""
    size = (camera.height or 0, camera.width or 0, camera.padding or 0)
    presets = {(item["height"], item["width"], item["padding"]): name for name, item in PRESETS.items()}
    changed = {
        name: value
        for name, value in camera.stated().items()
        if value != getattr(given, name) and name not in ("preset", "region", "frame_range", "padding")
    }
    if (camera.padding or 0) != (given.padding or 0):
        changed["padding"] = camera.padding or 0
    if "axes" in changed:
        changed = {"axes": changed["axes"]}
    elif changed.keys() & {"height", "width", "padding"} and size in presets:
        changed = {"camera": presets[size]} | {
            name: value for name, value in changed.items() if name not in ("height", "width", "padding")
        }
    return " ".join(f"--{name.replace('_', '-')} {value}" for name, value in changed.items())


def require_plausible(recording: Recording, path: Path) -> None:
    """Refuse a reading that is clearly wrong; of one in doubt, warn on stderr.

    Args:
        recording: as it is read now.
        path: of its file.

    Raises:
        UsageError: another reading of the file is much better; the hint says which.
        RecordingError: the recording cannot be read.
    """
    verdict = check(recording, path)
    if verdict.kind == "misread":
        raise UsageError(
            f"`{path}` is not read as it was written: {verdict.reason}",
            hint=f"use `{verdict.proposal}`; `hqgen probe` shows both readings, `--force` keeps this one",
        )
    if verdict.kind == "doubtful":
        log.warning("`%s` may be misread: %s; `hqgen probe` shows its readings", path, verdict.reason)


def misread(recording: Recording, path: Path) -> str | None:
    """Why a recording is clearly not read as it was written, with the flags that help; None if it is not so.

    Args:
        recording: as it is read now.
        path: of its file.

    Raises:
        RecordingError: the recording cannot be read.
    """
    verdict = check(recording, path)
    if verdict.kind != "misread":
        return None
    return f"{verdict.reason}; `hqgen` reads it well with `{verdict.proposal}`"


def upside_down(recording: Recording, centre: int, light: Floats) -> bool:
    """Whether a picture is like the ground truth only with its rows in reverse order.

    Args:
        recording: as it is read now.
        centre: the frame that the ground truth belongs to.
        light: float32 (H, W), ground truth of that frame.

    Raises:
        RecordingError: the recording cannot be read.
    """
    if light.shape != recording.shape[1:]:
        return False
    first, last = max(centre - FRAMES // 2, 0), min(centre + FRAMES // 2 + 1, len(recording))
    counts = count_spikes(recording.spikes(first, last)).astype(np.float32)
    upright, turned = _correlation(counts, light), _correlation(counts[::-1], light)
    return turned > 0.5 and turned > upright + 0.3
