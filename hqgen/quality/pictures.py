"""Pictures for scorers: checked arrays, and files read as grey levels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import ScoreError
from hqgen.text import why


def stacked(images: NDArray[Any], *, metric: str, smallest: int) -> NDArray[Any]:
    """Check that `images` are grey pictures of a type and size that `metric` can score.

    Args:
        images: (H, W) or (N, H, W), uint8 or floating.
        metric: its name, for the message.
        smallest: rows and columns that it needs at least.

    Returns:
        The same as (N, H, W).

    Raises:
        ScoreError: another type or number of axes, or too few pixels.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise ScoreError(
            f"`{metric}` scores uint8 grey levels or floats in [0, 1], not `{images.dtype}`",
            hint="convert the picture to one of the two",
        )
    if images.ndim not in (2, 3):
        raise ScoreError(
            f"`{metric}` scores grey pictures (H, W) or (N, H, W), not an array of shape {images.shape}",
            hint="turn a colour picture into grey levels with `hqgen.quality.luma` first",
        )
    if images.ndim == 3 and images.shape[-1] in (3, 4) and min(images.shape[:2]) > 4:
        raise ScoreError(
            f"`{metric}` scores grey pictures, but an array of shape {images.shape} is a colour picture",
            hint="turn it into grey levels with `hqgen.quality.luma` first",
        )
    height, width = images.shape[-2:]
    if min(height, width) < smallest:
        raise ScoreError(
            f"a picture of {height}x{width} pixels is too small: `{metric}` needs {smallest}x{smallest}",
            hint="score a larger picture; score a crop before it is cropped",
        )
    return images if images.ndim == 3 else images[None]


def require_unit_range(images: NDArray[Any], *, metric: str) -> None:
    """Refuse floats that are not a picture in [0, 1]; values that are not finite are left to the metric.

    Raises:
        ScoreError: a value is below 0 or above 1.
    """
    finite = images[np.isfinite(images)] if images.dtype != np.uint8 else images[:0]
    if finite.size and (finite.min() < 0 or finite.max() > 1):
        raise ScoreError(
            f"`{metric}` scores floats in [0, 1], but these are {finite.min():g} to {finite.max():g}",
            hint="divide by the white level, such as 255, and clip, or give uint8 grey levels",
        )


def luma(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """0.299 R + 0.587 G + 0.114 B, rounded half to even: uint8 (H, W, 3) -> (H, W).

    Computed in float32 with fused multiply-adds, like the values of pyiqa in the tests. With these weights
    some pixels are exactly between two levels, and the last bit decides the level.
    """
    red, green, blue = np.moveaxis(rgb.astype(np.float32) / np.float32(255), -1, 0)
    grey = red * np.float32(0.299)
    for channel, weight in ((green, np.float32(0.587)), (blue, np.float32(0.114))):
        grey = (channel.astype(np.float64) * np.float64(weight) + grey).astype(np.float32)
    levels: NDArray[np.uint8] = np.rint(grey * np.float32(255)).astype(np.uint8)
    return levels


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Read an 8-bit picture as grey levels; colour becomes luma, transparency is ignored.

    Returns:
        uint8 (H, W).

    Raises:
        ScoreError: no such file, not a picture that Pillow can read, or deeper than 8 bits.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            if picture.mode[0] in "IF":
                raise ScoreError(
                    f"`{path}` has more than 8 bits per pixel (Pillow mode `{picture.mode}`)",
                    hint="metrics are defined on grey levels 0 to 255: convert it to 8 bits first",
                )
            if picture.mode in ("1", "L", "LA"):
                return np.asarray(picture.convert("L"))
            return luma(np.asarray(picture.convert("RGB")))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ScoreError(
            f"`{path}` cannot be read as a picture: {why(error)}", hint="use PNG, BMP, TIFF, JPEG or the like"
        ) from error
