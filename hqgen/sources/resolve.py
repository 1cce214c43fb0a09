"""Find the sources that a user names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hqgen.errors import SourceError, UnknownNameError, UsageError
from hqgen.sources.catalog import CatalogEntry, load_catalog, load_folder_settings
from hqgen.sources.source import Source, read_demo, read_folder
from hqgen.spikes.camera import PLAIN, Camera

_FOLDER = "folder:"


def resolve_sources(names: str | Sequence[str], data_root: Path, camera: Camera = PLAIN) -> list[Source]:
    """Read the sources with these names, in the order of the names.

    Args:
        names: of the catalog, or `folder:PATH` for any folder of recordings; in a string they are separated
            by commas.
        data_root: the folder that holds the folders of the catalog; `demo` and `folder:PATH` do not need it.
        camera: of all `folder:PATH`, stronger than their `source.toml`; the catalog knows its own cameras.

    Raises:
        UsageError: there is no name, one name twice, two folders with one name, or a camera for no folder.
        UnknownNameError: a name is neither in the catalog nor `folder:PATH`.
        SourceError: a source has no usable recording; the hint says which files were expected and how to get
            them.
    """
    listed = [name.strip() for name in (names.split(",") if isinstance(names, str) else names)]
    _check_names(listed)
    if camera != PLAIN and not any(name.startswith(_FOLDER) for name in listed):
        raise UsageError(
            f"a camera is described, but no `{_FOLDER}PATH` is among the sources: {', '.join(listed)}",
            hint="the catalog describes the cameras of its datasets",
        )
    return [_usable(_read(name, data_root, camera)) for name in listed]


def _check_names(names: list[str]) -> None:
    """Refuse wrong names before any folder is searched."""
    if not all(names) or not names:
        raise UsageError("a source has no name", hint="name sources as in `--sources reds,recvidar2019`")
    taken: dict[str, str] = {}
    for name in names:
        # Names that differ only in case are refused: some file systems would use one folder for both.
        group = _group(name)
        if other := taken.get(group.lower()):
            raise UsageError(
                f"two sources would be stored as `{group}`: `{other}` and `{name}`",
                hint="name each source once; if two folders have one name, rename one",
            )
        taken[group.lower()] = name


def _group(name: str) -> str:
    """The name of a source in stores and keys: its catalog name, or `folder-` and the name of the folder."""
    if name.startswith(_FOLDER):
        return "folder-" + (re.sub(r"[^A-Za-z0-9._-]", "-", _path(name).name) or "root")
    catalog = load_catalog()
    if name not in catalog:
        raise UnknownNameError("source", name, [*catalog, f"{_FOLDER}PATH"])
    return name


def _path(name: str) -> Path:
    path = name.removeprefix(_FOLDER)
    if not path:
        raise UsageError(f"`{name}` has no path", hint="give a path, as in `folder:recordings/today`")
    try:
        return Path(path).expanduser().resolve()
    except RuntimeError as error:  # no such user after `~`, or a circle of links
        raise UsageError(f"`{name}`: {error}") from error


def _read(name: str, data_root: Path, camera: Camera) -> Source:
    if name.startswith(_FOLDER):
        folder = _path(name)
        if not folder.is_dir():
            raise SourceError(
                f"source `{name}`: there is no folder `{folder}`",
                hint="a relative path starts in the folder where the command runs",
            )
        settings = load_folder_settings(folder)
        described = settings.model_copy(update={"camera": camera.over(settings.camera)})
        return read_folder(_group(name), described, folder)
    return read_entry(name, load_catalog()[name], data_root)


def read_named(name: str, data_root: Path) -> Source:
    """Read one source; it may be empty.

    Raises:
        UnknownNameError: the name is neither in the catalog nor `folder:PATH`.
        SourceError: there is no such folder.
    """
    _check_names([name])
    return _read(name, data_root, PLAIN)


def read_entry(name: str, entry: CatalogEntry, data_root: Path) -> Source:
    """Read a dataset of the catalog; the source may be empty.

    Raises:
        SourceError: there is no such folder.
    """
    if entry.folder is None:
        return read_demo(entry)
    if not data_root.is_dir():
        raise SourceError(
            f"source `{name}`: the data root `{data_root}` is not a folder",
            hint="give the folder of the datasets with `--data-root` or `HQGEN_DATA_ROOT`",
        )
    folder = data_root / entry.folder
    if not folder.is_dir():
        raise SourceError(f"source `{name}`: there is no folder `{folder}`", hint=entry.obtain)
    return read_folder(name, entry, folder)


def complaint(source: Source) -> str:
    """Why a source gives no samples; empty if it gives some."""
    if source.recordings:
        return ""
    if source.rejected:
        first, count = source.rejected[0], len(source.rejected)
        return f"none of {count} files in `{source.folder}` can be used; `{first.path}`: {first.reason}"
    return f"no recordings in `{source.folder}`"


def _usable(source: Source) -> Source:
    if reason := complaint(source):
        patterns = [pattern for row in source.entry.layout for pattern in row.recordings]
        files = [f"`{pattern}{end}`" for pattern in dict.fromkeys(patterns) for end in source.entry.suffixes]
        raise SourceError(
            f"source `{source.name}`: {reason}",
            hint=f"expected files: {', '.join(files)}. {source.entry.obtain}".rstrip(),
        )
    return source
