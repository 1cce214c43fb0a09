"""Files of cameras and programs that are met in the field, each read with its description and without.

`python -m tests.bench.camera_files FOLDER [RECORDING]` writes one recording in all of these layouts, and
prints what hqgen says of each: without a description, and with the one that fits. RECORDING is a `.dat` of
250x400 pixels; without it, a scene of `demo` is used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from hqgen.errors import HqgenError
from hqgen.sources.demo import demo_recording
from hqgen.spikes.camera import Camera
from hqgen.spikes.plausibility import check
from hqgen.spikes.recording import open_recording
from tests.bench.camera_study import raw

Frames = NDArray[np.uint8]


def large(frames: Frames) -> Frames:
    """1000x1000 pixels: the scene beside its mirror images."""
    padding = ((0, 0), (0, 1000 - frames.shape[1]), (0, 1000 - frames.shape[2]))
    return np.pad(frames, padding, mode="symmetric")


def write_hdf5(path: Path, **arrays: NDArray[Any]) -> None:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name.replace("__", "/")] = array


@dataclass(frozen=True)
class Layout:
    """A file, and the description that it needs."""

    title: str
    name: str
    write: Callable[[Path, Frames], object]
    fields: dict[str, Any] = field(default_factory=dict)


FILES = (
    Layout("Vidar 250x400", "vidar.dat", lambda path, x: path.write_bytes(raw(x, 0, 0))),
    Layout(
        "the same with a counter in each row",
        "counter.dat",
        lambda path, x: path.write_bytes(raw(x, 16, 0)),
        {"preset": "vidar-416"},
    ),
    Layout(
        "1000x1000",
        "large.raw",
        lambda path, x: path.write_bytes(raw(large(x[:40]), 0, 0)),
        {"preset": "vidar-1000"},
    ),
    Layout(
        "1000x1000 in rows of 1024",
        "padded.raw",
        lambda path, x: path.write_bytes(raw(large(x[:40]), 24, 0)),
        {"preset": "vidar-1024"},
    ),
    Layout(
        "MATLAB v5, (H, W, T)",
        "v5.mat",
        lambda path, x: savemat(path, {"data": x.transpose(1, 2, 0)}, do_compression=True),
    ),
    Layout(
        "MATLAB v7.3 of (H, W, T), as other HDF5",
        "v73.h5",
        lambda path, x: write_hdf5(path, spk=x.transpose(0, 2, 1)),
        {"axes": "TWH"},
    ),
    Layout(
        "HDF5 of two cameras",
        "stereo.h5",
        lambda path, x: write_hdf5(path, cam0__spk=x, cam1__spk=x[:, :, ::-1]),
        {"key": "cam0/spk"},
    ),
    Layout(
        "dump, most significant bit first, rows top down",
        "dump.bin",
        lambda path, x: path.write_bytes(np.packbits(x).tobytes()),
        {"bit_order": "msb", "row_order": "top-down"},
    ),
    Layout("float32 of 0 and 1", "ones.npy", lambda path, x: np.save(path, x.astype(np.float32))),
    Layout(
        "float32 of 0 and 255",
        "float.npy",
        lambda path, x: np.save(path, x * np.float32(255)),
        {"values": "0/255"},
    ),
    Layout(
        "array of (H, W, T)", "hwt.npy", lambda path, x: np.save(path, x.transpose(1, 2, 0)), {"axes": "HWT"}
    ),
    Layout(
        "colour, (T, 3, H, W)",
        "colour.npz",
        lambda path, x: np.savez_compressed(path, spk=np.stack([x[:9], x[:9], x[:9]], 1)),
    ),
)


def said(path: Path, fields: dict[str, Any], frames: Frames) -> str:
    """What hqgen says of a file that is read as described."""
    try:
        recording = open_recording(path, Camera.model_validate(fields).for_file(path))
        verdict = check(recording, path)
    except HqgenError as error:
        return f"refused: {error.message.removeprefix(f'`{path}`: ')} ({error.hint})"
    first = recording.frames(0, 5)
    wanted = large(frames[:5]) if first.shape[1] == 1000 else frames[:5]
    same = "" if first.shape != wanted.shape else ", right" if (first == wanted).all() else ", other pixels"
    shape = "x".join(map(str, recording.shape))
    return f"{verdict.kind} {shape}{same} {verdict.proposal} {verdict.reason}".rstrip()


def main(folder: Path, file: Path | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    frames = open_recording(file, "vidar-250x400").frames() if file else demo_recording("coffee").frames()
    for layout in FILES:
        path = folder / layout.name
        layout.write(path, frames[:200])
        print(f"{layout.title} ({layout.name})\n  plain: {said(path, {}, frames)}")
        if layout.fields:
            print(f"  {layout.fields}: {said(path, layout.fields, frames)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
