"""Handles of recordings: small, picklable, opened only when frames are needed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from hqgen.errors import RecordingError
from hqgen.files import blake3_bytes, blake3_file
from hqgen.spikes.camera import PLAIN, Camera
from hqgen.spikes.recording import ArrayRecording, Recording, open_recording


class SourceRecording(ABC):
    """One recording of a source.

    Attributes:
        name: path relative to the folder of the source, with `/` between the parts.
        split: `train`, `val`, `test`, or None for a source without splits.
        label: class label stored with the stream, if any.
        frames: T.
        size: bytes.
    """

    __slots__ = ()
    name: str
    split: str | None
    label: int | None
    frames: int
    size: int

    @abstractmethod
    def open(self) -> Recording:
        """Open it without reading frames.

        Raises:
            RecordingError: the file is missing or has changed.
        """

    @abstractmethod
    def digest(self) -> str:
        """BLAKE3 of its bytes, in hex.

        Raises:
            RecordingError: the bytes cannot be read.
        """


@dataclass(frozen=True, slots=True)
class FileRecording(SourceRecording):
    """A recording in a file; `geometry` is (H, W) of its pictures, `camera` is how it is laid out."""

    folder: Path
    name: str
    split: str | None
    label: int | None
    frames: int
    size: int
    geometry: tuple[int, int]
    camera: Camera = PLAIN

    @property
    def path(self) -> Path:
        """Absolute path of the file."""
        return self.folder / self.name

    def open(self) -> Recording:  # noqa: D102
        recording = open_recording(self.path, self.camera)
        if len(recording) != self.frames:
            raise RecordingError(
                f"`{self.path}`: has {len(recording)} frames, but had {self.frames} when its source was read",
                hint="do not change recordings while they are in use",
            )
        return recording

    def digest(self) -> str:  # noqa: D102
        try:
            return blake3_file(self.path)
        except OSError as error:
            raise RecordingError(f"`{self.path}`: {error.strerror or error}") from error


@dataclass(frozen=True, slots=True)
class DemoRecording(SourceRecording):
    """A recording that is simulated when it is opened, with the same bits every time."""

    name: str
    frames: int
    size: int
    split: str | None = None
    label: int | None = None

    def open(self) -> Recording:  # noqa: D102
        from hqgen.sources.demo import demo_recording

        return ArrayRecording(demo_recording(self.name), name=f"demo/{self.name}")

    def digest(self) -> str:  # noqa: D102
        return blake3_bytes(self.open().spikes().data.tobytes())


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that could not be used.

    Attributes:
        path: relative to the folder of the source.
        reason: what is wrong with it.
    """

    path: str
    reason: str
