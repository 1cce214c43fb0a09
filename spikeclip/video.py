"""A video of a network over a range of frames, as `hqgen reconstruct --frames` makes one of a method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import RecordingError, UsageError
from hqgen.progress import SILENT, Observer
from hqgen.spikes.camera import PLAIN, Camera
from hqgen.spikes.plausibility import require_plausible
from hqgen.spikes.recording import Recording, open_recording
from hqgen.text import count
from hqgen.video.frames import RATE, parse_frames
from hqgen.video.run import make_video
from spikeclip.data.voxels import FRAMES_PER_BIN
from spikeclip.reconstruction import network_on, reconstruct_windows

if TYPE_CHECKING:
    from spikeclip.networks import LRN, OnnxNetwork, UNet

T = TypeVar("T")


def reconstruct_video(
    checkpoint: str | Path | LRN | UNet | OnnxNetwork,
    recording: Path,
    frames: str,
    out: Path,
    *,
    rate: float = RATE,
    counter: bool = False,
    camera: Camera = PLAIN,
    force: bool = False,
    device: str = "auto",
    observer: Observer = SILENT,
) -> None:
    """Write a video of some frames of a recording, each in the middle of the window that the network sees.

    Frames whose window does not fit into the recording are left out: the network was not trained on mirrored
    ones.

    Args:
        checkpoint: as `spikeclip.reconstruct`.
        recording: a file in any format of hqgen.
        frames: START:STOP:STEP, the middle frames of windows, as in `0:2000:10`.
        out: an `.mp4`, a new folder for PNGs, or an `.npy`.
        rate: pictures per second of an `.mp4`.
        counter: whether to write the number of the frame into the corner of each picture.
        camera: how the recording is laid out.
        force: whether to use a recording that is clearly not read as it was written.
        device: auto, cpu or cuda.
        observer: gets the progress, and what is left out.

    Raises:
        HqgenError: as `hqgen.video.run.make_video` and `spikeclip.reconstruction.network_on`.
        RecordingError: the recording cannot be used, or is shorter than a window.
    """
    network = network_on(device, checkpoint)
    spikes = open_recording(recording, camera.for_file(recording))
    if not force:
        require_plausible(spikes, recording)
    if spikes.camera.colour is not None:
        raise RecordingError(f"`{recording}`: the network takes no mosaic of a colour filter")
    observer.note(f"`{recording}`: {spikes.extent}")
    asked, length = parse_frames(frames, str(recording), len(spikes)), FRAMES_PER_BIN * network.bins
    fitting = _fitting(asked, length, spikes, recording)
    if len(fitting) < len(asked):
        left = count(len(asked) - len(fitting), "picture")
        observer.note(f"{left} of {len(asked):,} left out: their window of {length} frames does not fit")
    make_video(
        partial(_images, network, spikes, length),
        fitting,
        out,
        rate=rate,
        frame_rate=spikes.camera.frame_rate,
        counter=counter,
        observer=observer,
    )


def _fitting(asked: range, length: int, spikes: Recording, recording: Path) -> range:
    """The frames that have `length // 2` frames before them, and the rest of a window from them on."""
    first, last = length // 2, len(spikes) - length + length // 2
    if last < first:
        raise RecordingError(f"`{recording}`: has {len(spikes)} frames, the network takes {length}")
    inside = [place for place, frame in enumerate(asked) if first <= frame <= last]
    if not inside:
        raise UsageError(
            f"no window of {length} frames around the asked frames fits into `{recording}`",
            hint=f"frames {first} to {last} can be asked for",
        )
    return asked[inside[0] : inside[-1] + 1]


def _images(
    network: LRN | UNet | OnnxNetwork,
    spikes: Recording,
    length: int,
    frames: range,
    finish: Callable[[int, NDArray[np.float32]], T],
) -> Iterator[T]:
    """See `hqgen.video.run.Maker`; batch after batch, as the network uses all cores."""
    numbers = iter(frames)
    for batch in reconstruct_windows(network, spikes, [frame - length // 2 for frame in frames]):
        for image in batch:
            yield finish(next(numbers), image)
