"""A source: the recordings, samples, ground truth and unusable files of one dataset."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hqgen.errors import RecordingError, SourceError
from hqgen.sources.catalog import SourceSettings
from hqgen.sources.recordings import DemoRecording, FileRecording, Rejected, SourceRecording
from hqgen.sources.samples import Sample, index_truth, places
from hqgen.sources.scan import Found, find_files
from hqgen.sources.truth import DemoTruth, FileTruth, Truth
from hqgen.spikes.packed import frame_bytes
from hqgen.spikes.recording import open_recording

VIDAR = (250, 400)
"""(H, W) of a Vidar camera: the default geometry of a file without a header."""


@dataclass(frozen=True, slots=True)
class Source:
    """A dataset and its files.

    Attributes:
        name: unique in a build; names the Zarr group and begins the keys of the samples.
        entry: of the catalog, or from the `source.toml` of the folder.
        folder: absolute; None for a source without files.
        geometry: (H, W) of all its recordings.
        recordings: the usable ones, in order.
        samples: of all recordings, in order.
        rejected: the unusable files, with the reasons.
    """

    name: str
    entry: SourceSettings
    folder: Path | None
    geometry: tuple[int, int]
    recordings: tuple[SourceRecording, ...]
    samples: tuple[Sample, ...]
    rejected: tuple[Rejected, ...] = ()
    _truth: Mapping[str, Truth] = field(default_factory=dict, repr=False)

    @property
    def size(self) -> int:
        """Bytes of all usable recordings."""
        return sum(recording.size for recording in self.recordings)

    @property
    def has_truth(self) -> bool:
        """Whether there is ground truth of at least one sample."""
        return bool(self._truth)

    def truth(self, sample: Sample) -> Truth | None:
        """The ground truth of one of its samples, if the dataset has one."""
        return self._truth.get(sample.key)


def read_folder(name: str, entry: SourceSettings, folder: Path) -> Source:
    """Find the recordings and samples below `folder`.

    No frame is read. For files without a header only the size is looked up; others are opened for their
    shape and label. An unusable file is listed with the reason, and the others are still read. A recording
    with another geometry than the source, or with a key that another recording has, is unusable too.
    """
    folder = folder.absolute()
    listing = find_files(entry, folder)
    index, rejected, geometry = index_truth(entry, listing.truth), listing.rejected, entry.geometry
    recordings: list[FileRecording] = []
    samples: dict[str, Sample] = {}
    truth: dict[str, Truth] = {}
    for found in listing.recordings:
        try:
            recording = _examine(found, folder, entry, geometry)
            by_key = {f"{name}/{place.name}": place for place in places(entry, recording, index)}
            _require_new(by_key, samples)
        except (RecordingError, SourceError) as error:
            reason = error.message.removeprefix(f"`{folder / found.path}`: ")
            rejected.append(Rejected(found.path, reason))
            continue
        for key, place in by_key.items():
            if not 0 <= place.centre < recording.frames:
                reason = (
                    f"key id {place.centre + 1} is not one of the {recording.frames} frames "
                    f"of `{recording.name}`"
                )
                rejected.append(Rejected(place.truth or recording.name, reason))
                continue
            samples[key] = Sample(key, recording, place.centre)
            if place.truth is not None:
                truth[key] = FileTruth(folder, place.truth)
        if by_key.keys() & samples.keys():
            geometry = recording.geometry
            recordings.append(recording)
    return Source(
        name,
        entry,
        folder,
        geometry or VIDAR,
        tuple(recordings),
        tuple(samples.values()),
        tuple(sorted(rejected, key=lambda file: file.path)),
        truth,
    )


def read_demo(entry: SourceSettings) -> Source:
    """The simulated source: one recording and one sample per scene."""
    from hqgen.sources.demo import FRAMES, GEOMETRY, demo_scenes

    size = FRAMES * frame_bytes(*GEOMETRY)
    recordings = [DemoRecording(scene, FRAMES, size) for scene in demo_scenes()]
    samples = tuple(
        Sample(f"demo/{place.name}", recording, place.centre)
        for recording in recordings
        for place in places(entry, recording, {})
    )
    truth = {sample.key: DemoTruth(sample.recording.name) for sample in samples}
    geometry = entry.geometry or VIDAR
    return Source("demo", entry, None, geometry, tuple(recordings), samples, (), truth)


def _require_new(keys: Iterable[str], samples: Mapping[str, Sample]) -> None:
    for key in keys:
        if key in samples:
            raise SourceError(f"its sample `{key}` already belongs to `{samples[key].recording.name}`")


def _examine(
    found: Found, folder: Path, entry: SourceSettings, geometry: tuple[int, int] | None
) -> FileRecording:
    """The recording in a file, if its frames and its label fit its source."""
    (frames, height, width), label, size = _measure(folder / found.path, entry)
    geometry = geometry or (height, width)
    if (height, width) != geometry:
        raise RecordingError(
            f"its frames are {height}x{width}, but those of its source are {geometry[0]}x{geometry[1]}"
        )
    if label is not None and entry.labels and not 0 <= label < len(entry.labels):
        raise RecordingError(f"its label {label} is not one of the {len(entry.labels)} labels")
    return FileRecording(folder, found.path, found.split, label, frames, size, geometry, entry.axes)


def _measure(path: Path, entry: SourceSettings) -> tuple[tuple[int, int, int], int | None, int]:
    """Shape (T, H, W), label and bytes of a recording.

    A file without a header is not opened if its size is right, because there may be very many of them.

    Raises:
        RecordingError: it is not a usable recording.
    """
    headerless = path.suffix.lower() == ".dat"
    height, width = entry.geometry or VIDAR
    try:
        status = path.stat()
    except OSError as error:
        raise RecordingError(error.strerror or str(error)) from error
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise RecordingError("is neither a file nor a folder")  # to open a pipe would never end
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
