from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hqgen.checkpoints import load_weights
from hqgen.errors import MethodError, SourceError, UsageError, WeightsError
from hqgen.methods.learned.base import Base
from hqgen.training import base as trainer
from hqgen.training.base import train_base
from hqgen.training.loop import Point
from hqgen.training.recipe import Phase, Recipe
from tests.builder.small import Recorder
from tests.training.runs import Killed, assert_same, stop_after, weights

RECIPE = Recipe(
    warm_up=2,
    cool_down=3,
    validate_every=4,
    phases=(Phase(steps=6, batch=2, patch=16), Phase(steps=3, batch=1, patch=32)),
)


@pytest.fixture(autouse=True)
def small_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "VALIDATION", (2, 32))


def steps_done(out: Path) -> int:
    return int(torch.load(out.with_suffix(".checkpoint"), weights_only=True)["step"])


def without_time(curve: list[Point]) -> list[tuple[int, float, float]]:
    return [(point.step, point.losses["loss"], point.validation["psnr"]) for point in curve]


def test_two_runs_of_one_seed_give_equal_weights_and_another_seed_others(
    pictures: Path, tmp_path: Path
) -> None:
    for name, recipe in (("a", RECIPE), ("b", RECIPE), ("c", RECIPE.model_copy(update={"seed": 1}))):
        train_base(pictures, tmp_path / name, recipe)
    assert_same(tmp_path / "a", tmp_path / "b")
    with pytest.raises(AssertionError):
        assert_same(tmp_path / "a", tmp_path / "c")


def test_stopped_and_resumed_training_ends_like_one_that_ran_through(pictures: Path, tmp_path: Path) -> None:
    through = train_base(pictures, tmp_path / "through.pth", RECIPE)
    out = tmp_path / "stopped.pth"
    for more, steps in ((1, 1), (3, 4), (1, 5), (3, 8)):
        train_base(pictures, out, RECIPE, stop=stop_after(more))
        assert steps_done(out) == steps
        assert not out.exists()
    resumed = train_base(pictures, out, RECIPE)
    assert_same(out, tmp_path / "through.pth")
    assert without_time(resumed) == without_time(through)
    assert [point.seconds for point in resumed] == sorted(point.seconds for point in resumed)


def test_killed_training_goes_on_from_its_last_point(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_base(pictures, tmp_path / "killed.pth", RECIPE, observer=Killed())
    assert steps_done(tmp_path / "killed.pth") == 4
    train_base(pictures, tmp_path / "killed.pth", RECIPE)
    train_base(pictures, tmp_path / "through.pth", RECIPE)
    assert_same(tmp_path / "killed.pth", tmp_path / "through.pth")


def test_result_is_weights_of_base_and_its_learning_curve(pictures: Path, tmp_path: Path) -> None:
    seen = Recorder()
    out = tmp_path / "new" / "base.pth"
    curve = train_base(pictures, out, RECIPE, observer=seen)
    assert seen.totals == seen.done == {"base": 9}
    assert [step for step, _ in seen.told["base"]] == [4, 8, 9]
    assert seen.told["base"][0][1] == "epoch 1, loss {loss:.4g}, psnr {psnr:.4g}".format(
        **curve[0].losses, **curve[0].validation
    )
    load_weights(Base().network(), out)
    assert all(tensor.dtype == torch.float16 for tensor in weights(out).values())
    with out.with_suffix(".csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [point.step for point in curve]
    psnr = [point.validation["psnr"] for point in curve]
    assert [float(row["psnr_db"]) for row in rows] == pytest.approx(psnr, abs=1e-3)
    assert sorted(path.name for path in out.parent.iterdir()) == ["base.csv", "base.pth"]


def test_longer_training_starts_like_a_shorter_one(pictures: Path, tmp_path: Path) -> None:
    short = RECIPE.model_copy(update={"cool_down": 0})
    long = short.model_copy(update={"phases": (*short.phases, Phase(steps=1, batch=1, patch=16))})
    one = train_base(pictures, tmp_path / "short.pth", short)
    other = train_base(pictures, tmp_path / "long.pth", long)
    assert without_time(other)[:2] == without_time(one)[:2]


def test_training_lowers_the_loss(pictures: Path, tmp_path: Path) -> None:
    recipe = Recipe(warm_up=5, cool_down=0, validate_every=10, phases=(Phase(steps=40, batch=2, patch=24),))
    curve = train_base(pictures, tmp_path / "base.pth", recipe)
    assert curve[-1].losses["loss"] < 0.8 * curve[0].losses["loss"]


def test_small_network_is_trained_where_the_recipe_asks_for_it(pictures: Path, tmp_path: Path) -> None:
    train_base(pictures, tmp_path / "small.pth", RECIPE.model_copy(update={"size": "small"}))
    load_weights(Base(size="small").network(), tmp_path / "small.pth")
    with pytest.raises(MethodError):
        load_weights(Base(size="large").network(), tmp_path / "small.pth")


def test_a_phase_can_minimise_the_squared_error(pictures: Path, tmp_path: Path) -> None:
    phases = {loss: (Phase(steps=1, batch=2, patch=16, loss=loss),) for loss in ("absolute", "squared")}
    first = {
        loss: train_base(pictures, tmp_path / f"{loss}.pth", RECIPE.model_copy(update={"phases": phase}))[0]
        for loss, phase in phases.items()
    }
    absolute, squared = (first[loss].losses["loss"] for loss in ("absolute", "squared"))
    assert absolute**2 <= squared < absolute


def test_training_can_begin_with_weights(pictures: Path, tmp_path: Path) -> None:
    first = tmp_path / "first.pth"
    train_base(pictures, first, RECIPE)
    idle = RECIPE.model_copy(update={"learning_rate": 1e-9})
    train_base(pictures, tmp_path / "second.pth", idle, start=first)
    torch.testing.assert_close(weights(tmp_path / "second.pth"), weights(first), rtol=0, atol=1e-5)


def test_weights_of_another_network_are_no_beginning(pictures: Path, tmp_path: Path) -> None:
    train_base(pictures, tmp_path / "small.pth", RECIPE.model_copy(update={"size": "small"}))
    with pytest.raises(MethodError):
        train_base(pictures, tmp_path / "base.pth", RECIPE, start=tmp_path / "small.pth")


def test_checkpoint_of_another_recipe_or_other_pictures_is_refused(pictures: Path, tmp_path: Path) -> None:
    out, fewer = tmp_path / "base.pth", tmp_path / "fewer"
    fewer.mkdir()
    for name in ("a.png", "c.png"):
        (fewer / name).write_bytes((pictures / name).read_bytes())
    train_base(pictures, out, RECIPE, stop=stop_after(1))
    for folder, recipe in ((pictures, RECIPE.model_copy(update={"ema": 0.9})), (fewer, RECIPE)):
        with pytest.raises(UsageError, match="belongs to a training with other settings or data"):
            train_base(folder, out, recipe)


def test_weights_that_are_there_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "base.pth").write_bytes(b"an hour of work")
    with pytest.raises(UsageError, match=r"`.*base.pth` is there already"):
        train_base(tmp_path, tmp_path / "base.pth", RECIPE)


@pytest.mark.parametrize("data", [b"", b"no checkpoint"])
def test_damaged_checkpoint_is_named(data: bytes, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "base.checkpoint").write_bytes(data)
    with pytest.raises(WeightsError, match=r"`.*base.checkpoint` is not a checkpoint"):
        train_base(pictures, tmp_path / "base.pth", RECIPE)


def test_one_picture_is_not_enough(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "only.png")
    with pytest.raises(SourceError, match="holds one picture"):
        train_base(tmp_path, tmp_path / "base.pth", RECIPE)


def test_global_random_state_is_left_alone(pictures: Path, tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    train_base(pictures, tmp_path / "base.pth", RECIPE)
    assert torch.equal(torch.rand(1), expected)
