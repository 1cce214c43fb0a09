"""Small labelled recordings, made in milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from spikeclip.networks import LRN, build

SIDE = 40
FRAMES = 200
CLASSES = ("stripes", "checks", "disc")


def shape(label: int) -> NDArray[np.float64]:
    """What a recording of a class shows: firing rates (40, 40) between 0.015 and 0.06."""
    y, x = np.mgrid[:SIDE, :SIDE]
    patterns = (x // 5 % 2, (x // 8 + y // 8) % 2, np.hypot(x - 20, y - 20) < 12)
    return np.asarray(0.015 + 0.045 * patterns[label])


def labelled_frames(seed: int, label: int, frames: int = FRAMES) -> NDArray[np.uint8]:
    """Random spikes at the rates of a class's shape: uint8 (frames, 40, 40)."""
    rng = np.random.default_rng([seed, label])
    return (rng.random((frames, SIDE, SIDE)) < shape(label)).astype(np.uint8)


def write_recordings(folder: Path, counts: Mapping[str, int]) -> None:
    """Write `counts` .npz recordings a split, classes in turn, and the `source.toml` that names these."""
    rows = [f'[[layout]]\nsplit = "{split}"\nrecordings = ["{split}/*"]\n' for split in counts]
    settings = [f"labels = {list(CLASSES)}\n", '[key_frames]\nrule = "centre"\n', *rows]
    (folder / "source.toml").write_text("\n".join(settings))
    for start, (split, count) in enumerate(counts.items()):
        (folder / split).mkdir()
        for number in range(count):
            label = number % len(CLASSES)
            frames = labelled_frames(1000 * start + number, label)
            np.savez_compressed(folder / split / f"{number:04d}.npz", spk=frames, label=label)


def bright_network() -> LRN:
    """An LRN of random weights whose pictures are never dark: a picture can be made of any of them."""
    network = build("lrn")
    assert isinstance(network, LRN)
    nn.init.constant_(network.get_parameter("4.bias"), 1.0)
    return network
