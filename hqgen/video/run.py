"""One video: its gain first, then picture after picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hqgen.drawing import stamp
from hqgen.errors import ScoreError, UsageError
from hqgen.methods.base import Method
from hqgen.progress import SILENT, Observer
from hqgen.quality.normalise import gain_of, with_gain
from hqgen.spikes.recording import Recording
from hqgen.video.frames import RATE, ends, rates
from hqgen.video.images import images
from hqgen.video.targets import target_at

Floats = NDArray[np.float32]
T = TypeVar("T")

LOOKED_AT = 16
"""Frames that decide the gain of a video, at most."""


class Maker(Protocol):
    """Makes the images of frames, in order, and gives what `finish` makes of each: see `images`."""

    def __call__(self, frames: range, finish: Callable[[int, Floats], T], /) -> Iterator[T]:
        """Images are float32 (H, W) or (H, W, 3)."""


def reconstruct_video(
    method: Method,
    recording: Recording,
    frames: range,
    out: Path,
    *,
    rate: float = RATE,
    counter: bool = False,
    observer: Observer = SILENT,
) -> None:
    """Write a video of what a method makes of some frames of a recording.

    Args:
        method: any method.
        recording: T frames.
        frames: in ascending order, each 0..T-1; at least one.
        out: an `.mp4`, a new folder for PNGs, or an `.npy`.
        rate: pictures per second of an `.mp4`.
        counter: whether to write the number of the frame into the corner of each picture.
        observer: gets the progress, and what a user should know of the video.

    Raises:
        HqgenError: as `make_video`.
    """
    if note := ends(method, frames, len(recording)):
        observer.note(note)
    make, known = partial(images, method, recording), recording.camera.frame_rate
    make_video(make, frames, out, rate=rate, frame_rate=known, counter=counter, observer=observer)


def make_video(
    make: Maker,
    frames: range,
    out: Path,
    *,
    rate: float = RATE,
    frame_rate: float | None = None,
    counter: bool = False,
    observer: Observer = SILENT,
) -> None:
    """Write a video of some frames; at an error or an interrupt nothing is left of it.

    All pictures have one gain, so that the video does not flicker: see `common_gain`. An `.npy` has the
    method's own values, without any gain.

    Args:
        make: makes their images.
        frames: in ascending order; at least one.
        out: an `.mp4`, a new folder for PNGs, or an `.npy`.
        rate: pictures per second of an `.mp4`, above 0 to 1,000.
        frame_rate: frames per second of the camera, if it is known: for what the observer gets.
        counter: whether to write the number of the frame into the corner of each picture.
        observer: gets the progress, and how long the video and the scene are.

    Raises:
        UsageError: `rate` is out of its range, `out` cannot be written, or it is an `.npy` and shall have a
            counter.
        ScoreError: an image is not finite, or those that decide the gain are dark.
        MethodError: an image cannot be made.
        RecordingError: the recording can no longer be read.
    """
    observer.note(rates(frames, rate, frame_rate))
    target = target_at(out, rate)
    if counter and not target.levels:
        raise UsageError(f"`{out}` holds values, which have no room for a counter", hint="leave it out")
    look = _Look(common_gain(make, frames), counter) if target.levels else _as_it_is

    def finish(frame: int, image: Floats) -> Any:
        return target.encode(look(frame, image))

    with (
        observer.progress("reconstructing", len(frames), "pictures") as job,
        target.open(len(frames)) as write,
        closing(make(frames, finish)) as made,  # type: ignore[type-var]
    ):
        for frame, item in zip(frames, made, strict=True):
            write(frame, item)
            job.advance()


def common_gain(make: Maker, frames: range) -> float:
    """The gain of a video: that of up to 16 of its frames, evenly spaced, seen as one tall picture.

    So its white point (`hqgen.quality.normalise`) is that of the whole range, not of one moment. A flash
    between those frames is clipped.

    Raises:
        ScoreError: they are dark, or not finite.
    """
    some = frames[:: -(-len(frames) // LOOKED_AT)]
    tall = np.concatenate([_flat(image) for image in make(some, _as_it_is)])
    try:
        return gain_of(tall)
    except ScoreError as error:
        raise ScoreError(
            f"frames {some[0]} to {some[-1]}: {error.message}", hint="name an `.npy` for the values"
        ) from error


@dataclass(frozen=True)
class _Look:
    """Image -> picture, the same for all frames of a video."""

    gain: float
    counter: bool

    def __call__(self, frame: int, image: Floats) -> NDArray[np.uint8]:
        try:
            picture = with_gain(_flat(image), self.gain).reshape(image.shape)
        except ScoreError as error:
            raise ScoreError(f"frame {frame}: {error.message}", hint="leave it out") from error
        if self.counter:
            stamp(picture, str(frame))
        return picture


def _as_it_is(_frame: int, image: Floats) -> Floats:
    return image


def _flat(image: Floats) -> Floats:
    """Colours side by side, (H, 3 * W): one white point for all."""
    return image.reshape(len(image), -1)
