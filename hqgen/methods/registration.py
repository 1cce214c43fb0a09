"""Register published weights for a method, and check the registered ones."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hqgen.checkpoints import existing_file, load_weights
from hqgen.errors import MethodError
from hqgen.files import sha256_file, weights_folder
from hqgen.methods.weights import WeightsEntry, read_registry, write_registry

if TYPE_CHECKING:
    from hqgen.methods.base import OutputScale
    from hqgen.methods.learned.network import NetworkMethod


def add_weights(
    file: str | Path,
    method: NetworkMethod,
    *,
    licence: str | None = None,
    source: str = "",
    brightness: OutputScale | None = None,
    sha256: str | None = None,
    folder: str | Path | None = None,
) -> WeightsEntry:
    """Copy a checkpoint into the user's folder and register it for `method`.

    An earlier entry for the same weights is replaced. The copy is loaded into the method's network first: a
    file that does not fit is not registered.

    Args:
        file: the checkpoint.
        method: the method, with the parameters (such as a variant) that the weights were trained for.
        licence: of the weights; by default that of the published ones.
        source: where they come from; by default the file's name.
        brightness: scale of the output with these weights; by default that of the published ones.
        sha256: the expected digest of the file; None checks nothing.
        folder: see `weights_folder`.

    Raises:
        MethodError: the file does not fit, or the folder cannot be written.
    """
    target = weights_folder(folder)
    name = method.weights_name
    try:
        target.mkdir(parents=True, exist_ok=True)
        entries = read_registry(target)
        with tempfile.TemporaryDirectory(dir=target, prefix=".adding-") as temporary:
            copy = Path(temporary) / "checkpoint"
            shutil.copyfile(existing_file(Path(file)), copy)
            load_weights(method.network(), copy, sha256, shown=Path(file))
            digest = sha256_file(copy)
            # The digest is part of the name: a build may still read the file that was registered before.
            kept = target / f"{name}-{digest[:12]}.pth"
            copy.replace(kept)
        entry = WeightsEntry(
            name,
            kept,
            digest,
            licence or method.weights_licence,
            source or Path(file).name,
            brightness or method.output,
        )
        write_registry(target, entries | {name: entry})
    except OSError as error:
        raise MethodError(
            f"cannot write the weights folder `{target}`: {error.strerror}",
            hint="choose another one with --weights-dir or HQGEN_WEIGHTS",
        ) from error
    return entry


def check_weights(method: NetworkMethod) -> None:
    """Read all of the weights of `method` again: digest, names, shapes, values.

    Raises:
        MethodError: they are missing, have changed since they were added, or do not fit.
    """
    path, sha256 = method.checkpoint()
    load_weights(method.network(), path, sha256)
