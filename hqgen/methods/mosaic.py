"""Recordings of a colour filter: every method on each of its four planes, then demosaicing.

A colour filter of the Bayer type gives each pixel one colour, in blocks of 2x2. A method that compares
neighbours must not see two colours at once. So the pixels of one place in the blocks are a recording of half
the height and width, of which there are four; their images are put together to a mosaic again, and a library
makes colours of it: Malvar, He, Cutler, "High-quality linear interpolation for demosaicing of Bayer-patterned
color images", 2004.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import MethodError
from hqgen.methods.base import Method
from hqgen.spikes.camera import Pattern
from hqgen.spikes.packed import PackedSpikes, Window

Floats = NDArray[np.float32]

PLACES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""First row and column of each plane, from the top left."""

LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Weights of red, green and blue in linear light: ITU-R BT.709."""


@dataclass(frozen=True)
class OnMosaic:
    """A method on the mosaic of a colour filter.

    Args:
        method: that sees one plane at a time.
        pattern: colours of the filter's first two rows, from the left.
    """

    method: Method
    pattern: Pattern

    @property
    def name(self) -> str:
        """The name of the method."""
        return self.method.name

    def colours(self, window: Window) -> Floats:
        """Reconstruct red, green and blue of the centre frame.

        Returns:
            float32 (H, W, 3), in the method's own units.

        Raises:
            MethodError: nothing usable can be made of a plane, the height or width is odd, or the library for
                demosaicing is not installed.
        """
        mosaic = self._mosaic(window, self.method.reconstruct_batch(planes(window)))
        return demosaiced(mosaic, self.pattern)

    def reconstruct_batch(self, windows: Sequence[Window]) -> list[Floats | MethodError]:
        """Reconstruct the luminance of several windows, float32 (H, W), or why there is no image."""
        return [self._luminance(window) for window in windows]

    def _luminance(self, window: Window) -> Floats | MethodError:
        try:
            return luminance(self.colours(window))
        except MethodError as error:
            return error

    def _mosaic(self, window: Window, images: Sequence[Floats | MethodError]) -> Floats:
        mosaic = np.empty((window.stream.height, window.stream.width), np.float32)
        for (top, left), image in zip(PLACES, images, strict=True):
            if isinstance(image, MethodError):
                raise image
            mosaic[top::2, left::2] = image
        return mosaic


def planes(window: Window) -> list[Window]:
    """The windows of the four planes, each of half the height and width.

    Raises:
        MethodError: the height or width is odd.
    """
    stream = window.stream
    if stream.height % 2 or stream.width % 2:
        raise MethodError(f"a mosaic has an even height and width, not {stream.height}x{stream.width}")
    frames = stream.frames()
    return [replace(window, stream=PackedSpikes.pack(frames[:, top::2, left::2])) for top, left in PLACES]


def demosaiced(mosaic: Floats, pattern: Pattern) -> Floats:
    """Red, green and blue of every pixel of a mosaic: float32 (H, W, 3).

    Raises:
        MethodError: the library is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # it uses an old name of SciPy
            from colour_demosaicing import demosaicing_CFA_Bayer_Malvar2004
    except ImportError as error:
        raise MethodError(
            "recordings of a colour filter need the package `colour-demosaicing`, which is not installed",
            hint="install it: `pip install hqgen[colour]`",
        ) from error
    return np.asarray(demosaicing_CFA_Bayer_Malvar2004(mosaic, pattern), np.float32)


def luminance(colours: Floats) -> Floats:
    """The brightness of colours (H, W, 3) in linear light: float32 (H, W)."""
    return np.asarray(colours @ LUMINANCE, np.float32)
