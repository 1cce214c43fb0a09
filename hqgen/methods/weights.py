"""Trained weights: where their files are, and what is registered about them.

A folder of weights holds checkpoint files and a registry, `weights.json`. The registry gives for each file
the method, the sha256, the licence, the source and the scale of the output. There are two such folders: the
user's (`weights_folder`) and the one that ships with this package. If both have a name, the user's wins.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hqgen.errors import MethodError
from hqgen.files import weights_folder
from hqgen.text import why

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hqgen.methods.base import OutputScale

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
        licence: of the weights, in the words of their publisher.
        source: where they were published.
        brightness: scale of the network's output with these weights.
    """

    name: str
    file: Path
    sha256: str
    licence: str
    source: str
    brightness: OutputScale


def list_weights(folder: str | Path | None = None) -> list[WeightsEntry]:
    """All registered weights by name, the user's before the shipped ones.

    Raises:
        MethodError: a registry cannot be read.
    """
    entries = read_registry(SHIPPED) | read_registry(weights_folder(folder))
    return [entries[name] for name in sorted(entries)]


def find_weights(name: str) -> WeightsEntry | None:
    """The registered weights for `name`, or None; see `list_weights`."""
    return next((entry for entry in list_weights() if entry.name == name), None)


def read_registry(folder: Path) -> dict[str, WeightsEntry]:
    """The entries of a folder by name, with absolute files; empty without a registry.

    Raises:
        MethodError: the registry cannot be read.
    """
    path = folder / REGISTRY
    try:
        entries = [WeightsEntry(**fields) for fields in json.loads(path.read_text())["weights"]]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MethodError(
            f"cannot read the registry of weights `{path}`: {why(error)}",
            hint="remove it and add the weights again with `hqgen weights add`",
        ) from error
    return {entry.name: replace(entry, file=folder / entry.file) for entry in entries}


def write_registry(folder: Path, entries: Mapping[str, WeightsEntry]) -> None:
    """Write `weights.json` whole or not at all; the files are written without their folder."""
    rows = [asdict(entries[name]) | {"file": entries[name].file.name} for name in sorted(entries)]
    temporary = folder / f".{REGISTRY}.{os.getpid()}"
    temporary.write_text(json.dumps({"weights": rows}, indent=1) + "\n")
    temporary.replace(folder / REGISTRY)
