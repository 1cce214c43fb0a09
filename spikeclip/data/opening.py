"""From what a user names to the low-light set and the settings that go with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hqgen.errors import UsageError
from hqgen.progress import SILENT, Observer

if TYPE_CHECKING:
    from spikeclip.data.lowlight import LowLightSet

__all__ = ["DEMO", "dataset_under", "demo_settings", "merged", "open_spikes"]

DEMO = "demo"

DEMO_TRAINING: dict[str, Any] = {
    "crop": 64,
    "clip": {"model": "small"},
    "coarse": {"epochs": 24, "batch": 8, "learning_rate": 1e-3},
    "prompt": {"epochs": 2, "batch": 8, "learning_rate": 1e-3},
    "fine": {"epochs": 6, "batch": 8, "learning_rate": 1e-4},
}
"""What a training on the demo has where nothing else is said: with 64 samples, the paper's small steps would
take hundreds of epochs, and the demo must run where the published CLIP is not."""


def demo_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a training on the demo: `values`, and those of `DEMO_TRAINING` where it has none."""
    # A CLIP that was named is taken as it is: the demo's is another model.
    usual = {name: value for name, value in DEMO_TRAINING.items() if name != "clip" or not values.get("clip")}
    return merged(usual, values)


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables of settings with some values changed; keys are written with `_` or `-`."""
    result = {key.replace("-", "_"): value for key, value in values.items()}
    for key, value in changes.items():
        own = result.get(key.replace("-", "_"))
        tables = isinstance(value, Mapping) and isinstance(own, Mapping)
        result[key.replace("-", "_")] = merged(own, value) if tables else value  # type: ignore[arg-type]
    return result


def dataset_under(data_root: Path) -> str:
    """The folder of the one labelled dataset of the catalog that lies under the data root.

    Raises:
        UsageError: none lies there, or several.
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


def open_spikes(
    spikes: str, prepared: Path, entry: str | None = None, observer: Observer = SILENT
) -> LowLightSet:
    """Open the low-light set that a user names.

    Args:
        spikes: a low-light set, a folder of labelled recordings, or `demo`.
        prepared: where the set lies, or goes, that is made of recordings or of the demo.
        entry: the catalog's name for the dataset in the folder; None: see `spikeclip.data.lowlight.prepare`.
        observer: is told how it goes on.

    Raises:
        HqgenError: see `spikeclip.data.lowlight.open_low_light` and `prepare`.
        UsageError: several processes share a training, and the set is not prepared yet.
    """
    from spikeclip.data.lowlight import open_low_light
    from spikeclip.data.prepare import prepare

    if spikes != DEMO and (Path(spikes) / "zarr.json").is_file():
        return open_low_light(spikes)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not prepared.is_dir():
        raise UsageError(
            f"`{spikes}` is no low-light set, and the processes of one training cannot all make it",
            hint="make it once with `spikeclip prepare`, and name it in `--spikes`",
        )
    if spikes == DEMO:
        from spikeclip.data.simulated import demo_low_light

        return demo_low_light(prepared, observer=observer)
    return prepare(Path(spikes), prepared, entry=entry, observer=observer)
