"""What the folder of a training says about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hqgen.errors import TrainingError
from hqgen.files import held
from spikeclip.training.status import is_training, read_status
from tests.spikeclip.training.folders import STEPS, announce, begin, complete, evaluate, learn, say


def test_a_folder_that_is_not_there_has_no_training(tmp_path: Path) -> None:
    found = read_status(tmp_path / "gone")
    assert (found.state, found.stages, found.current, found.frames) == ("absent", [], None, [])
    assert found.problems == []
    assert not is_training(tmp_path / "gone")
    (tmp_path / "file").touch()
    assert read_status(tmp_path / "file").state == "absent"


def test_the_lock_says_whether_it_runs(tmp_path: Path) -> None:
    files = begin(tmp_path / "run")
    assert is_training(files.path)
    assert read_status(files.path).state == "stopped"
    with files.locked():
        assert read_status(files.path).state == "running"
        assert read_status(files.path, running=False).state == "stopped"
    assert read_status(files.path).state == "stopped"


def test_who_watches_does_not_keep_a_training_from_beginning(tmp_path: Path) -> None:
    """Others may look at the lock at the moment when a training takes it."""
    import fcntl
    import threading

    files = begin(tmp_path / "run")
    files.lock.touch()
    with files.lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        threading.Timer(0.03, lambda: fcntl.flock(file, fcntl.LOCK_UN)).start()
        with held(files.lock, files.path, "training", TrainingError):
            assert read_status(files.path).state == "running"


def test_it_is_complete_when_all_stages_of_its_settings_are(tmp_path: Path) -> None:
    files = begin(tmp_path / "run", stages=["coarse", "fine"])
    complete(files, "coarse", 2)
    assert read_status(files.path).state == "stopped"
    complete(files, "fine", 1)
    found = read_status(files.path)
    assert found.state == "complete"
    assert [stage.name for stage in found.stages] == ["coarse", "fine"]


def test_a_stage_knows_how_far_and_how_fast_it_is(tmp_path: Path) -> None:
    files = begin(tmp_path / "run")
    complete(files, "coarse", 2)
    announce(files, "prompt", 3)
    found = read_status(files.path)
    assert found.current is found.stages[1]
    assert (found.stages[1].step, found.stages[1].steps, found.stages[1].epochs) == (0, 3 * STEPS, 3)
    assert (found.stages[1].rate, found.stages[1].left) == (None, None)
    learn(files, "prompt", 3, STEPS + 2)
    stage = read_status(files.path).stages[1]
    assert (stage.step, stage.seconds, stage.device) == (6, 3.0, "cpu")
    assert (stage.rate, stage.left) == (2.0, 3.0)
    assert stage.best is not None
    assert (stage.best.epoch, stage.best.held_out) == (1, 0.25)
    assert not read_status(files.path).stages[2].begun
    assert read_status(files.path).stages[0].left is None


def test_the_first_point_alone_gives_a_rate(tmp_path: Path) -> None:
    files = begin(tmp_path / "run")
    learn(files, "coarse", 2, 2)
    assert read_status(files.path).stages[0].rate == 2.0


def test_pictures_are_those_of_the_epochs_in_the_curve(tmp_path: Path) -> None:
    """A longer training, which was in the folder before, may have left others."""
    files = begin(tmp_path / "run")
    learn(files, "coarse", 4, 3 * STEPS)
    learn(files, "coarse", 4, 2 * STEPS)
    found = read_status(files.path)
    assert [frame.name for frame in found.frames] == ["coarse, epoch 1", "coarse, epoch 2"]
    assert [frame.name for frame in found.references] == ["TFI"]
    assert len({frame.version for frame in found.frames}) == 2


def test_an_error_is_that_of_the_last_run(tmp_path: Path) -> None:
    files = begin(tmp_path / "run")
    say(files, "error: the loss `total` is nan")
    assert read_status(files.path).error == "the loss `total` is nan"
    say(files, "2026-11-30 11:00:00 UTC, hqgen 1.0")
    found = read_status(files.path)
    assert found.error == ""
    assert list(found.log[-2:]) == ["error: the loss `total` is nan", "2026-11-30 11:00:00 UTC, hqgen 1.0"]


def test_of_a_long_log_the_end_is_read(tmp_path: Path) -> None:
    files = begin(tmp_path / "run")
    for number in range(2000):
        say(files, f"coarse: {number}/2000 steps")
    found = read_status(files.path).log
    assert len(found) == 15
    assert found[-1] == "coarse: 1999/2000 steps"


def test_tables_are_found_in_the_folder_and_right_below(tmp_path: Path) -> None:
    files = begin(tmp_path / "run")
    evaluate(files.path)
    evaluate(files.path / "evaluation")
    assert list(read_status(files.path).tables) == ["table.json", "evaluation/table.json"]


@pytest.mark.parametrize(
    ("place", "content"),
    [
        ("config.toml", b"[train"),
        ("config.toml", b"[other]"),
        ("table.json", b'{"rows": 3}'),
        ("coarse/curve.csv", b"step,epoch\n1,2\n"),
        ("coarse/curve.csv", b"\xff\xfe"),
        ("coarse/curve.csv", b"step,epoch,total,validation,seconds\n2,1,nan,,1.0\n"),
        ("coarse/curve.csv", b"step,epoch,total,validation,seconds\n2,1,0.5\n"),
        ("coarse/record.json", b"{}"),
        ("coarse/schedule.json", b""),
        ("pictures/small/samples.json", b"[1, 2]"),
    ],
)
def test_what_is_damaged_is_named_and_the_rest_is_read(tmp_path: Path, place: str, content: bytes) -> None:
    files = begin(tmp_path / "run")
    complete(files, "coarse", 1)
    evaluate(files.path)
    (files.path / place).write_bytes(content)
    found = read_status(files.path)
    (problem,) = found.problems
    assert problem.startswith(f"`{files.path / place}` cannot be read: ")
    assert "\n" not in problem
    assert found.log


def test_a_curve_of_an_older_version_has_no_learning_rate(tmp_path: Path) -> None:
    files = begin(tmp_path / "run")
    announce(files, "coarse", 1)
    files.stage("coarse").curve.write_text("step,epoch,coarse,validation,seconds\n4,1,0.5,0.25,2.0\n")
    (point,) = read_status(files.path).stages[0].points
    assert (point.losses, point.held_out, point.learning_rate) == ({"coarse": 0.5}, 0.25, None)
