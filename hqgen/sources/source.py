"""A source: the recordings, samples, ground truth and unusable files of one dataset."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

from hqgen.errors import RecordingError, SourceError
from hqgen.sources.catalog import CatalogEntry, SourceSettings
from hqgen.sources.recordings import DemoRecording, FileRecording, Rejected, SourceRecording
from hqgen.sources.samples import Sample, index_truth, places
from hqgen.sources.scan import Found, find_files
from hqgen.sources.truth import DemoTruth, FileTruth, Truth
from hqgen.spikes.camera import VIDAR, Camera, is_raw
from hqgen.spikes.packed import frame_bytes
from hqgen.spikes.recording import open_recording


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
    def asked_as(self) -> str:
        """What users type to name it."""
        return (
            self.name if isinstance(self.entry, CatalogEntry) or not self.folder else f"folder:{self.folder}"
        )

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
    with a key that another recording has is unusable too.

    All pictures of a source have one geometry: the one that its camera states, or else the one that most
    files have, of equally many the first by path. A recording with another one is unusable: it would need a
    source with a name of its own, and that name must not depend on which files are beside it.
    """
    folder = folder.absolute()
    listing = find_files(entry, folder)
    index, rejected = index_truth(entry, listing.truth), listing.rejected
    examined = [(found, _examined(found, folder, entry)) for found in listing.recordings]
    sizes = Counter(item.geometry for _, item in examined if isinstance(item, FileRecording))
    geometry = entry.described_camera.geometry or (sizes.most_common(1)[0][0] if sizes else VIDAR)
    recordings: list[FileRecording] = []
    samples: dict[str, Sample] = {}
    truth: dict[str, Truth] = {}
    for found, recording in examined:
        if not isinstance(recording, FileRecording):
            rejected.append(recording)
            continue
        try:
            _require_geometry(recording, name, geometry)
            by_key = {f"{name}/{place.name}": place for place in places(entry, recording, index)}
            _require_new(by_key, samples)
        except (RecordingError, SourceError) as error:
            rejected.append(Rejected(found.path, error.message))
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
            recordings.append(recording)
    return Source(
        name,
        entry,
        folder,
        geometry,
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
    return Source("demo", entry, None, GEOMETRY, tuple(recordings), samples, (), truth)


def _require_new(keys: Iterable[str], samples: Mapping[str, Sample]) -> None:
    for key in keys:
        if key in samples:
            raise SourceError(f"its sample `{key}` already belongs to `{samples[key].recording.name}`")


def _require_geometry(recording: FileRecording, source: str, geometry: tuple[int, int]) -> None:
    if recording.geometry != geometry:
        (height, width), (rows, columns) = recording.geometry, geometry
        raise RecordingError(
            f"its frames are {height}x{width}, but those of its source `{source}` are {rows}x{columns}: "
            f"recordings of another camera need a folder of their own{_axes_hint(recording, geometry)}"
        )


def _axes_hint(recording: FileRecording, geometry: tuple[int, int]) -> str:
    """The line of a `source.toml` by which a recording has this geometry; empty where its axes have not."""
    read = recording.camera.axes or "THW"
    sizes = dict(zip("THW", (recording.frames, *recording.geometry), strict=True))
    for axes in map("".join, permutations("THW")):
        named = {axis: sizes[place] for axis, place in zip(axes, read, strict=True)}
        if (named["H"], named["W"]) == geometry:
            return f', with `axes = "{axes}"` in its `source.toml`'
    return ""


def _examined(found: Found, folder: Path, entry: SourceSettings) -> FileRecording | Rejected:
    """The recording in a file, if it can be used."""
    path = folder / found.path
    camera = entry.described_camera.for_file(path)
    try:
        (frames, *geometry), label, size = _measure(path, camera)
        label = _number_of(label, entry.labels)
    except RecordingError as error:
        reason = error.message.removeprefix(f"`{path}`: ")
        return Rejected(found.path, f"{reason} ({error.hint})" if error.hint else reason)
    height, width = geometry
    return FileRecording(folder, found.path, found.split, label, frames, size, (height, width), camera)


def _number_of(label: int | str | None, labels: tuple[str, ...]) -> int | None:
    """A label as an index into the labels of its source; None where there are none, so that none is needed.

    Raises:
        RecordingError: it is not one of them.
    """
    if label is None or not labels:
        return label if isinstance(label, int) else None
    if label in labels:
        return labels.index(label)
    if isinstance(label, str) or not 0 <= label < len(labels):
        raise RecordingError(f"its label {label} is not one of the {len(labels)} labels")
    return label


def _measure(path: Path, camera: Camera) -> tuple[tuple[int, int, int], int | str | None, int]:
    """Shape (T, H, W), label and bytes of a recording.

    A raw file is not opened if its size is right, because there may be very many of them.

    Raises:
        RecordingError: it is not a usable recording.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise RecordingError(error.strerror or str(error)) from error
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise RecordingError("is neither a file nor a folder")  # to open a pipe would never end
    plain = camera.frame_range is None and camera.geometry is not None and camera.region is None
    if plain and is_raw(path) and stat.S_ISREG(status.st_mode) and os.access(path, os.R_OK):
        height, width = camera.geometry or VIDAR
        bits = height * (width + (camera.padding or 0))
        frames, rest = divmod(status.st_size, frame_bytes(1, bits))
        if frames > 0 and rest == 0 and bits % 8 == 0:
            return (frames, height, width), None, status.st_size
    recording = open_recording(path, camera)
    return recording.shape, recording.label, status.st_size
