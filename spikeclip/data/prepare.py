"""From labelled recordings to a low-light set."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

from hqgen.errors import RecordingError, SourceError, UnknownNameError, UsageError
from hqgen.files import blake3_bytes
from hqgen.progress import SILENT, Observer
from hqgen.sources import Rejected, Source, SourceRecording, load_catalog
from hqgen.sources.catalog import SourceSettings, load_folder_settings
from hqgen.sources.recordings import FileRecording
from hqgen.sources.resolve import complaint
from hqgen.sources.source import read_folder
from hqgen.spikes.plausibility import misread
from spikeclip.data.lowlight import LowLightSet
from spikeclip.data.lowlight_writer import LabelledStream, Make, write


def prepare(
    spikes: Path,
    out: Path,
    *,
    entry: str | None = None,
    observer: Observer = SILENT,
    pool: Executor | None = None,
) -> LowLightSet:
    """Turn a folder of labelled recordings into a low-light set; found there already, it is opened.

    A recording that cannot be used (damaged, clearly misread, of another length or geometry) is left out and
    listed in `LowLightSet.rejected`. Recordings without splits become the split `train`.

    Args:
        spikes: the folder, laid out as a dataset of the catalog is, or as its own `source.toml` says.
        out: where the set will be.
        entry: the dataset's name in the catalog; None takes the folder's `source.toml`, else its name.
        observer: gets the progress.
        pool: decodes the recordings; None for threads of this process.

    Raises:
        SourceError: no such folder, no usable recording, or recordings without labels.
        UsageError: it is not known which dataset the folder holds.
        StoreError: something else is at `out`, or another process is writing there.
    """
    settings, source = survey(spikes, entry)
    frames = Counter(recording.frames for recording in source.recordings).most_common(1)[0][0]
    samples: dict[str, list[Make]] = {row.split or "train": [] for row in settings.layout}
    for recording in source.recordings:
        samples[recording.split or "train"].append(partial(_decode, recording, frames))
    return write(
        out,
        labels=settings.labels,
        geometry=source.geometry,
        frames=frames,
        splits={name: len(makes) for name, makes in samples.items() if makes},
        samples=samples.__getitem__,
        made_from={"recordings": _identity(source), "classes": list(settings.labels)},
        rejected=source.rejected,
        observer=observer,
        pool=pool,
    )


def survey(spikes: Path, entry: str | None = None) -> tuple[SourceSettings, Source]:
    """Read the headers and labels of the recordings in a folder, and what is known about their dataset.

    Raises:
        SourceError, UsageError: as `prepare`.
    """
    if not spikes.is_dir():
        raise SourceError(
            f"there is no folder `{spikes}`", hint="name the folder of the low-light recordings"
        )
    settings = _settings(spikes, entry)
    source = read_folder(entry or spikes.name, settings, spikes)
    if reason := complaint(source):
        raise SourceError(reason, hint=settings.obtain)
    _check_labels(source)
    return settings, source


def _settings(folder: Path, entry: str | None) -> SourceSettings:
    """What is known about the folder's dataset, with its classes."""
    catalog = load_catalog()
    labelled = [name for name, dataset in catalog.items() if dataset.labels]
    if entry is None and (folder / "source.toml").exists():
        settings = load_folder_settings(folder)
        if not settings.labels:
            raise SourceError(
                f"`{folder / 'source.toml'}` names no `labels`",
                hint='name the classes in the order of their numbers: labels = ["cat", "dog"]',
            )
        return settings
    name = entry or folder.resolve().name.lower().replace("_", "-")
    if name in labelled:
        return catalog[name]
    if entry is not None:
        raise UnknownNameError("dataset with labels", entry, labelled)
    raise UsageError(
        f"it is not known which dataset `{folder}` holds",
        hint=f"say `--entry` ({', '.join(labelled)}), or put a `source.toml` with `labels` into it",
    )


def _check_labels(source: Source) -> None:
    unlabelled = [recording.name for recording in source.recordings if recording.label is None]
    if unlabelled:
        raise SourceError(
            f"{len(unlabelled)} of {len(source.recordings)} recordings in `{source.folder}` have no label; "
            f"the first is `{unlabelled[0]}`",
            hint="a labelled recording is an .npz with the keys `spk` and `label`",
        )


def _identity(source: Source) -> str:
    """What distinguishes a folder's recordings, without reading them."""
    names = [[item.name, item.split, item.label, item.size] for item in source.recordings]
    return blake3_bytes(json.dumps(names).encode())


def _decode(recording: SourceRecording, frames: int) -> LabelledStream | Rejected:
    assert recording.label is not None
    if recording.frames != frames:
        return Rejected(recording.name, f"it has {recording.frames} frames, most have {frames}")
    try:
        opened = recording.open()
        if isinstance(recording, FileRecording) and (wrong := misread(opened, recording.path)):
            return Rejected(recording.name, f"it is not read as it was written: {wrong}")
        return LabelledStream(recording.name, recording.label, opened.spikes())
    except RecordingError as error:
        return Rejected(recording.name, error.message)
