"""Verdicts that a store has not applied: an export has the pictures that `hqgen curate apply` would make."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hqgen.builder.curate import apply_verdicts
from hqgen.builder.settings import CurateSettings
from hqgen.curation import Journal
from hqgen.errors import PlanMismatchError
from hqgen.export.run import Exported
from hqgen.manifest import read_manifest
from tests.builder.small import Recorder, build_again, settings_for, write_scenes

Export = Callable[..., Exported]


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """A manifest; sample 0 is overruled, 1 rejected, 2 marked, nothing is said of 3."""
    build_again(settings_for(write_scenes(tmp_path / "lab", 4), shard_size=2))
    path = tmp_path / "out/manifest.json"
    samples = read_manifest(path).sources[0].samples
    journal = Journal(path)
    journal.add("pick", [samples[0].key], method={"tfp": "tfi", "tfi": "tfp"}[str(samples[0].method)])
    journal.add("reject", [samples[1].key])
    journal.add("mark", [samples[2].key])
    return path


def exported(folder: Path) -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Pictures and metadata, by file."""
    rows = [json.loads(line) for line in (folder / "train/metadata.jsonl").read_text().splitlines()]
    return {
        name: (np.asarray(Image.open(folder / "train" / name).copy()), row)
        for row in rows
        if (name := row.pop("file_name"))
    }


@pytest.mark.parametrize("bits", [8, 16])
def test_picks_are_used_as_if_they_were_applied(
    export: Export, judged: Path, tmp_path: Path, bits: int
) -> None:
    export("imagefolder", path=judged, bits=bits)
    apply_verdicts(judged, CurateSettings(out=tmp_path / "curated"), Recorder())
    curated = tmp_path / "curated/manifest.json"
    export("imagefolder", path=curated, bits=bits, out=tmp_path / "later")
    now, later = exported(tmp_path / "set"), exported(tmp_path / "later")
    assert list(now) == list(later)
    assert len(now) == 3
    for name, (picture, row) in now.items():
        np.testing.assert_array_equal(picture, later[name][0])
        assert row == later[name][1]
    assert [row["verdict"] for _, row in now.values()] == ["pick", "mark", None]
    first = next(iter(now.values()))[1]
    assert first["margin"] < 0
    with Image.open(tmp_path / "set/train" / next(iter(now))) as image:
        assert image.text["hqgen:verdict"] == "pick"  # type: ignore[attr-defined]


def test_without_curation_the_winners_leave(export: Export, judged: Path, tmp_path: Path) -> None:
    export("imagefolder", path=judged, curation="ignore")
    manifest = read_manifest(judged)
    rows = [row for _, row in exported(tmp_path / "set").values()]
    assert [row["method"] for row in rows] == [item.method for item in manifest.sources[0].samples]
    assert {row["verdict"] for row in rows} == {None}


def test_another_verdict_is_another_export(export: Export, judged: Path) -> None:
    export("imagefolder", path=judged)
    Journal(judged).add("clear", [read_manifest(judged).sources[0].samples[0].key])
    with pytest.raises(PlanMismatchError, match="holds another export"):
        export("imagefolder", path=judged)
