"""Small builds: frames of 96x104 pixels, one block of NIQE, made in milliseconds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hqgen.builder.finish import Outcome
from hqgen.builder.run import build
from hqgen.builder.settings import BuildSettings
from hqgen.progress import Job, Observer
from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.recording import write_dat

HEIGHT, WIDTH = 96, 104


def stream(seed: int, frames: int = 50, geometry: tuple[int, int] = (HEIGHT, WIDTH)) -> PackedSpikes:
    """A stream that gives a picture: random spikes at rates that form a pattern."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[: geometry[0], : geometry[1]]
    rate = 0.3 + 0.2 * np.sin(rows / (5 + seed % 3)) * np.cos(columns / 7) + 0.05 * generator.random()
    return PackedSpikes.pack(generator.random((frames, *geometry)) < rate)


def write_scenes(folder: Path, count: int) -> Path:
    """Make a folder of recordings with one sample each, `scene0.dat` and so on."""
    folder.mkdir()
    (folder / "source.toml").write_text(f"geometry = [{HEIGHT}, {WIDTH}]\n")
    for seed in range(count):
        write_dat(folder / f"scene{seed}.dat", stream(seed))
    return folder


def settings_for(recordings: Path, **changes: Any) -> BuildSettings:
    """Settings of a build of a folder in this process; it goes into `out` beside the folder."""
    values: dict[str, Any] = {
        "sources": (f"folder:{recordings}",),
        "data_root": recordings.parent,
        "out": recordings.parent / "out",
        "methods": "tfp,tfi",
        "judges": ("consistency",),
        "scheduler": "sync",
    }
    return BuildSettings(**(values | changes))


@dataclass
class Recorder(Observer):
    """An observer that remembers what it was told."""

    notes: list[str] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    told: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """What each job told, and how much was done then."""

    @contextmanager
    def progress(self, what: str, total: int, unit: str, done: int = 0) -> Iterator[Job]:
        recorder, self.done[what], self.totals[what], self.told[what] = self, done, total, []

        class Recorded(Job):
            def advance(self, amount: int = 1) -> None:
                recorder.done[what] += amount

            def tell(self, text: str, *, landmark: bool = False) -> None:
                recorder.told[what].append((recorder.done[what], text))

        yield Recorded()
        assert self.done[what] <= total

    def note(self, text: str) -> None:
        self.notes.append(text)


def build_again(settings: BuildSettings, **changes: Any) -> Outcome:
    """Build with some settings changed, telling nobody."""
    return build(settings.model_copy(update=changes), Recorder())


def content(out: Path) -> dict[str, bytes]:
    """All bytes of a build that must be equal between two builds of one plan: by path, without times."""
    files = {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted((out / "hq.zarr").rglob("*"))
        if path.is_file()
    }
    manifest = json.loads((out / "manifest.json").read_bytes())
    del manifest["times"], manifest["blake3"]
    return files | {"manifest": json.dumps(manifest).encode()}


def without_names(store: Path) -> None:
    """Make it a store of the time when axes had no names."""
    for file in store.rglob("zarr.json"):
        described = json.loads(file.read_bytes())
        if described.pop("dimension_names", None):
            file.write_text(json.dumps(described, indent=2))
