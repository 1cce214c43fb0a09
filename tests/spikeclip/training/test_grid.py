from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from spikeclip.training.grid import SMALL, grid, row


def test_each_picture_has_its_own_gain_and_what_cannot_be_seen_is_black() -> None:
    ramp = np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(32, 32)
    rows = {"coarse": np.stack([ramp, ramp * 0.03]), "fine": np.stack([np.full_like(ramp, np.nan), ramp])}
    sheet = np.asarray(grid(rows, ["cat", "dog"]).convert("L"))
    side = sheet.shape[1] - 76
    first, second = (sheet[26 : 26 + 160, 76 + i * 166 : 76 + i * 166 + 160] for i in range(2))
    assert side == 2 * 166
    np.testing.assert_array_equal(first, second)
    assert first.max() > 200
    named = grid({"a name that is too long for the margin": rows["coarse"]}, ["cat", "dog"])
    assert named.width > sheet.shape[1]
    assert sheet[26 + 166 : 26 + 166 + 160, 76 : 76 + 160].max() == 0


@pytest.mark.parametrize(("side", "kept"), [(40, 40), (SMALL, SMALL), (SMALL + 2, SMALL // 2 + 1)])
def test_a_row_is_small_however_large_the_pictures_are(side: int, kept: int) -> None:
    noise = np.random.default_rng(0).random((6, side, side), dtype=np.float32)
    file = row(noise)
    assert len(file) < 200_000
    with Image.open(io.BytesIO(file)) as image:
        assert image.size == (6 * kept, kept)


def test_a_row_of_an_untrained_network_is_black() -> None:
    with Image.open(io.BytesIO(row(np.full((2, 16, 16), np.nan, np.float32)))) as image:
        assert np.asarray(image).max() < 4
