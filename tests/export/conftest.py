"""Stores to export: keys that no file may have, several recordings, samples without a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hqgen.export.run import Exported, export_store
from hqgen.export.settings import ExportSettings
from hqgen.manifest import Manifest, RecordingSpec, SampleSpec
from tests.builder.small import Recorder
from tests.made import manifest, sample, write

UGLY = ("a/1", "A/1", "a.1", 'it"s', "<img src=x onerror=alert(1)>", "ü" * 60, "-rf", "=2F", "a|b\x1b[31m")
"""Ends of keys."""

RECORDINGS = 6


def spread(made: Manifest, recordings: int = RECORDINGS) -> Manifest:
    """The same samples, in several recordings by turns."""
    specs = tuple(
        spec.model_copy(
            update={
                "recordings": tuple(
                    RecordingSpec(path=f"{number}.dat", size=1, blake3=f"{spec.name}{number}", frames=50)
                    for number in range(recordings)
                ),
                "samples": tuple(
                    SampleSpec(key=item.key, recording=row % recordings, centre=row)
                    for row, item in enumerate(spec.samples)
                ),
            }
        )
        for spec in made.plan.sources
    )
    plan = made.plan.model_copy(update={"sources": specs})
    return made.model_copy(update={"plan": plan, "plan_id": plan.id})


@pytest.fixture(scope="session")
def ugly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of two sources; of 15 samples 13 have a picture."""
    one = [sample(f"one/{key}", 4.0 + row, 5.0) for row, key in enumerate(UGLY)]
    two = [sample(f"two/{row}", 3.0 + row, 3.1) for row in range(4)]
    sources = {"one": [*one, sample("one/dark", None, None)], "two": [*two, sample("two/dark", None, None)]}
    return write(spread(manifest(sources)), tmp_path_factory.mktemp("ugly"))


@pytest.fixture
def export(ugly: Path, tmp_path: Path) -> Callable[..., Exported]:
    """Exports the ugly store, or another one, into `tmp_path/set`."""

    def run(to: str, path: Path = ugly, observer: Recorder | None = None, **changes: Any) -> Exported:
        settings: dict[str, Any] = {"to": to, "out": tmp_path / "set"} | changes
        return export_store(path, ExportSettings(**settings), observer or Recorder())

    return run
