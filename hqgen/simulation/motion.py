"""Moving scenes out of still pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hqgen.compiled import compiled

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Motion:
    """How a picture moves before the camera: steadily, about its middle, where it is at the middle frame.

    Args:
        right: pixels of the frame a frame, to the right; negative to the left.
        down: the same downwards.
        rotation: degrees a frame, clockwise.
        zoom: growth a frame: 0.001 makes the picture larger by 0.1 % a frame.
    """

    right: float = 0.0
    down: float = 0.0
    rotation: float = 0.0
    zoom: float = 0.0

    def pose(self, time: float) -> Floats:
        """Affine map, float32 (2, 3), from frame to picture, `time` frames after the middle one.

        Both count (x, y) in pixels of the frame from their own middle.
        """
        angle = np.deg2rad(self.rotation * time)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        linear = turn * np.exp(-np.log1p(self.zoom) * time)
        shift = -linear @ np.array([self.right, self.down]) * time
        return np.column_stack([linear, shift]).astype(np.float32)


def moving_picture(
    picture: Floats, frames: int, height: int, width: int, motion: Motion = Motion()
) -> Iterator[Floats]:
    """Film a picture: as much of it as never lets its edge into a frame, sharply sampled.

    A picture with more pixels than that takes is first reduced by area averaging; between pixels the values
    are interpolated bilinearly, so nothing leaves the range of the picture.

    Args:
        picture: float32 (h, w), linear light in [0, 1].
        frames: how many to give.
        height: H of a frame.
        width: W of a frame.
        motion: of the picture; frame `frames // 2` shows it at rest, upright in the middle.

    Yields:
        float32 (H, W) in [0, 1].

    Raises:
        ValueError: the picture is not (h, w) or has fewer than 2x2 pixels, or a count is not positive.
    """
    if picture.ndim != 2 or min(picture.shape) < 2:
        raise ValueError(f"a picture is (h, w) of at least 2x2 pixels, not the shape {picture.shape}")
    if min(frames, height, width) < 1:
        raise ValueError(
            f"cannot film {frames} frames of {height}x{width} pixels: each number must be at least 1"
        )
    poses = [motion.pose(index - frames // 2) for index in range(frames)]
    texture, scale = _fitted(picture, poses, height, width)
    return (_view(texture, pose * scale, height, width) for pose in poses)


def _fitted(picture: Floats, poses: list[Floats], height: int, width: int) -> tuple[Floats, np.float32]:
    """The picture, reduced where it is too fine, and how many of its pixels make a pixel of the frame."""
    x, y = (width - 1) / 2, (height - 1) / 2
    corners = np.array([[-x, -y, 1], [x, -y, 1], [-x, y, 1], [x, y, 1]])
    # the farthest that a corner of any frame gets from the middle of the picture: (x, y), pixels of the frame
    reach = np.maximum(np.abs(np.stack(poses) @ corners.T).max(axis=(0, 2)), 0.5)
    texture = np.ascontiguousarray(picture, np.float32)
    scale = _scale(texture, reach)
    if scale > 1:
        texture = _reduced(texture, scale)
        scale = _scale(texture, reach)  # now 1, but for the rounding to whole pixels
    return texture, np.float32(scale)


def _scale(picture: Floats, reach: NDArray[np.float64]) -> float:
    return float(np.min((np.array(picture.shape[::-1]) - 1) / (2 * reach)))


def _reduced(picture: Floats, factor: float) -> Floats:
    from PIL import Image

    height, width = (max(2, round((side - 1) / factor) + 1) for side in picture.shape)
    image = Image.fromarray(picture).resize((width, height), Image.Resampling.BOX)
    return np.asarray(image, np.float32)


def _view(texture: Floats, pose: Floats, height: int, width: int) -> Floats:
    frame = np.empty((height, width), np.float32)
    _sample(texture, pose, frame)
    return frame


@compiled
def _sample(texture: Floats, pose: Floats, frame: Floats) -> None:
    """Bilinear; what rounding puts a hair outside of the texture is moved to its edge."""
    rows, columns = texture.shape
    height, width = frame.shape
    for i in range(height):
        v = i - (height - 1) / 2
        for j in range(width):
            u = j - (width - 1) / 2
            x = pose[0, 0] * u + pose[0, 1] * v + pose[0, 2] + (columns - 1) / 2
            y = pose[1, 0] * u + pose[1, 1] * v + pose[1, 2] + (rows - 1) / 2
            x, y = min(max(x, 0.0), columns - 1.0), min(max(y, 0.0), rows - 1.0)
            left, top = min(int(x), columns - 2), min(int(y), rows - 2)
            a, b = x - left, y - top
            upper = texture[top, left] * (1 - a) + texture[top, left + 1] * a
            lower = texture[top + 1, left] * (1 - a) + texture[top + 1, left + 1] * a
            frame[i, j] = upper * (1 - b) + lower * b
