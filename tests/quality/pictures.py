"""Pictures that the tests of all judges score."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def structured(seed: int, height: int = 192, width: int = 288) -> NDArray[np.uint8]:
    """Waves, an edge and a little noise: something between a test chart and a photograph."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = np.sin(x / rng.uniform(5, 40) + y / rng.uniform(5, 40)) * 50 + (x > width / 2) * 40
    levels: NDArray[np.float64] = 110 + waves + rng.normal(0, 6, (height, width))
    return np.clip(levels, 0, 255).astype(np.uint8)


def noise(seed: int, height: int = 96, width: int = 192) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


@cache
def goldens(shared: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shared / "golden" / "iqa.json").read_text())
    return found
