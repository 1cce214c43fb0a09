"""Pictures as files: those of a folder or a zip archive, and how they are read and written."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hqgen.errors import SourceError, UsageError
from hqgen.files import writing
from hqgen.text import why

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""How the names of picture files end."""

_UNREADABLE = (OSError, SyntaxError, Image.DecompressionBombError)
"""What Pillow raises for a file that is missing, damaged or not a picture."""


class Picture(NamedTuple):
    """A picture file in a folder or a zip archive."""

    name: str
    """Its path inside the folder or archive, such as `cat/1.jpg`."""
    file: Path | zipfile.Path

    @property
    def label(self) -> str:
        """The class of a labelled picture: the name of the folder that it is in; empty at the top."""
        return PurePosixPath(self.name).parent.name

    def gray(self) -> Image.Image:
        """Read it as 8-bit gray.

        Raises:
            SourceError: it is damaged, or not a picture.
        """
        try:
            return Image.open(io.BytesIO(self.file.read_bytes())).convert("L")
        except _UNREADABLE as error:
            raise SourceError(
                f"`{self.file}` is not a readable picture: {why(error)}", hint="remove or replace it"
            ) from error


def picture_files(path: Path) -> list[Picture]:
    """The pictures of a folder or a zip archive, with those of its subfolders, in the order of their names.

    Raises:
        SourceError: neither a folder nor an archive.
    """
    if path.is_dir():
        found = [Picture(file.relative_to(path).as_posix(), file) for file in sorted(path.rglob("*"))]
    elif zipfile.is_zipfile(path):
        archive = zipfile.ZipFile(path)
        found = [Picture(name, zipfile.Path(archive, name)) for name in sorted(archive.namelist())]
    else:
        raise SourceError(
            f"`{path}` is neither a folder nor a zip archive",
            hint="give a folder of pictures, or a zip of one",
        )
    return [picture for picture in found if picture.name.lower().endswith(SUFFIXES)]


def labelled_pictures(path: Path) -> list[Picture]:
    """The pictures of a folder or a zip archive of CLASS/NAME.jpg, in the order of class and name.

    Raises:
        SourceError: neither a folder nor an archive.
    """
    labelled = [picture for picture in picture_files(path) if picture.label]
    return sorted(labelled, key=lambda picture: (picture.label, picture.name))


def load_pictures(path: Path, *, longest: int, smallest: int) -> list[Image.Image]:
    """Load every picture of a folder or a zip archive as 8-bit gray, in the order of their names.

    Args:
        path: the folder or the archive.
        longest: pictures with a longer side are reduced to it, so that they are as sharp as camera frames.
        smallest: the shortest side, in pixels, that a picture must still have then.

    Raises:
        SourceError: no such folder, no picture in it, or one that is damaged or too small.
    """
    pictures = [_fitted(picture, longest, smallest) for picture in picture_files(path)]
    if not pictures:
        raise SourceError(
            f"no pictures in `{path}`", hint=f"a picture is a file that ends in {', '.join(SUFFIXES)}"
        )
    return pictures


def _fitted(picture: Picture, longest: int, smallest: int) -> Image.Image:
    gray = picture.gray()
    if max(gray.size) > longest:
        gray.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    if min(gray.size) < smallest:
        raise SourceError(
            f"`{picture.file}` is {gray.height}x{gray.width} pixels; "
            f"training needs at least {smallest} a side",
            hint="remove it, or train on larger pictures",
        )
    return gray


def read_light(path: Path) -> NDArray[np.float32]:
    """A picture file as linear light, float32 (h, w) in [0, 1].

    Grey levels are taken for intensities as they are, without undoing a display gamma, as Spike-REDS and the
    simulators of the field do. Colours become grey by the Rec. 601 weights; 16-bit pictures keep their depth.

    Raises:
        SourceError: the file is missing, damaged or not a picture.
    """
    try:
        with Image.open(path) as image:
            deep = image.mode.startswith("I")
            grey = np.asarray(image if deep else image.convert("L"), np.float32)
    except _UNREADABLE as error:
        raise SourceError(
            f"`{path}` cannot be read as a picture: {why(error)}", hint="give a PNG or JPEG"
        ) from error
    light: NDArray[np.float32] = np.clip(grey / np.float32(65535 if deep else 255), 0, 1)
    return light


def grey_levels(light: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Light in [0, 1] as the nearest of 256 grey levels; what is outside is clipped: uint8, same shape."""
    levels: NDArray[np.uint8] = np.rint(np.clip(light, 0, 1) * 255).astype(np.uint8)
    return levels


def write_image(path: Path, image: NDArray[np.float32]) -> None:
    """Write a method's image: a picture by the rule that builds use, or with `.npy` its own values.

    Args:
        path: its ending tells the format: `.npy`, `.png` and whatever else Pillow writes.
        image: float32 (H, W), or (H, W, 3) for red, green and blue, in the method's own units.

    Raises:
        UsageError: the ending is unknown, or the file cannot be written.
        ScoreError: no picture can be made of the image: it is flat or not finite.
    """
    from hqgen.quality.normalise import to_uint8

    if path.suffix.lower() == ".npy":
        with writing(path):
            np.save(path, image)
        return
    if path.suffix.lower() not in Image.registered_extensions():
        raise UsageError(
            f"`{path}` cannot be written: no kind of picture ends in `{path.suffix}`",
            hint="name a `.png`, or `.npy` for the values",
        )
    # One white point for all colours: the rule sees them side by side.
    levels = to_uint8(image.reshape(len(image), -1)).reshape(image.shape)
    with writing(path):
        Image.fromarray(levels).save(path)


def png(image: Image.Image) -> bytes:
    """A picture as a PNG file."""
    data = io.BytesIO()
    image.save(data, format="PNG")
    return data.getvalue()


def webp(image: Image.Image, quality: int) -> bytes:
    """A picture as a WebP file, small and not exact; `quality` is 0 to 100."""
    data = io.BytesIO()
    image.save(data, format="WEBP", quality=quality)
    return data.getvalue()
