"""From what a user names to the low-light set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hqgen.errors import UsageError
from hqgen.progress import SILENT, Observer
from spikeclip.data.settings import DEMO

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from spikeclip.data.lowlight import LowLightSet


def dataset_under(data_root: Path) -> str:
    """The folder of the one labelled dataset of the catalog that is under the data root.

    Raises:
        UsageError: there is no such dataset, or several.
    """
    from hqgen.sources import load_catalog

    names = [entry.folder for entry in load_catalog().values() if entry.labels and entry.folder]
    found = [name for name in names if (data_root / name).is_dir()]
    if len(found) != 1:
        there = f"holds both {' and '.join(found)}" if found else f"holds none of {', '.join(names)}"
        raise UsageError(
            f"no low-light data were named, and the data root `{data_root}` {there}",
            hint="name a low-light set or a folder of labelled recordings with `--spikes`, or try it with "
            "`--spikes demo`",
        )
    return str(data_root / found[0])


def is_prepared(spikes: str | Path) -> bool:
    """Whether what a user names is a low-light set already, of which nothing has to be made."""
    return spikes != DEMO and (Path(spikes) / "zarr.json").is_file()


def announce(spikes: str | Path, entry: str | None = None) -> LowLightSet:
    """The low-light set that `open_low_light` will make, without its samples: only headers are read.

    Raises:
        HqgenError: as `open_low_light`.
    """
    from spikeclip.data.announced import announced_demo, announced_recordings
    from spikeclip.data.lowlight import open_prepared

    if is_prepared(spikes):
        return open_prepared(spikes)
    return announced_demo() if spikes == DEMO else announced_recordings(Path(spikes), entry)


def open_low_light(
    spikes: str | Path,
    prepared: str | Path = "low-light.zarr",
    entry: str | None = None,
    observer: Observer = SILENT,
    pool: Executor | None = None,
) -> LowLightSet:
    """Open a low-light set, or make it of labelled recordings where it is not there yet.

    Args:
        spikes: a low-light set (`spikeclip prepare`, `simulate`), a folder of labelled recordings, or `demo`.
        prepared: where the set goes that is made of recordings or of the demo; the next call opens it there.
        entry: the catalog's name for the dataset in the folder, `u-caltech` or `u-cifar`;
            None: see `prepare`.
        observer: gets the progress; `hqgen.progress.stderr_observer()` shows it.
        pool: decodes or simulates the samples; None for threads of this process.

    Returns:
        Packed spikes uint8 (N, T, bytes) with labels, in the splits `train` and `test`.

    Raises:
        HqgenError: see `spikeclip.data.lowlight.open_prepared` and `spikeclip.data.prepare.prepare`.
        UsageError: several processes share a training, and the set is not prepared yet.
    """
    from spikeclip.data.lowlight import open_prepared
    from spikeclip.data.prepare import prepare

    if is_prepared(spikes):
        return open_prepared(spikes)
    prepared = Path(prepared)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not prepared.is_dir():
        raise UsageError(
            f"`{spikes}` is not a low-light set, and the processes of one training cannot all make it",
            hint="make it once with `spikeclip prepare`, and name it in `--spikes`",
        )
    if spikes == DEMO:
        from spikeclip.data.simulated import demo_low_light

        return demo_low_light(prepared, observer=observer, pool=pool)
    return prepare(Path(spikes), prepared, entry=entry, observer=observer, pool=pool)
