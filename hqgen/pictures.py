"""Images as files."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from hqgen.errors import SourceError, UsageError
from hqgen.quality.normalise import to_uint8

__all__ = ["labelled_files", "png", "write_image"]


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


def png(image: Image.Image) -> bytes:
    """A picture as a PNG file."""
    data = io.BytesIO()
    image.save(data, format="PNG")
    return data.getvalue()


_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def labelled_files(path: Path) -> list[tuple[str, Path | zipfile.Path]]:
    """The pictures of a folder or a zip archive of CLASS/NAME.jpg: class and file, in the order of both.

    Raises:
        SourceError: neither a folder nor an archive.
    """
    if not path.is_dir() and not zipfile.is_zipfile(path):
        raise SourceError(
            f"`{path}` is neither a folder nor a zip archive",
            hint="give a folder of CLASS/NAME.jpg, or a zip of one",
        )
    root: Any = path if path.is_dir() else zipfile.Path(path)
    folders = sorted((folder for folder in root.iterdir() if folder.is_dir()), key=lambda folder: folder.name)
    return [
        (folder.name, file)
        for folder in folders
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.suffix.lower() in _SUFFIXES
    ]


def _decoded(file: Path | zipfile.Path) -> Image.Image:
    try:
        return Image.open(io.BytesIO(file.read_bytes())).convert("L")
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise SourceError(f"`{file}` is no readable picture: {error}", hint="remove or replace it") from error
