"""The report of a training: one file that holds all, at any time of a training."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spikeclip.training.report import FRAMES, LINE_POINTS, panels, renew_report, spread, write_report
from spikeclip.training.status import Frame, read_status
from tests.report.test_html import Page
from tests.spikeclip.training.folders import (
    CLASSES,
    HOSTILE,
    SIDE,
    STEPS,
    announce,
    begin,
    complete,
    evaluate,
    learn,
    say,
)


def page(folder: Path, *, running: bool = False) -> Page:
    write_report(folder, running=running)
    return Page((folder / "report.html").read_text())


def whole(folder: Path) -> Path:
    """The folder of a complete training, whose names nobody should run."""
    files = begin(folder / f"run {HOSTILE}".replace("/", ""), note=HOSTILE)
    for stage in ("coarse", "prompt", "fine"):
        complete(files, stage, 2)
    evaluate(files.path)
    say(files, f"error: {HOSTILE}")
    return files.path


def test_a_complete_training_is_one_file_that_needs_nothing_else(tmp_path: Path) -> None:
    folder = whole(tmp_path)
    found = page(folder)
    assert all(link.startswith(("data:image/webp;base64,", "#")) for link in found.links)
    assert found.tags.count("script") == 1
    text = (folder / "report.html").read_text()
    assert "default-src 'none'" in text
    style = text.split("</style>")[0]
    assert "@import" not in style
    assert "url(" not in style
    for words in ("complete, 3 stages in 12 s", "2 of 2", "Learning curves", "Evaluation", "acc", "50.00"):
        assert words in found.words
    assert found.words.count("held-out samples") == 3
    assert found.words.count("learning rate") >= 3


def test_names_are_text_everywhere(tmp_path: Path) -> None:
    found = page(whole(tmp_path))
    assert found.tags.count("img") == 0
    assert found.tags.count("script") == 1
    assert found.words.count(HOSTILE) > 4  # folder, class, setting, row of the table, log


def test_the_pictures_of_each_epoch_are_in_it(tmp_path: Path) -> None:
    folder = whole(tmp_path)
    write_report(folder, running=False)
    text = (folder / "report.html").read_text()
    for name in ("coarse, epoch 1", "coarse, epoch 2", "fine, epoch 1", "fine, epoch 2", "TFI"):
        assert f'data-name="{name}"' in text
    source = text.split('data-name="fine, epoch 2" data-picture="data:image/webp;base64,')[1].split('"')[0]
    shown = Image.open(io.BytesIO(base64.b64decode(source)))
    assert shown.size == (len(CLASSES) * SIDE, SIDE)
    np.testing.assert_array_equal(
        np.asarray(shown), np.asarray(Image.open(folder / "pictures/small/fine-02.webp"))
    )


@pytest.mark.parametrize("steps", [None, 0, 2, STEPS, STEPS + 2])
def test_a_training_that_has_just_begun_has_a_report(tmp_path: Path, steps: int | None) -> None:
    files = begin(tmp_path / "run")
    if steps is not None:
        announce(files, "coarse", 3)
    if steps:
        learn(files, "coarse", 3, steps)
    found = page(files.path, running=True)
    assert "running" in found.words
    assert "It was running when this page was written" in found.words
    assert ("no steps yet" in found.words) == (not steps)
    assert ("no pictures yet" in found.words) == ((steps or 0) < STEPS)


def test_a_stopped_training_says_why(tmp_path: Path) -> None:
    files = begin(tmp_path / "run")
    learn(files, "coarse", 3, STEPS)
    assert "The same command again continues it." in page(files.path).words
    say(files, "error: the loss `total` is nan")
    words = page(files.path).words
    assert "stopped, stage coarse, epoch 1 of 3, 33 %" in words
    assert "The last run ended with an error: the loss `total` is nan" in words


def test_damaged_files_are_named_in_the_page(tmp_path: Path) -> None:
    folder = whole(tmp_path)
    (folder / "table.json").write_text("{")
    (folder / "pictures/small/fine-02.webp").write_bytes(b"")
    words = page(folder).words
    assert "table.json` cannot be read" in words
    assert "complete, 3 stages" in words
    assert "no pictures yet" not in words


def test_it_is_renewed_only_where_no_training_does_that(tmp_path: Path) -> None:
    files = begin(tmp_path / "run")
    renew_report(files.path)
    assert not files.report.exists()
    write_report(files.path, running=False)
    before = files.report.read_text()
    evaluate(files.path)
    with files.locked():
        renew_report(files.path)
    assert files.report.read_text() == before
    renew_report(files.path)
    assert "Evaluation" in files.report.read_text()


def test_many_epochs_are_spread_and_the_first_and_the_last_are_there() -> None:
    frames = [Frame(str(number), "", Path(), "") for number in range(1000)]
    shown = [int(frame.name) for frame in spread(frames, FRAMES)]
    assert len(set(shown)) == FRAMES
    assert (shown[0], shown[-1]) == (0, 999)
    assert spread(frames[:3], FRAMES) == frames[:3]


def test_a_long_curve_is_drawn_with_means_of_neighbours(tmp_path: Path) -> None:
    files = begin(tmp_path / "run")
    learn(files, "coarse", 1000, 1000 * STEPS)
    drawn = list(panels(read_status(files.path).stages[0]))
    points = drawn[0].split('<polyline class="first" points="')[1].split('"')[0].split()
    assert LINE_POINTS / 2 < len(points) <= LINE_POINTS


def test_forty_epochs_stay_small(tmp_path: Path) -> None:
    files = begin(tmp_path / "run", stages=["coarse"])
    complete(files, "coarse", 60)
    write_report(files.path, running=False)
    assert files.report.stat().st_size < 400_000
    assert files.report.read_text().count("data-picture") == FRAMES + 1
