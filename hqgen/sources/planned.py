"""Sources and recordings of a finished store, found again by what its documents say of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from hqgen.errors import SourceError
from hqgen.sources.catalog import SourceSettings, load_catalog, load_folder_settings
from hqgen.sources.recordings import DemoRecording, FileRecording, SourceRecording
from hqgen.sources.scan import Order, in_order
from hqgen.spikes.camera import Camera

Files = tuple[Path, SourceSettings]
"""Where a source's recordings are, and how they are read."""


def source_files(name: str, folder: str | None, data_root: Path | None) -> Files | None:
    """Where a source's recordings are and how they are read; None for the demo, which has no files.

    Args:
        name: of the source.
        folder: where its recordings were when the store was built; None for a source without files.
        data_root: where the catalog's folders are, for a source that is no longer where it was; a folder
            outside the catalog is looked for there by its name.

    Raises:
        SourceError: there is no folder where they were, nor below the data root.
    """
    if folder is None:
        return None
    places = [Path(folder)]
    entry = load_catalog().get(name)
    if data_root is not None:
        places.append(data_root / ((entry and entry.folder) or places[0].name))
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        where = " or ".join(f"`{place}`" for place in dict.fromkeys(places))
        raise SourceError(
            f"the recordings of `{name}` are gone: there is no folder {where}",
            hint="give the folder of the datasets with `--data-root`",
        )
    return found, entry or load_folder_settings(found)


def planned_recording(
    files: Files | None,
    path: str,
    frames: int,
    size: int,
    geometry: tuple[int, int],
    camera: Mapping[str, Any] | None,
) -> SourceRecording:
    """A recording of a plan; its file is not looked at.

    Args:
        files: of its source: see `source_files`.
        path: relative to the folder of the source.
        frames: T.
        size: bytes.
        geometry: (H, W) of its pictures.
        camera: what the plan says of it.
    """
    if files is None:
        return DemoRecording(path, frames, size)
    folder, settings = files
    described = Camera.planned(camera, *geometry).over(settings.described_camera)
    return FileRecording(folder, path, None, None, frames, size, geometry, described.for_file(folder / path))


def recording_order(
    name: str, folders: Iterable[str], paths: Iterable[str], known: Sequence[Sequence[str]]
) -> list[str]:
    """Paths of recordings in the order in which their source would have them.

    The catalog, or the `source.toml` of a folder that is still there, says by what a source is ordered. Where
    neither does, it is what orders the lists that are known.

    Args:
        name: of the source.
        folders: where parts of its recordings were.
        paths: to be put in order.
        known: parts of them in the order of the source.
    """
    entry = load_catalog().get(name)
    there = (load_folder_settings(path) for folder in folders if (path := Path(folder)).is_dir())
    settings = entry or next(there, None)
    orders: tuple[Order, ...] = get_args(Order) if settings is None else (settings.order,)
    fitting = (by for by in orders if all(in_order(part, by) == list(part) for part in known))
    return in_order(paths, next(fitting, orders[0]))
