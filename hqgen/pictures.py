"""Images as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import UsageError
from hqgen.quality.normalise import to_uint8

__all__ = ["write_image"]


def write_image(path: Path, image: NDArray[np.float32]) -> None:
    """Write a method's image: a picture by the rule that builds use, or with `.npy` its own values.

    Args:
        path: its ending tells the format: `.npy`, `.png` and whatever else Pillow writes.
        image: float32 (H, W), in the method's own units.

    Raises:
        UsageError: the ending is unknown, or the file cannot be written.
        ScoreError: no picture can be made of the image: it is flat or not finite.
    """
    from PIL import Image

    try:
        if path.suffix.lower() == ".npy":
            np.save(path, image)
        else:
            Image.fromarray(to_uint8(image)).save(path)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"`{path}` cannot be written: {error}", hint="name a `.png` in a folder that is there"
        ) from error
