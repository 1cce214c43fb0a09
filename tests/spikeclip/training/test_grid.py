from __future__ import annotations

import numpy as np

from spikeclip.training.grid import grid


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
