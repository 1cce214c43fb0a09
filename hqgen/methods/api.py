"""`reconstruct`: one image from one place in a spike stream."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import RecordingError, UsageError
from hqgen.methods.base import Method
from hqgen.methods.mosaic import OnMosaic
from hqgen.methods.registry import get_method
from hqgen.spikes.packed import PackedSpikes, Window, mirrored
from hqgen.spikes.recording import Recording


def reconstruct(
    method: str | Method,
    spikes: Recording | PackedSpikes | NDArray[Any],
    *,
    centre: int | None = None,
    **params: Any,
) -> NDArray[np.float32]:
    """Reconstruct one frame of a spike stream.

    Only the frames that the method looks at are read. Where it looks beyond an end of the stream, frames are
    mirrored in time: see `hqgen.spikes.packed`.

    Args:
        method: a name such as `tfi`, or a method.
        spikes: a recording, packed spikes, or an array (T, H, W) of 0 and 1 (any number type, or bool).
        centre: the frame, 0..T-1; by default T // 2.
        params: parameters of the method; only for a method given by name.

    Returns:
        float32 (H, W), of a recording whose camera has a colour filter (H, W, 3): red, green and blue; in the
        method's own units (`hqgen.quality.normalise.to_uint8` makes a picture of it).

    Raises:
        UsageError: `centre` is not a frame of the stream, or a name or a parameter is wrong.
        RecordingError: there are no frames, or the array is not a spike stream, or it has one frame and the
            method needs more.
        MethodError: the method cannot run on this machine or this window.
    """
    if isinstance(method, str):
        method = get_method(method, **params)
    elif params:
        raise UsageError(
            f"method `{method.name}` already has its parameters, but more are given: {', '.join(params)}",
            hint="give the method by name, or build it with these parameters",
        )
    window = _window(spikes, centre, *method.span)
    colour = spikes.camera.colour if isinstance(spikes, Recording) else None
    return method.reconstruct(window) if colour is None else OnMosaic(method, colour).colours(window)


def _window(
    spikes: Recording | PackedSpikes | NDArray[Any], centre: int | None, before: int, after: int
) -> Window:
    if not isinstance(spikes, Recording | PackedSpikes):
        spikes = np.asarray(spikes)
    shape = spikes.shape
    if len(shape) != 3 or 0 in shape:
        raise RecordingError(
            f"a spike stream has the shape (T, H, W) (frames, rows, columns), not {tuple(shape)}"
        )
    frames = shape[0]
    centre = frames // 2 if centre is None else centre
    if not 0 <= centre < frames:
        raise UsageError(
            f"frame {centre} is not in the stream, which has {frames} frames",
            hint=f"give `centre` as 0 to {frames - 1}",
        )
    if isinstance(spikes, Recording):
        return spikes.window(centre, before, after)
    needed = mirrored(centre - before, centre + after + 1, frames)
    start = int(needed.min())
    near = spikes[start : int(needed.max()) + 1]
    stream = near if isinstance(near, PackedSpikes) else _pack(near)
    return Window(stream, centre - start, (before, after))


def _pack(frames: NDArray[Any]) -> PackedSpikes:
    spikes = frames.astype(bool)
    if frames.dtype.kind not in "buif" or not np.array_equal(frames, spikes):
        raise RecordingError(
            f"spikes are 0 and 1, but the array ({frames.dtype}) holds other values",
            hint="simulate spikes from pictures with `hqgen simulate`",
        )
    return PackedSpikes.pack(spikes)
