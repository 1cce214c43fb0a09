"""Made-up data roots: real file formats, tiny contents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

VIDAR_FRAME = 250 * 400 // 8
"""Bytes of one packed Vidar frame."""

WriteDat = Callable[[str, int], Path]
WriteNpz = Callable[..., Path]


@pytest.fixture
def write_dat(tmp_path: Path) -> WriteDat:
    """Write a Vidar file of so many frames below the data root, sparse and so without a byte on disk."""

    def write(name: str, frames: int) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(frames * VIDAR_FRAME)
        return path

    return write


@pytest.fixture
def write_npz(tmp_path: Path) -> WriteNpz:
    """Write a stream of ones with a label below the data root."""

    def write(name: str, shape: tuple[int, int, int] = (9, 6, 8), label: int | None = 3) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {"spk": np.ones(shape, np.uint8)}
        np.savez_compressed(path, **(arrays if label is None else arrays | {"label": np.array(label)}))
        return path

    return write
