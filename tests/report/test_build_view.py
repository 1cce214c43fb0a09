from __future__ import annotations

from io import StringIO
from pathlib import Path

from rich.console import Console, RenderableType

from hqgen.builder.estimate import estimate
from hqgen.builder.settings import BuildSettings
from hqgen.report.build_view import estimate_view, outcome_view
from tests.builder.small import Recorder, build_again, settings_for, write_scenes


def shown(view: RenderableType) -> str:
    console = Console(file=StringIO(), width=80)
    console.print(view)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def settings_of(tmp_path: Path) -> BuildSettings:
    folder = write_scenes(tmp_path / "recordings-of-a-rather-long-name", 3)
    (folder / "empty.dat").touch()
    return settings_for(folder)


def test_an_estimate_fits_80_columns_and_says_what_it_does_not_know(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    text = shown(estimate_view(estimate(settings, Recorder())))
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "not known before the recordings are read" in text
    assert "1 file cannot be used" in text
    assert "tfp" in text
    build_again(settings)
    assert "not known" not in shown(estimate_view(estimate(settings, Recorder())))


def test_an_outcome_counts_wins_and_what_gave_no_picture(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    text = shown(outcome_view(build_again(settings)))
    assert "3 samples from 1 source; 3 made now" in text
    assert "1 recordings or samples gave no picture" in text
    assert "nothing to do" in shown(outcome_view(build_again(settings)))
