"""Float image -> uint8 candidate: one rule for every method.

The output of a method is a firing rate, an inverse interval or a number in units of a network. These have no
common scale, so the rule finds the gain, and nothing else: zero stays zero, there is no stretch at the dark
end and no curve. Two methods that see the same scene give pictures of equal brightness. The measurements
behind the rule are in docs/normalisation.md.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hqgen.compiled import compiled
from hqgen.errors import ScoreError, UsageError


@dataclass(frozen=True)
class Normalisation:
    """Scale the white point to `level`.

    The white point is the `quantile` of the brightness of blocks of `block` x `block` pixels. The brightness
    of a block is its mean without the brightest pixel. So noise and single hot pixels do not make the
    picture darker. (Noise differs by method: at a rate of 0.4 an inverse interval jumps between 1/2 and
    1/3.)

    Args:
        quantile: share of the blocks that are no brighter than the white point, in (0, 1].
        level: grey value of the white point, in (0, 1]; the range above it leaves room for the noise of
            bright regions.
        block: side of a block in pixels, at least 2.

    Raises:
        UsageError: a parameter is out of its range.
    """

    name: ClassVar[str] = "white"
    version: ClassVar[int] = 1

    quantile: float = 0.995
    level: float = 0.9
    block: int = 4

    def __post_init__(self) -> None:
        if not (0 < self.quantile <= 1 and 0 < self.level <= 1 and self.block >= 2):
            raise UsageError(
                f"normalisation cannot have quantile {self.quantile}, level {self.level}, block {self.block}",
                hint="quantile and level must be in (0, 1], block at least 2",
            )

    def parameters(self) -> dict[str, Any]:
        """Everything that decides the pixels, as plain JSON values: it goes into the plan."""
        return {"name": self.name, "version": self.version, **asdict(self)}


def to_uint8(image: NDArray[Any], rule: Normalisation | None = None) -> NDArray[np.uint8]:
    """Make the picture that is scored and stored.

    Args:
        image: (H, W) of any real type, unit and gain; values below zero become black.
        rule: by default `Normalisation()`.

    Returns:
        uint8 (H, W).

    Raises:
        ScoreError: a value is not finite, nothing is brighter than zero except small spots, or all pixels are
            equal. The message becomes the reason of the candidate.
    """
    rule = rule or Normalisation()
    image, white = _measured(image, rule)
    grey = np.empty(image.shape, np.uint8)
    _quantise(image, 255 * rule.level / white, grey)
    if grey.min() == grey.max():
        raise ScoreError(f"flat image: every pixel is {grey[0, 0]}")
    return grey


def to_uint16(image: NDArray[Any], rule: Normalisation | None = None) -> NDArray[np.uint16]:
    """The same picture as `to_uint8` makes, in 65,536 levels: 257 of them are one level of that.

    Args:
        image: as `to_uint8`.
        rule: as `to_uint8`.

    Returns:
        uint16 (H, W).

    Raises:
        ScoreError: as `to_uint8`, except for a flat image.
    """
    rule = rule or Normalisation()
    image, white = _measured(image, rule)
    levels: NDArray[np.uint16] = np.rint(np.clip(image * (65535 * rule.level / white), 0, 65535)).astype(
        np.uint16
    )
    return levels


def gain_of(image: NDArray[Any], rule: Normalisation | None = None) -> float:
    """Grey levels per unit of an image: what brings its white point to the level of the rule.

    Args:
        image: (H, W) of any real type; several pictures that shall have one gain, one below the other.
        rule: by default `Normalisation()`.

    Raises:
        ScoreError: a value is not finite, or nothing is brighter than zero except small spots.
    """
    rule = rule or Normalisation()
    return 255 * rule.level / _measured(image, rule)[1]


def with_gain(image: NDArray[Any], gain: float) -> NDArray[np.uint8]:
    """Make a picture of an image (H, W) by a gain in grey levels per unit; what is outside is clipped.

    Raises:
        ScoreError: a value is not finite.
    """
    grey = np.empty(image.shape, np.uint8)
    _quantise(_finite(image), gain, grey)
    return grey


def _measured(image: NDArray[Any], rule: Normalisation) -> tuple[NDArray[Any], float]:
    """The image as floats, and its white point."""
    if image.ndim != 2 or min(image.shape) < rule.block:
        raise ScoreError(
            f"an image must have at least {rule.block}x{rule.block} pixels, not the shape {image.shape}"
        )
    image = _finite(image)
    white = _white_point(image, rule)
    if white <= 0:
        raise ScoreError(f"dark image: {rule.quantile:.1%} of it is not brighter than zero")
    return image, white


def _finite(image: NDArray[Any]) -> NDArray[Any]:
    """The image as floats."""
    image = image if image.dtype in (np.float32, np.float64) else image.astype(np.float64)
    finite = np.isfinite(image)
    if not finite.all():
        raise ScoreError(f"{image.size - np.count_nonzero(finite)} of {image.size} pixels are not finite")
    return image


def _white_point(image: NDArray[Any], rule: Normalisation) -> float:
    """The `rule.quantile` of the brightness of the blocks; only whole blocks count."""
    rows, columns = (length // rule.block for length in image.shape)
    brightness = np.empty(rows * columns)
    _block_brightness(image, rule.block, brightness.reshape(rows, columns))
    index = int(np.ceil(rule.quantile * brightness.size)) - 1
    return float(np.partition(brightness, index)[index])


@compiled
def _block_brightness(image: NDArray[Any], side: int, brightness: NDArray[np.float64]) -> None:
    """Mean of each block of side x side pixels without its brightest one: brightness (rows, columns)."""
    width = brightness.shape[1] * side
    totals, brightests = np.empty(width), np.empty(width)  # of the columns of one row of blocks
    for row in range(brightness.shape[0]):
        totals[:], brightests[:] = 0.0, -np.inf
        for y in range(row * side, row * side + side):
            line = image[y, :width]
            for x in range(width):
                value = np.float64(line[x])
                totals[x] += value
                brightests[x] = max(brightests[x], value)
        for column in range(brightness.shape[1]):
            total, brightest = 0.0, -np.inf
            for x in range(column * side, column * side + side):
                total += totals[x]
                brightest = max(brightest, brightests[x])
            brightness[row, column] = (total - brightest) / (side * side - 1)


@compiled
def _quantise(image: NDArray[Any], gain: float, grey: NDArray[np.uint8]) -> None:
    """Grey level of every pixel: image times gain, rounded half to even, within 0 to 255."""
    for y in range(grey.shape[0]):
        for x in range(grey.shape[1]):
            grey[y, x] = np.uint8(np.rint(min(max(image[y, x] * gain, 0.0), 255.0)))
