"""A folder or a zip archive of pictures, loaded as gray images."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from hqgen.errors import SourceError

__all__ = ["load_pictures"]

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def load_pictures(path: Path, *, longest: int, smallest: int) -> list[Image.Image]:
    """Load every picture below a folder, or in a zip archive, as 8-bit gray.

    Args:
        path: the folder or the archive.
        longest: pictures with a longer side are reduced to it, so that they are as sharp as camera frames.
        smallest: the shortest side, in pixels, that a picture must still have then.

    Returns:
        the pictures in the order of their names.

    Raises:
        SourceError: no such folder, no picture in it, or one that is damaged or too small.
    """
    pictures = [_gray(name, data, longest, smallest) for name, data in _files(path)]
    if not pictures:
        raise SourceError(
            f"no pictures in `{path}`", hint=f"a picture is a file that ends in {', '.join(sorted(SUFFIXES))}"
        )
    return pictures


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.suffix.lower() in SUFFIXES:
                yield str(file), file.read_bytes()
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if Path(name).suffix.lower() in SUFFIXES:
                    yield f"{path}/{name}", archive.read(name)
    else:
        raise SourceError(
            f"`{path}` is neither a folder nor a zip archive",
            hint="give a folder of pictures, or a zip of one",
        )


def _gray(name: str, data: bytes, longest: int, smallest: int) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(data)).convert("L")
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise SourceError(f"`{name}` is no readable picture: {error}", hint="remove or replace it") from error
    if max(picture.size) > longest:
        picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    if min(picture.size) < smallest:
        width, height = picture.size
        raise SourceError(
            f"`{name}` is {height}x{width} pixels; training needs at least {smallest} a side",
            hint="remove it, or train on larger pictures",
        )
    return picture
