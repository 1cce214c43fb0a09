"""Trained weights: where they lie, whether they are the right ones, and how they get into a network.

A folder of weights holds checkpoint files and a registry, `weights.json`, that says of each which method it
is for, its sha256, licence, source and brightness convention. There are two such folders: the user's
(`weights_folder`) and the one that ships with this package; where both know a name, the user's wins.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hqgen.errors import MethodError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hqgen.methods.base import OutputScale


__all__ = ["SHIPPED", "WeightsEntry", "find_weights", "list_weights", "weights_folder"]

SHIPPED = Path(__file__).with_name("weights_data")
"""The folder of weights that comes with the package."""

REGISTRY = "weights.json"


@dataclass(frozen=True)
class WeightsEntry:
    """One line of a registry.

    Args:
        name: what the weights are for: `NetworkMethod.weights_name`.
        file: the checkpoint; relative in `weights.json`, absolute here.
        sha256: of the file, lower-case hex.
        licence: of the weights, in the words of whoever published them.
        source: where they were published.
        brightness: scale of the network's output with these weights.
    """

    name: str
    file: Path
    sha256: str
    licence: str
    source: str
    brightness: OutputScale


def weights_folder(folder: str | Path | None = None) -> Path:
    """The user's folder of weights: `folder`, else `HQGEN_WEIGHTS`, else `hqgen/weights` in the cache."""
    if folder:
        return Path(folder).expanduser()
    if named := os.environ.get("HQGEN_WEIGHTS"):
        return Path(named).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "hqgen" / "weights"


def list_weights(folder: str | Path | None = None) -> list[WeightsEntry]:
    """All registered weights by name, the user's before the shipped ones.

    Raises:
        MethodError: a registry that cannot be read.
    """
    entries = _read_registry(SHIPPED) | _read_registry(weights_folder(folder))
    return [entries[name] for name in sorted(entries)]


def find_weights(name: str, folder: str | Path | None = None) -> WeightsEntry | None:
    """The registered weights for `name`, or None; see `list_weights`."""
    return _read_registry(weights_folder(folder)).get(name) or _read_registry(SHIPPED).get(name)


def _read_registry(folder: Path) -> dict[str, WeightsEntry]:
    path = folder / REGISTRY
    try:
        entries = [WeightsEntry(**fields) for fields in json.loads(path.read_text())["weights"]]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MethodError(
            f"cannot read the registry of weights `{path}`: {error}",
            hint="remove it and add the weights again with `hqgen weights add`",
        ) from error
    return {entry.name: _moved(entry, folder / entry.file) for entry in entries}


def _write_registry(folder: Path, entries: Mapping[str, WeightsEntry]) -> None:
    """Write `weights.json` whole or not at all."""
    moved = [_moved(entries[name], Path(entries[name].file.name)) for name in sorted(entries)]
    document = {"weights": [asdict(entry) | {"file": str(entry.file)} for entry in moved]}
    temporary = folder / f".{REGISTRY}.{os.getpid()}"
    temporary.write_text(json.dumps(document, indent=1) + "\n")
    temporary.replace(folder / REGISTRY)


def _moved(entry: WeightsEntry, file: Path) -> WeightsEntry:
    return WeightsEntry(**{**asdict(entry), "file": file})
