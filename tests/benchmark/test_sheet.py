"""The contact sheet of a benchmark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hqgen.benchmark.results import Benchmark
from hqgen.benchmark.sheet import COLUMNS, SIDE, TILE, Region, interesting
from hqgen.quality.normalise import to_uint8


def test_the_region_with_most_structure_is_found() -> None:
    picture = np.full((250, 400), 0.5, np.float32)
    picture[120:190, 250:320] += np.random.default_rng(0).normal(0, 0.1, (70, 70)).astype(np.float32)
    region = interesting(picture)
    assert 105 <= region.top <= 125
    assert 235 <= region.left <= 255


@given(st.integers(1, 200), st.integers(1, 200))
def test_the_region_is_inside_every_picture(height: int, width: int) -> None:
    region = interesting(np.random.default_rng(height).random((height, width), np.float32))
    assert region.side == min(SIDE, height, width)
    assert 0 <= region.top <= height - region.side
    assert 0 <= region.left <= width - region.side


def test_a_flat_picture_gives_its_first_region() -> None:
    assert interesting(np.zeros((100, 120), np.float32)) == Region(0, 0, SIDE)


def test_the_sheet_shows_the_same_region_of_every_method_three_times_as_large(
    measured_once: tuple[Path, Benchmark],
) -> None:
    root, _ = measured_once
    with Image.open(root / "out" / "benchmark.png") as sheet:
        pixels = np.asarray(sheet)[..., 0]
    assert 5 * TILE < pixels.shape[1] < COLUMNS * TILE  # no wider than the tiles of three methods
    (folder,) = (root / "out/measured/folder-lab").glob("tfi-*")
    with Image.open(root / "lab/gt/s0_key_id26.png") as truth:
        region = interesting(np.asarray(truth, np.float32) / np.float32(255))
    crop = np.kron(region.of(to_uint8(np.load(folder / "00000.npy"))), np.ones((3, 3), np.uint8))
    starts = np.lib.stride_tricks.sliding_window_view(pixels, 16, axis=1)  # more would take much memory
    places = zip(*np.nonzero((starts == crop[0, :16]).all(axis=-1)), strict=True)
    assert any(np.array_equal(pixels[row : row + TILE, left : left + TILE], crop) for row, left in places)
