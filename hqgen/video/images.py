"""The images of many frames, in order: made on all cores, a few pieces ahead of the reader."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import MethodError
from hqgen.methods.base import Method
from hqgen.methods.mosaic import OnMosaic
from hqgen.spikes.camera import Pattern
from hqgen.spikes.packed import PackedSpikes, Window, frame_bytes, mirrored
from hqgen.spikes.recording import Recording

Floats = NDArray[np.float32]
T = TypeVar("T")

PIECE_PIXELS = 8_000_000
"""Pixels of images that are made together, at most: 80 images of 250x400, 32 MB."""

PIECE_BYTES = 64_000_000
"""Bytes of the spikes that they are made of, at most: 5,120 frames of 250x400."""


def images(
    method: Method, recording: Recording, frames: range, finish: Callable[[int, Floats], T]
) -> Iterator[T]:
    """Reconstruct frames of a recording, each exactly as `hqgen.reconstruct` does.

    Memory does not grow with the number of frames: at most two pieces for each core are held. A piece is a
    few frames, for windows that slide or a batch of a network. Networks use all cores by themselves; other
    methods run in threads, because their kernels let the interpreter lock go.

    Args:
        method: any method.
        recording: T frames; only those that the windows need are read.
        frames: in ascending order, each 0..T-1.
        finish: called with the number of each frame and its image, float32 (H, W) or, with a colour filter,
            (H, W, 3); in any thread, in any order.

    Yields:
        What `finish` returns for each frame, in the order of the frames.

    Raises:
        MethodError: an image cannot be made; the message names the frame. Whatever `finish` raises.
        RecordingError: the file can no longer be read.
    """
    workers = 1 if method.leg == "gpu" else os.cpu_count() or 1
    pool = ThreadPoolExecutor(workers)
    waiting: deque[Future[list[T]]] = deque()
    try:
        for piece in _pieces(method, recording, frames):
            stream, first = _spikes(method, recording, piece)
            colour = recording.camera.colour
            waiting.append(pool.submit(_finished, method, colour, stream, first, piece, finish))
            if len(waiting) == 2 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _pieces(method: Method, recording: Recording, frames: range) -> Iterator[range]:
    _, height, width = recording.shape
    room = PIECE_BYTES // (frame_bytes(height, width) * frames.step)
    size = max(1, min(method.frames_at_once, PIECE_PIXELS // (height * width), room))
    for start in range(0, len(frames), size):
        yield frames[start : start + size]


def _spikes(method: Method, recording: Recording, frames: range) -> tuple[PackedSpikes, int]:
    """All that the windows of some frames need, and which frame of the recording is the first of it.

    It is read in the thread that asks for the images, as a file is opened at the first access.
    """
    before, after = method.span
    needed = mirrored(frames[0] - before, frames[-1] + after + 1, len(recording))
    first = int(needed.min())
    return recording.spikes(first, int(needed.max()) + 1), first


def _finished(
    method: Method,
    colour: Pattern | None,
    stream: PackedSpikes,
    first: int,
    frames: range,
    finish: Callable[[int, Floats], Any],
) -> list[Any]:
    inside = range(frames[0] - first, frames[-1] - first + 1, frames.step)
    if colour is None:
        outcomes = method.reconstruct_frames(stream, inside)
    else:
        mosaic = OnMosaic(method, colour)
        outcomes = [mosaic.colours(Window(stream, frame, method.span)) for frame in inside]
    return [finish(frame, _image(frame, outcome)) for frame, outcome in zip(frames, outcomes, strict=True)]


def _image(frame: int, outcome: Floats | MethodError) -> Floats:
    if isinstance(outcome, MethodError):
        raise MethodError(f"frame {frame}: {outcome.message}", hint=outcome.hint or "leave it out")
    return outcome
