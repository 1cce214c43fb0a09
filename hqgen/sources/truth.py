"""Ground truth: the light that a camera should have seen at a key frame."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import SourceError
from hqgen.files import blake3_bytes, blake3_file
from hqgen.pictures import read_light


class Truth(ABC):
    """The ground truth of one sample; nothing is read before it is asked for.

    Attributes:
        name: path relative to the folder of the source, or the name of a simulated scene.
    """

    __slots__ = ()
    name: str

    @abstractmethod
    def light(self) -> NDArray[np.float32]:
        """The brightness of every pixel: float32 (H, W), linear light in [0, 1].

        Raises:
            HqgenError: the picture is gone or damaged.
        """

    @abstractmethod
    def digest(self) -> str:
        """BLAKE3 of its bytes, in hex.

        Raises:
            HqgenError: as `light`.
        """


@dataclass(frozen=True, slots=True)
class FileTruth(Truth):
    """A picture of the dataset; its grey levels are brightness as they are (`hqgen.pictures.read_light`)."""

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """Absolute path of the file."""
        return self.folder / self.name

    def light(self) -> NDArray[np.float32]:  # noqa: D102
        return read_light(self.path)

    def digest(self) -> str:  # noqa: D102
        try:
            return blake3_file(self.path)
        except OSError as error:
            raise SourceError(
                f"`{self.path}`: {error.strerror or error}", hint="do not change a source while it is in use"
            ) from error


@dataclass(frozen=True, slots=True)
class DemoTruth(Truth):
    """The light of a simulated scene, not rounded to grey levels."""

    name: str

    def light(self) -> NDArray[np.float32]:  # noqa: D102
        from hqgen.sources.demo import demo_truth

        return demo_truth(self.name)

    def digest(self) -> str:  # noqa: D102
        return blake3_bytes(self.light().tobytes())
