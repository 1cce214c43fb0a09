from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from hqgen.errors import UsageError
from hqgen.training.followers import Follower, TensorBoard, WeightsAndBiases


def picture() -> Image.Image:
    return Image.new("RGB", (24, 16), (200, 30, 30))


def show_two_points(follower: Follower) -> None:
    follower.show(1, {"coarse/loss": 0.5})
    follower.show(2, {"coarse/loss": 0.25, "coarse/held-out samples": 0.75}, picture())
    follower.close()


def test_tensorboard_holds_the_curve_and_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    show_two_points(TensorBoard(tmp_path, "coarse", 0))
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    points = [(event.step, event.value) for event in events.Scalars("coarse/loss")]
    assert points == [(1, 0.5), (2, 0.25)]
    assert [event.value for event in events.Scalars("coarse/held-out samples")] == [0.75]
    (image,) = events.Images("coarse/pictures")
    assert (image.step, image.width, image.height) == (2, 24, 16)


def _written(log: Path, last: bytes) -> bytes:
    """A log once it holds what comes last in it, or after half a minute whatever it holds."""
    end = time.monotonic() + 30
    while last not in (content := log.read_bytes()) and time.monotonic() < end:
        time.sleep(0.05)
    return content


def test_wandb_offline_keeps_the_curve_and_the_picture_in_the_folder(tmp_path: Path) -> None:
    wandb = pytest.importorskip("wandb")
    folder = tmp_path / "mine"
    folder.mkdir()
    show_two_points(WeightsAndBiases(folder, "coarse", {"seed": 12345}))
    wandb.teardown()  # another process writes the log; it ends here, and with it what it had not written yet
    (run,) = (folder / "wandb").glob("offline-run-*")
    assert run.name.endswith((folder / "coarse" / "wandb.id").read_text().strip())
    (log,) = run.glob("*.wandb")
    content = _written(log, b"coarse/held-out samples")
    for expected in (
        b"spikeclip",
        b"mine/coarse",
        b"12345",
        b"coarse/loss",
        b"coarse/held-out samples",
        b"0.25",
    ):
        assert expected in content
    (image,) = run.rglob("*.png")
    with Image.open(image) as shown:
        assert shown.size == (24, 16)


def test_a_training_that_continues_goes_on_in_the_same_wandb_run(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    WeightsAndBiases(tmp_path, "coarse", {}).close()
    first = (tmp_path / "coarse" / "wandb.id").read_text()
    follower = WeightsAndBiases(tmp_path, "coarse", {})
    assert follower.run.id == first.strip()
    follower.close()
    other = WeightsAndBiases(tmp_path, "fine", {})
    assert other.run.id != first.strip()
    other.close()


def test_a_run_that_wandb_refuses_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")

    def refuse(**_: object) -> None:
        raise wandb.errors.UsageError("No API key configured. Use `wandb login` to log in.")

    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(UsageError, match="Weights & Biases refuses the run: No API key") as caught:
        WeightsAndBiases(tmp_path, "coarse", {})
    assert "`wandb login` once" in caught.value.hint


def test_a_missing_program_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UsageError, match="Weights & Biases was asked for, but is not installed") as caught:
        WeightsAndBiases(tmp_path, "coarse", {})
    assert "`pip install hqgen[wandb]`" in caught.value.hint
