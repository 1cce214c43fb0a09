from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four small pictures with some structure, one of them in a subfolder."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "deeper").mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.jpg", "c.png", "deeper/d.png"):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 12), np.uint8))
        coarse.resize((120, 90), Image.Resampling.BICUBIC).save(folder / name)
    return folder
