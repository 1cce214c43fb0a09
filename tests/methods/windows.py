"""Windows that the tests of several methods use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from hqgen.spikes.packed import PackedSpikes, Window
from hqgen.spikes.recording import Recording, open_recording

REDS = ("200_part1_key_id151", "200_part3_key_id151", "203_part1_key_id151")
"""Test recordings of Spike-REDS; their key frame is 150."""


def window(frames: ArrayLike, centre: int) -> Window:
    """Frames (T, H, W) around frame `centre`."""
    return Window(PackedSpikes.pack(np.asarray(frames)), centre)


def random_window(seed: int, size: tuple[int, int], frames: int, centre: int, rate: float = 0.5) -> Window:
    return window(np.random.default_rng(seed).random((frames, *size)) < rate, centre)


def reds(data_root: Path, name: str) -> tuple[Recording, NDArray[np.float64]]:
    """A recording of `REDS` and the ground truth of its key frame, in [0, 1]."""
    folder = data_root / "spike-reds" / "test"
    recording = open_recording(folder / "spike" / f"{name}.dat", height=250, width=400)
    return recording, np.asarray(Image.open(folder / "gt" / f"{name}.png")) / 255
