"""Crops of recordings: what self-supervised trainings learn from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import RecordingError, SourceError, UsageError
from hqgen.files import blake3_file
from hqgen.progress import Observer
from hqgen.spikes.camera import FORMATS, Camera, is_raw
from hqgen.spikes.kernels import count_spikes
from hqgen.spikes.plausibility import misread
from hqgen.spikes.recording import Recording, open_recording

LOOKED_AT = 400
"""Frames of a recording, from its start, whose spikes are counted for its mean rate."""


@dataclass(frozen=True)
class Crops:
    """Draws batches of crops; batch `index` of `seed` is always the same.

    Args:
        recordings: what is cropped; their frames may differ in size.
        frames: of a crop.
        seed: of the whole series.
    """

    recordings: list[Recording]
    frames: int
    seed: int

    def batch(self, index: int, windows: int, crops: int, patch: int) -> NDArray[np.uint8]:
        """Cut `crops` crops out of each of `windows` windows, each turned or mirrored at random.

        A window is read whole, so several crops of one cost little more than one.

        Returns:
            (windows * crops, frames, patch, patch), values 0 and 1.
        """
        rng = np.random.default_rng([self.seed, index])
        cut = np.empty((windows * crops, self.frames, patch, patch), np.uint8)
        for number in range(windows * crops):
            if number % crops == 0:
                window = self._window(rng)
            top, left = (rng.integers(side - patch + 1) for side in window.shape[1:])
            cut[number] = _turned(rng, window[:, top : top + patch, left : left + patch])
        return cut

    def _window(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        recording = self.recordings[rng.integers(len(self.recordings))]
        start = int(rng.integers(len(recording) - self.frames + 1))
        return recording.frames(start, start + self.frames)


def _turned(rng: np.random.Generator, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mirror in time, rows and columns, and transpose, each at random."""
    time, rows, columns = rng.choice([-1, 1], 3)
    turned = frames[::time, ::rows, ::columns]
    return turned.transpose(0, 2, 1) if rng.random() < 0.5 else turned


@dataclass(frozen=True)
class Found:
    """The usable recordings of a folder.

    Attributes:
        recordings: in the order of their names.
        digests: BLAKE3 of each file by its path in the folder.
        rate: mean of their spikes per frame and pixel.
    """

    recordings: list[Recording]
    digests: dict[str, str]
    rate: float


def find_recordings(path: Path, *, camera: Camera, frames: int, patch: int, observer: Observer) -> Found:
    """Open a recording, or all in a folder and its subfolders, and leave out those that teach nothing.

    Those are recordings with too few frames, with frames that are too small, or without a spike.

    Args:
        path: a file or a folder.
        camera: how they are laid out; arrays may have other heights and widths.
        frames: that a recording must have.
        patch: pixels that each side must have.
        observer: gets one line for each recording that is left out.

    Raises:
        SourceError: there is no recording, or none is usable.
        RecordingError: one cannot be read, or is damaged.
        UsageError: one is clearly not read as it was written.
    """
    files = [path] if path.is_file() else sorted(path.rglob("*")) if path.is_dir() else []
    files = [file for file in files if file.suffix.lower() in FORMATS]
    if not files:
        raise SourceError(
            f"there are no recordings in `{path}`", hint=f"recordings end in {', '.join(FORMATS)}"
        )
    usable: list[Recording] = []
    digests: dict[str, str] = {}
    rates: list[float] = []
    for file in files:
        of_any_size = camera.model_copy(update={"height": None, "width": None})
        recording = open_recording(file, camera.for_file(file) if is_raw(file) else of_any_size)
        if wrong := misread(recording, file):
            raise UsageError(
                f"`{file}` is not read as it was written: {wrong}",
                hint="describe the camera as that flag does, or take the file out of the folder",
            )
        rate = _rate(recording)
        if reason := _objection(recording.shape, rate, frames, patch):
            observer.note(f"`{file}` is left out: {reason}")
            continue
        usable.append(recording)
        rates.append(rate)
        digests[file.name if file == path else file.relative_to(path).as_posix()] = _digest(file)
    if not usable:
        raise SourceError(
            f"none of the {len(files)} recordings in `{path}` can be used; the last one: {reason}",
            hint=f"give recordings of at least {frames} frames and {patch}x{patch} pixels, with spikes",
        )
    return Found(usable, digests, float(np.mean(rates)))


def _rate(recording: Recording) -> float:
    spikes = recording.spikes(0, min(len(recording), LOOKED_AT))
    return float(count_spikes(spikes).mean(dtype=np.float64)) / len(spikes)


def _objection(shape: tuple[int, int, int], rate: float, frames: int, patch: int) -> str | None:
    count, height, width = shape
    if count < frames:
        return f"it has {count} frames, and {frames} are needed"
    if min(height, width) < patch:
        return f"its frames are {height}x{width}, and {patch}x{patch} pixels are needed"
    return "it has no spikes" if rate == 0 else None


def _digest(file: Path) -> str:
    try:
        return blake3_file(file)
    except OSError as error:
        raise RecordingError(f"`{file}`: cannot be read: {error.strerror or error}") from error
