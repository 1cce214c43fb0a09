"""A source: the recordings, samples and ground truth of one dataset, and what in it cannot be used."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hqgen.errors import RecordingError, SourceError
from hqgen.sources.catalog import SourceSettings
from hqgen.sources.recordings import DemoRecording, FileRecording, Rejected, SourceRecording
from hqgen.sources.samples import Place, Sample, TruthIndex, index_truth, places
from hqgen.sources.scan import Found, find_files
from hqgen.spikes.packed import frame_bytes
from hqgen.spikes.recording import open_recording

__all__ = ["VIDAR", "Source", "read_demo", "read_folder"]

VIDAR = (250, 400)
"""(H, W) of a Vidar camera: what a headerless file is taken to hold when nothing says otherwise."""


@dataclass(frozen=True, slots=True)
class Source:
    """A dataset and where its files are.

    Attributes:
        name: unique in a build, fit for a Zarr group and the first part of its samples' keys.
        entry: what the catalog, or the folder's `source.toml`, says of it.
        folder: absolute; None for a source without files.
        geometry: (H, W) of all its recordings.
        recordings: those that can be used, in order.
        samples: of all recordings, in order.
        rejected: the files that cannot be used, with the reasons.
    """

    name: str
    entry: SourceSettings
    folder: Path | None
    geometry: tuple[int, int]
    recordings: tuple[SourceRecording, ...]
    samples: tuple[Sample, ...]
    rejected: tuple[Rejected, ...] = ()
    _truth: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def size(self) -> int:
        """Bytes of all recordings that can be used."""
        return sum(recording.size for recording in self.recordings)

    def truth(self, sample: Sample) -> Path | None:
        """The ground-truth picture of one of its samples, if the dataset has one."""
        path = self._truth.get(sample.key)
        return None if path is None or self.folder is None else self.folder / path


def read_folder(name: str, entry: SourceSettings, folder: Path) -> Source:
    """Find the recordings and samples below `folder`.

    No frame is read: headerless files are only looked up in the file system, others opened for their
    shape and label. A file that cannot be used is listed with the reason and stops no other; that goes for a
    recording whose geometry is not the source's, too, and for one whose key another one has already.
    """
    folder = folder.absolute()
    listing = find_files(entry, folder)
    draft = _Draft(name, entry, folder, index_truth(entry, listing.truth), listing.rejected)
    for found in listing.recordings:
        draft.take(found)
    return draft.finished()


def read_demo(entry: SourceSettings) -> Source:
    """The simulated source: one recording and one sample a scene."""
    from hqgen.sources.demo import FRAMES, GEOMETRY, demo_scenes

    size = FRAMES * frame_bytes(*GEOMETRY)
    recordings = [DemoRecording(scene, FRAMES, size) for scene in demo_scenes()]
    samples = (
        Sample(f"demo/{place.name}", recording, place.centre)
        for recording in recordings
        for place in places(entry, recording, {})
    )
    return Source("demo", entry, None, entry.geometry or VIDAR, tuple(recordings), tuple(samples))


class _Draft:
    """A source while its files are looked at, one after the other."""

    def __init__(
        self, name: str, entry: SourceSettings, folder: Path, truth: TruthIndex, rejected: list[Rejected]
    ) -> None:
        self._name, self._entry, self._folder = name, entry, folder
        self._truth_index, self._rejected = truth, rejected
        self._geometry = entry.geometry
        self._recordings: list[FileRecording] = []
        self._samples: dict[str, Sample] = {}
        self._truth: dict[str, str] = {}

    def take(self, found: Found) -> None:
        """Add a recording with its samples, or the reason why not."""
        try:
            recording = self._examine(found)
            chosen = self._choose(recording)
        except (RecordingError, SourceError) as error:
            reason = error.message.removeprefix(f"`{self._folder / found.path}`: ")
            self._rejected.append(Rejected(found.path, reason))
            return
        if not chosen:
            return
        self._geometry = recording.geometry
        self._recordings.append(recording)
        for key, place in chosen.items():
            self._samples[key] = Sample(key, recording, place.centre)
            if place.truth is not None:
                self._truth[key] = place.truth

    def finished(self) -> Source:
        return Source(
            self._name,
            self._entry,
            self._folder,
            self._geometry or VIDAR,
            tuple(self._recordings),
            tuple(self._samples.values()),
            tuple(sorted(self._rejected, key=lambda file: file.path)),
            self._truth,
        )

    def _examine(self, found: Found) -> FileRecording:
        (frames, height, width), label, size = _measure(self._folder / found.path, self._entry)
        geometry = self._geometry or (height, width)
        if (height, width) != geometry:
            raise RecordingError(
                f"its frames are {height}x{width}, those of its source {geometry[0]}x{geometry[1]}"
            )
        if label is not None and self._entry.labels and not 0 <= label < len(self._entry.labels):
            raise RecordingError(f"its label {label} is none of the {len(self._entry.labels)} labels")
        return FileRecording(
            self._folder, found.path, found.split, label, frames, size, geometry, self._entry.axes
        )

    def _choose(self, recording: FileRecording) -> dict[str, Place]:
        """Its samples' places by key, without those that lie outside it, which are listed as unusable."""
        chosen = {}
        for place in places(self._entry, recording, self._truth_index):
            key = f"{self._name}/{place.name}"
            if other := self._samples.get(key):
                raise SourceError(f"its sample `{key}` is one of `{other.recording.name}` already")
            if 0 <= place.centre < recording.frames:
                chosen[key] = place
            else:
                claim = f"key id {place.centre + 1} is none of the {recording.frames} frames"
                self._rejected.append(
                    Rejected(place.truth or recording.name, f"{claim} of `{recording.name}`")
                )
        return chosen


def _measure(path: Path, entry: SourceSettings) -> tuple[tuple[int, int, int], int | None, int]:
    """Shape (T, H, W), label and bytes of a recording.

    A headerless file whose size is right needs no opening, and there may be very many of them.

    Raises:
        RecordingError: it is no usable recording.
    """
    headerless = path.suffix.lower() == ".dat"
    height, width = entry.geometry or VIDAR
    try:
        status = path.stat()
    except OSError as error:
        raise RecordingError(error.strerror or str(error)) from error
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise RecordingError("is neither a file nor a folder")  # opening a pipe would wait for ever
    frames, rest = divmod(status.st_size, frame_bytes(height, width))
    whole = frames > 0 and rest == 0 and height * width % 8 == 0 and stat.S_ISREG(status.st_mode)
    if headerless and whole and os.access(path, os.R_OK):
        return (frames, height, width), None, status.st_size
    recording = (
        open_recording(path, height=height, width=width)
        if headerless
        else open_recording(path, axes=entry.axes)
    )
    return recording.shape, recording.label, status.st_size
