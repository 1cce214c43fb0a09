"""Recordings of any size and format -> pictures through a network, and videos of long ones.

For a recording `NAME.dat` the output folder receives::

    NAME.png    the middle window: 200 frames, four to a bin of the network
    NAME.gif    if there is room for several windows: a picture of each, 20 per second
    NAME.npy    where asked for: the network's own values, float32 (N, H, W), of the video or the one picture

An animated GIF holds 256 levels of grey exactly and plays in every browser. `spikeclip.video` makes films.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from hqgen.errors import RecordingError, ScoreError, UsageError
from hqgen.files import write_atomically
from hqgen.pictures import png
from hqgen.progress import SILENT, Observer
from hqgen.quality.normalise import to_uint8
from hqgen.spikes.camera import PLAIN, Camera
from hqgen.spikes.plausibility import require_plausible
from hqgen.spikes.recording import Recording, open_recording
from hqgen.text import first
from spikeclip.data.voxels import FRAMES_PER_BIN, voxelize

if TYPE_CHECKING:
    from spikeclip.networks import LRN, OnnxNetwork, UNet

PAD = 20
"""Pixels by which a picture is mirrored at its edges before the network, and cropped after it."""

BATCH_PIXELS = 400_000
"""Pictures of so many pixels are made together: four of 250x400."""

NAMED = 5
"""Recordings of which a user sees what was read; the others are counted."""

FRAME_MS = 50
"""Milliseconds that a picture of a video is shown."""

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Reconstruction:
    """What became of one recording.

    Attributes:
        recording: its file.
        picture: the PNG of the middle window; None if there is none.
        video: the GIF, of a recording of several windows.
        raw: the network's own values, where they were asked for.
        frames: pictures in the video; 0 without one.
        reason: why there is no picture.
    """

    recording: Path
    picture: Path | None = None
    video: Path | None = None
    raw: Path | None = None
    frames: int = 0
    reason: str | None = None


@dataclass(frozen=True)
class _Job:
    """A recording that can be used, and the first frames of its windows: the middle one, then the video's."""

    recording: Recording
    starts: tuple[int, ...]


def reconstruct(
    checkpoint: str | Path | LRN | UNet | OnnxNetwork,
    recordings: Sequence[str | Path],
    out: str | Path,
    *,
    camera: Camera = PLAIN,
    force: bool = False,
    stride: int | None = None,
    video: bool = True,
    raw: bool = False,
    device: str = "auto",
    observer: Observer = SILENT,
) -> list[Reconstruction]:
    """Make pictures of recordings; one that cannot be used gets a reason and harms no other.

    Pictures have the brightness that hqgen's rule `white` gives them. All pictures of a video have the same
    gain, so that it does not flicker.

    Args:
        checkpoint: what `spikeclip.load` takes, an ONNX file, or a network, which is put in eval mode.
        recordings: files in any format of hqgen.
        out: folder for the pictures; made where it is missing.
        camera: how they are laid out; raw files of unknown geometry are read as 250x400.
        force: whether to use recordings that are clearly not read as they were written.
        stride: frames from one picture of a video to the next; None for a whole window, so that no spike
            counts twice.
        video: whether a recording with room for several windows becomes a video too. Its pictures are held
            in memory, 4 bytes per pixel.
        raw: whether to write the network's own values too.
        device: auto, cpu or cuda.
        observer: gets the progress.

    Returns:
        One item for each recording, in their order.

    Raises:
        WeightsError: the checkpoint is missing or of the wrong form.
        MethodError: there is no such device.
        UsageError: no recording, two with one name, a stride below 1, or a folder that cannot be written.
    """
    if stride is not None and stride < 1:
        raise UsageError(f"a stride of {stride} frames does not move the window", hint="give 1 or more")
    files, folder = [Path(path) for path in recordings], Path(out)
    _check_names(files)
    network = network_on(device, checkpoint)
    length = FRAMES_PER_BIN * network.bins
    jobs = [_job(path, camera, force, length, (stride or length) if video else None) for path in files]
    total = sum(len(job.starts) for job in jobs if isinstance(job, _Job))
    read = [f"`{job.recording.name}`: {job.recording.extent}" for job in jobs if isinstance(job, _Job)]
    for line in first(read, NAMED):
        observer.note(line)
    with observer.progress("reconstruct", total, "samples") as progress:
        return [
            _attempt(network, path, job, folder, raw, progress.advance)
            for path, job in zip(files, jobs, strict=True)
        ]


def network_on(device: str, checkpoint: str | Path | LRN | UNet | OnnxNetwork) -> LRN | UNet | OnnxNetwork:
    """The network of a checkpoint in eval mode, on a device.

    Raises:
        WeightsError: the checkpoint is missing or of the wrong form.
        MethodError: there is no such device.
        UsageError: an ONNX file, for a GPU.
    """
    from hqgen.devices import resolve_device
    from spikeclip.networks import OnnxNetwork, open_network

    network = open_network(checkpoint) if isinstance(checkpoint, str | Path) else checkpoint
    if device == "cuda" and isinstance(network, OnnxNetwork):
        raise UsageError(
            f"`{network.path}` is an ONNX file, which runs on the CPU", hint="leave out `--device`"
        )
    return network.to(resolve_device(device)).eval()


def reconstruct_windows(
    network: LRN | UNet | OnnxNetwork, recording: Recording, starts: Sequence[int]
) -> Iterator[Image]:
    """Reconstruct the windows of a recording that begin at some frames, as many at a time as fit together.

    The voxel is mirrored by 20 pixels at its edges before the network and the output cropped by as many, as
    the public toolbox does, so that the network's zero padding does not show.

    Args:
        network: on the device where it is to run.
        recording: T frames of H x W pixels.
        starts: first frames of windows of 4 frames per bin, each within the recording.

    Yields:
        float32 (n, H, W), the network's own values.
    """
    import torch

    from hqgen.devices import exact_arithmetic

    _, height, width = recording.shape
    down, across = (min(PAD, side - 1) for side in (height, width))  # a mirror reaches to the other edge
    parameters = next(network.parameters(), None)
    device = torch.device("cpu") if parameters is None else parameters.device
    batch = max(1, BATCH_PIXELS // (height * width))
    for done in range(0, len(starts), batch):
        windows = [
            recording.spikes(start, start + FRAMES_PER_BIN * network.bins)
            for start in starts[done : done + batch]
        ]
        voxels = torch.from_numpy(np.stack([voxelize(window, network.bins) for window in windows]))
        with exact_arithmetic():
            edges = (across, across, down, down)
            padded = torch.nn.functional.pad(voxels.to(device), edges, mode="reflect")
            output = network(padded)[:, 0, down : down + height, across : across + width]
            yield output.float().cpu().numpy()


def _check_names(recordings: Sequence[Path]) -> None:
    if not recordings:
        raise UsageError("no recording to reconstruct", hint="name one or more files")
    name, count = Counter(path.stem for path in recordings).most_common(1)[0]
    if count > 1:
        raise UsageError(
            f"{count} recordings would all become `{name}.png`", hint="give each its own run and folder"
        )


def _job(path: Path, camera: Camera, force: bool, length: int, stride: int | None) -> _Job | str:
    """What to do for a recording, or why nothing can be done."""
    try:
        recording = open_recording(path, camera.for_file(path))
        if not force:
            require_plausible(recording, path)
        if recording.camera.colour is not None:
            return f"`{path}`: the network takes no mosaic of a colour filter; `hqgen reconstruct` does"
    except (RecordingError, UsageError) as error:
        return f"{error.message} ({error.hint})" if error.hint else error.message
    room = len(recording) - length
    if room < 0:
        return f"`{path}`: has {len(recording)} frames, the network takes {length}"
    if stride is None or room < stride:
        return _Job(recording, (room // 2,))
    return _Job(recording, (room // 2, *range(room % stride // 2, room + 1, stride)))


def _attempt(
    network: LRN | UNet | OnnxNetwork,
    path: Path,
    job: _Job | str,
    out: Path,
    raw: bool,
    advance: Callable[[int], None],
) -> Reconstruction:
    if isinstance(job, str):
        return Reconstruction(path, reason=job)
    pieces = []
    try:
        for piece in reconstruct_windows(network, job.recording, job.starts):
            pieces.append(piece)
            advance(len(piece))
        images = np.concatenate(pieces)
        return _written(path, images[0], images[1:], out, raw)
    except RecordingError as error:
        return Reconstruction(path, reason=error.message)
    except OSError as error:
        raise UsageError(f"`{out}` cannot be written: {error.strerror or error}") from error


def _written(path: Path, image: Image, frames: Image, out: Path, raw: bool) -> Reconstruction:
    """Write the results of a recording: `image` (H, W) of its middle, and `frames` (N, H, W) of its video."""
    picture, video, values = (out / f"{path.stem}.{ending}" for ending in ("png", "gif", "npy"))
    made = Reconstruction(path)
    if raw:
        buffer = BytesIO()
        np.save(buffer, frames if len(frames) else image[None])
        write_atomically(values, buffer.getvalue())
        made = replace(made, raw=values)
    try:
        shown = to_uint8(image)
        # One white point for all: the rule sees the pictures of a video as one tall picture.
        moving = to_uint8(frames.reshape(-1, image.shape[1])).reshape(frames.shape) if len(frames) else frames
    except ScoreError as error:
        return replace(made, reason=error.message)
    write_atomically(picture, png(Pillow.fromarray(shown)))
    made = replace(made, picture=picture)
    if not len(frames):
        return made
    buffer = BytesIO()
    first, *others = (Pillow.fromarray(each) for each in moving)
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=FRAME_MS, loop=0)
    write_atomically(video, buffer.getvalue())
    return replace(made, video=video, frames=len(frames))
