from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import numpy
from rich.console import Console

import hqgen
from hqgen.report.doctor import doctor_view, examine


def test_findings_are_plain_json_and_true(tmp_path: Path) -> None:
    found = json.loads(json.dumps(examine(tmp_path)))
    assert found["versions"]["hqgen"] == hqgen.__version__
    assert found["versions"]["numpy"] == numpy.__version__
    assert found["machine"]["cores"] >= 1
    assert found["data"]["samples"] == {"demo": 12}
    assert "tfp" in found["methods"]["available"]
    assert all(found["methods"]["unavailable"].values())


def test_findings_are_shown_line_by_line(tmp_path: Path) -> None:
    console = Console(file=StringIO(), width=80)
    console.print(doctor_view(examine(tmp_path / "none")))
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert "versions: numpy" in text
    assert "machine: memory" in text
    assert "GB" in text
