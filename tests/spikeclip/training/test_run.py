from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hqgen.errors import (
    PlanMismatchError,
    SourceError,
    StoreError,
    TrainingError,
    UnknownNameError,
    UsageError,
    WeightsError,
)
from hqgen.training.loop import Stop
from spikeclip.clip.files import save_clip
from spikeclip.data.lowlight import LowLightSet
from spikeclip.data.prepare import prepare
from spikeclip.networks import build, learned_gain, load_network, save_network
from spikeclip.training.folder import RunFolder
from spikeclip.training.run import train
from spikeclip.training.settings import STAGES, StageName, train_settings
from spikeclip.training.stage import Stage
from tests.builder.small import Recorder
from tests.report.test_html import Page
from tests.spikeclip.small import write_recordings
from tests.spikeclip.tiny_clip import tiny_clip, tiny_config

Train = Callable[..., RunFolder]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def clip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "tiny.pth"
    save_clip(path, tiny_clip().model, tiny_config(), meta={})
    return path


@pytest.fixture(scope="session")
def values(clip_file: Path) -> dict[str, Any]:
    """The settings of a training of 6 + 4 + 6 steps."""
    stage = {"epochs": 3, "batch": 4, "learning_rate": 1e-3}
    return {
        "crop": 16,
        "clip": {"model": "small", "weights": str(clip_file)},
        "log_every": 3,
        "coarse": stage,
        "prompt": stage | {"epochs": 2},
        "fine": stage,
    }


@pytest.fixture
def run(hq_store: Path, low_light: LowLightSet, values: dict[str, Any], tmp_path: Path) -> Train:
    """Trains into `tmp_path / out`; keywords with `__` change a stage's table."""

    def trained(
        out: str = "out", *, only: StageName | None = None, stop: Stop = lambda: False, **other: Any
    ) -> RunFolder:
        settings = json.loads(json.dumps(values))
        for key, value in other.items():
            table, _, name = key.rpartition("__")
            (settings[table] if table else settings)[name] = value
        return train([hq_store], low_light, train_settings(settings), tmp_path / out, only=only, stop=stop)

    return trained


@pytest.fixture(scope="session")
def done(
    hq_store: Path, low_light: LowLightSet, values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    """A training that ran through, not to be changed."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("done") / "out"
    return train([hq_store], low_light, train_settings(values), out)


def test_a_gain_is_learned_and_nothing_else(run: Train) -> None:
    """The result is an ordinary network: its last convolution alone has changed, by one factor."""
    rest = {"stages": ["coarse", "fine"], "fine__prompt_weight": 0, "fine__learning_rate": 0.05}
    folder = run(fine__learns="gain", **rest)
    coarse, scaled = (load_network(folder.stage(name).final) for name in ("coarse", "fine"))
    gain = learned_gain(folder.network)
    assert gain is not None
    assert abs(np.log(gain)) > 0.05
    assert learned_gain(folder.stage("coarse").final) is None
    voxel = torch.rand(1, 50, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(scaled(voxel), gain * coarse(voxel))
    changed = [key for key, value in scaled.state_dict().items() if not value.equal(coarse.state_dict()[key])]
    assert changed == ["4.weight", "4.bias"]
    with pytest.raises(PlanMismatchError, match="learns: gain -> none"):
        run(**rest)


def test_stage_fine_can_start_at_the_brightness_of_hq_pictures(run: Train) -> None:
    """The losses of a step that changes nothing are those of the coarse network, times one gain."""
    rest = {"stages": ["coarse", "fine"], "fine__prompt_weight": 0, "fine__learning_rate": 1e-12}
    folder = run(fine__start_gain="white", **rest)
    coarse, fine = (load_network(folder.stage(name).final) for name in ("coarse", "fine"))
    voxel = torch.rand(1, 50, 16, 16)
    with torch.no_grad():
        gains = fine(voxel) / coarse(voxel)
    assert gains.mean() > 3  # a white pixel of these recordings fires at 0.06
    torch.testing.assert_close(gains, gains.mean().expand_as(gains))
    with pytest.raises(PlanMismatchError, match="start gain: white -> none"):
        run(**rest)


def after(steps: int) -> Stop:
    """Stops once so many steps are done."""
    asked = iter(range(steps))
    return lambda: next(asked, steps) >= steps - 1


def finals(folder: RunFolder) -> dict[str, bytes]:
    return {
        name: folder.stage(name).final.read_bytes() for name in STAGES if folder.stage(name).final.exists()
    }


def curve(folder: RunFolder, stage: StageName) -> list[dict[str, str]]:
    with (folder.stage(stage).path / "curve.csv").open(newline="") as file:
        return [
            {key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)
        ]


def curves(folder: RunFolder) -> list[list[dict[str, str]]]:
    return [curve(folder, stage) for stage in STAGES]


def test_run_folder_holds_what_its_description_says(done: RunFolder) -> None:
    found = {str(path.relative_to(done.path)) for path in done.path.rglob("*") if path.is_file()}
    stages = {
        f"{stage}/{name}"
        for stage in STAGES
        for name in ("record.json", "final.pth", "best.pth", "schedule.json", "curve.csv", "curve.svg")
    }
    pictures = {f"pictures/{stage}-0{epoch}.png" for stage in ("coarse", "fine") for epoch in (1, 2, 3)}
    top = {"config.toml", "plan.json", "log.txt", "lock", "network.pth", "prompts.pth", "pictures/grid.png"}
    small = {f"pictures/small/{stage}-0{epoch}.webp" for stage in ("coarse", "fine") for epoch in (1, 2, 3)}
    small |= {f"pictures/small/{name}" for name in ("samples.json", "tfi.webp", "coarse.webp")}
    assert found == stages | pictures | small | top | {"report.html"}
    assert done.network.read_bytes() == done.stage("fine").final.read_bytes()
    assert done.prompts.read_bytes() == done.stage("prompt").final.read_bytes()
    network = load_network(done.network)
    assert (network.name, network.bins) == ("lrn", 50)
    assert "fine: 6/6 steps, epoch 3, total" in done.log.read_text()


def test_curve_has_a_point_every_few_steps_and_a_held_out_loss_at_each_epochs_end(
    done: RunFolder,
) -> None:
    rows = curve(done, "fine")
    assert [(row["step"], row["epoch"], row["validation"] != "") for row in rows] == [
        ("2", "1", True), ("3", "2", False), ("4", "2", True), ("6", "3", True),
    ]  # fmt: skip
    assert [float(row["total"]) for row in rows] == pytest.approx(
        [float(row["class"]) + 100 * float(row["prompt"]) for row in rows], rel=1e-4
    )


def test_best_is_what_the_record_says_it_is(done: RunFolder) -> None:
    for stage in STAGES:
        record = json.loads(done.stage(stage).record_path.read_text())
        held_out = [float(row["validation"]) for row in curve(done, stage) if row["validation"]]
        assert record["best_epoch"] == 1 + int(np.argmin(held_out))
        assert record["validation"] == pytest.approx(min(held_out), rel=1e-5)
        if record["best_epoch"] == len(held_out):
            assert done.stage(stage).best.read_bytes() == done.stage(stage).final.read_bytes()


def test_grid_shows_three_rows_of_six_samples(done: RunFolder) -> None:
    with Image.open(done.grid) as image:
        assert image.size == (76 + 6 * 166, 26 + 3 * 166)


def test_each_stage_learns(run: Train) -> None:
    folder = run(crop=32, coarse__epochs=6, prompt__epochs=4, fine__epochs=6)
    for stage, name in (("coarse", "coarse"), ("prompt", "initial"), ("fine", "total")):
        losses = [float(row[name]) for row in curve(folder, stage)]  # type: ignore[arg-type]
        assert losses[-1] < losses[0] - 0.05 * abs(losses[0]), stage


def test_only_the_prompts_learn_in_stage_two_and_only_the_network_in_stage_three(done: RunFolder) -> None:
    prompts = torch.load(done.prompts, weights_only=True)["state_dict"]
    assert set(prompts) == {"context"}
    assert not torch.equal(prompts["context"][0], prompts["context"][1])
    before, after = (load_network(done.stage(name).final).state_dict() for name in ("coarse", "fine"))
    assert all(not torch.equal(before[name], after[name]) for name in before)


def test_report_shows_the_whole_training(done: RunFolder) -> None:
    found = Page(done.report.read_text())
    assert "complete, 3 stages in" in found.words
    assert found.words.count("3 of 3") >= 2
    frames = [link for link in found.links if link.startswith("data:image/webp")]
    # The epochs, TFI and the end of stage coarse; the newest epoch and what is beside it are shown at first.
    assert len(frames) == 6 + 2 + 2
    assert len(set(frames)) == 6 + 1


def test_report_says_how_a_training_ended(run: Train, tmp_path: Path) -> None:
    folder = run(stop=after(3))
    said = Page(folder.report.read_text()).words
    assert "stopped, stage coarse, epoch 1 of 3" in said or "stopped, stage coarse, epoch 2 of 3" in said
    with pytest.raises(TrainingError, match="is nan"):
        run("other", coarse__learning_rate=1e30, bfloat16=False)
    said = Page((tmp_path / "other/report.html").read_text()).words
    assert "The last run ended with an error: training `coarse`, epoch" in said


def test_stopped_and_resumed_training_ends_bit_for_bit_like_one_that_ran_through(
    run: Train, done: RunFolder
) -> None:
    """Stopped within an epoch, at its end and at a stage's: after 1, 3, 6, 7, 10, 12 and 15 steps."""
    for steps in (1, 2, 3, 1, 3, 2, 3):
        folder = run(stop=after(steps))
        assert not folder.stage("fine").record_path.exists()
    folder = run()
    assert finals(folder) == finals(done)
    assert curves(folder) == curves(done)


RECIPES: dict[str, dict[str, Any]] = {
    "schedules": {
        "coarse__schedule": "cosine",
        "prompt__brightness": "random",
        "fine__schedule": "multistep",
        "fine__milestones": [0.3, 0.6],
        "fine__reduction": "sum",
        "padding": "reflect",
        "coarse__ema": 0.9,
        "prompt__ema": 0.5,
        "fine__ema": 0.9,
        "fine__patience": 1,
    },
    "quality": {
        "crop": 36,
        "coarse__target": "base",
        "prompt__crops": 1,
        "fine__crops": 2,
        "fine__quality_weight": 10,
        "fine__anchor_weight": 10,
        "fine__anchor": "base",
    },
}
"""Settings besides the paper's, each with something that a training must remember or draw again."""


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_goes_on_bit_for_bit(run: Train, recipe: str) -> None:
    through = run("through", **RECIPES[recipe])
    for steps in (3, 5, 5):  # within each of the stages
        run(stop=after(steps), **RECIPES[recipe])
    folder = run(**RECIPES[recipe])
    assert finals(folder) == finals(through)
    assert curves(folder) == curves(through)
    assert load_network(folder.network).padding == RECIPES[recipe].get("padding", "zeros")


def test_terms_and_targets_are_in_the_curve_and_the_plan(run: Train, low_light: LowLightSet) -> None:
    quality = {**RECIPES["quality"], "stages": ["fine"], "fine__prompt_weight": 0, "fine__epochs": 1}
    folder = run(**quality)
    (row,) = curve(folder, "fine")
    terms = ["total", "class", "quality", "anchor"]
    assert list(row) == ["step", "epoch", *terms, "validation", "learning-rate"]
    expected = float(row["class"]) + 10 * float(row["quality"]) + 10 * float(row["anchor"])
    assert float(row["total"]) == pytest.approx(expected, rel=1e-4)
    plan = json.loads(folder.stage("fine").record_path.read_text())["plan"]
    assert (plan["anchor"], plan["crops"], plan["base"]["frames_per_step"]) == ("base", 2, 4)
    kept = list(low_light.path.with_suffix(".base").rglob("train/*.npy"))
    assert len(kept) == len(low_light.split("train"))


def test_anchor_to_the_spikes_is_learned(run: Train) -> None:
    only = {"fine__prompt_weight": 0, "fine__class_weight": 0, "fine__anchor_weight": 1, "stages": ["fine"]}
    rows = curve(run(fine__epochs=8, fine__learning_rate=3e-3, **only), "fine")
    assert float(rows[-1]["anchor"]) < 0.9 * float(rows[0]["anchor"])


def test_mean_of_the_weights_is_judged_and_kept(run: Train) -> None:
    plain, mean = (run(name, only="coarse", coarse__ema=ema) for name, ema in (("a", 0.0), ("b", 0.999)))
    start = load_network(plain.stage("coarse").final).state_dict()
    kept = load_network(mean.stage("coarse").final).state_dict()
    assert any(not torch.equal(start[name], kept[name]) for name in start)
    rows = [curve(folder, "coarse") for folder in (plain, mean)]
    for left, right in zip(*rows, strict=True):  # the same is learned, another network is judged
        assert left["coarse"] == right["coarse"]
        assert not left["validation"] or left["validation"] != right["validation"]


def test_stage_ends_after_epochs_without_progress_and_keeps_its_best_one(run: Train) -> None:
    rising = {"coarse__learning_rate": 0.3, "coarse__epochs": 12, "bfloat16": False}
    through, early = (
        run(name, only="coarse", **rising, coarse__patience=n) for name, n in (("a", 12), ("b", 2))
    )
    whole, ends = (
        [float(row["validation"]) for row in curve(folder, "coarse") if row["validation"]]
        for folder in (through, early)
    )
    best = int(np.argmin(ends))
    assert (
        len(ends) == best + 3 < len(whole) == 12
    )  # two epochs later; fails if this training no longer suits
    assert ends == whole[: len(ends)]
    record = json.loads(early.stage("coarse").record_path.read_text())
    assert (record["best_epoch"], record["steps"]) == (best + 1, 2 * len(ends))
    for folder in (through, early):
        assert folder.stage("coarse").final.read_bytes() == folder.stage("coarse").best.read_bytes()
        assert folder.network.read_bytes() == folder.stage("coarse").best.read_bytes()


def test_crops_that_do_not_fit_are_found_before_the_first_stage(run: Train, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"crops of 32x32 pixels, .* do not fit into pictures of 16x16"):
        run(fine__crops=1)
    assert not (tmp_path / "out" / "coarse").exists()


def test_schedule_sets_the_rate_of_each_step(run: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps an epoch; the rates that the optimiser had."""
    rates: list[float] = []
    before = Stage.before_step

    def noted(self: Stage, step: int) -> None:
        before(self, step)
        rates.append(self.optimizer.param_groups[0]["lr"])

    monkeypatch.setattr(Stage, "before_step", noted)
    run("a", only="coarse", coarse__schedule="multistep", coarse__milestones=[0.3, 0.6], coarse__drop=0.5)
    run("b", only="coarse", coarse__schedule="cosine")
    assert rates[:6] == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4, 2.5e-4])
    assert rates[6:] == pytest.approx([1e-3 * (0.5 + 0.5 * np.cos(np.pi * step / 6)) for step in range(6)])


def test_the_curve_has_the_rate_of_each_points_last_step(run: Train) -> None:
    folder = run(only="coarse", coarse__schedule="multistep", coarse__milestones=[0.3, 0.6], coarse__drop=0.5)
    rates = {row["step"]: float(row["learning-rate"]) for row in curve(folder, "coarse")}
    assert rates == {"2": 1e-3, "3": 5e-4, "4": 5e-4, "6": 2.5e-4}


def test_small_pictures_are_those_of_the_grid_and_the_curve_is_written_within_an_epoch(
    run: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikeclip.training.stage.CURVE_EVERY", 0.0)
    folder = run(only="coarse", stop=after(3))  # in the middle of the second epoch
    assert [row["step"] for row in curve(folder, "coarse")] == ["2", "3"]
    classes = json.loads(folder.shown.read_text())["classes"]
    with Image.open(folder.small("coarse", 1)) as small, Image.open(folder.picture("coarse", 1)) as grid:
        side = small.height
        assert small.size == (len(classes) * side, side)
        shown = np.asarray(small.convert("L"), float)
        first = grid.convert("L").crop((76, 26 + 166, 76 + 160, 26 + 166 + 160)).resize((side, side), 0)
    assert np.abs(shown[:, :side] - np.asarray(first, float)).mean() < 8


def test_what_is_complete_is_not_done_again(run: Train, done: RunFolder, tmp_path: Path) -> None:
    shutil.copytree(done.path, tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/*.pth")}
    folder = run()
    assert {path: path.stat().st_mtime_ns for path in folder.path.glob("*/*.pth")} == times
    assert folder.log.read_text().count("stage `coarse` is complete") == 1


def test_stages_run_one_by_one_end_like_all_at_once(run: Train, done: RunFolder) -> None:
    for stage in STAGES:
        folder = run(only=stage)
    assert finals(folder) == finals(done)


def test_stage_before_which_others_are_missing_says_so(run: Train) -> None:
    with pytest.raises(UsageError, match="stage `fine` needs stage `coarse`, not complete in"):
        run(only="fine")
    with pytest.raises(UsageError, match="stage `prompt` is not among the stages of this training: coarse"):
        run(only="prompt", stages=["coarse"])


def test_other_settings_are_refused_with_the_difference_midway_and_at_the_end(run: Train) -> None:
    others: dict[str, dict[str, Any]] = {
        "  learning rate: 0.001 -> 0.002": {"coarse__learning_rate": 2e-3},
        "  seed: 0 -> 1": {"seed": 1},
        "  loss: l1 -> mse": {"bfloat16": False, "coarse__loss": "mse"},
    }
    for stop in (after(2), after(6)):
        run(stop=stop, only="coarse")
        for line, other in others.items():
            with pytest.raises(
                PlanMismatchError, match="belongs to a training with other settings or data"
            ) as caught:
                run(only="coarse", **other)
            assert line in caught.value.message.splitlines()


def test_other_settings_of_a_later_stage_leave_the_earlier_ones_alone(run: Train) -> None:
    run(only="coarse")
    folder = run(prompt__learning_rate=2e-3)
    assert "stage `coarse` is complete" in folder.log.read_text()


def test_what_does_not_fit_a_later_stage_is_found_out_before_the_first_one(
    run: Train, done: RunFolder, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="too few for a batch of 50"):
        run(fine__batch=50)
    assert not (tmp_path / "out" / "coarse").exists()
    shutil.copytree(done.path, tmp_path / "finished")
    shutil.rmtree(tmp_path / "finished/coarse")
    with pytest.raises(PlanMismatchError, match="start: "):
        run("finished", seed=1, prompt__epochs=1)
    assert not (tmp_path / "finished/coarse").exists()


def test_other_data_is_refused(run: Train, tmp_path: Path, hq_store: Path, values: dict[str, Any]) -> None:
    run(only="coarse")
    (tmp_path / "other").mkdir()
    write_recordings(tmp_path / "other", {"train": 15})
    other = prepare(tmp_path / "other", tmp_path / "other.zarr")
    with pytest.raises(PlanMismatchError, match="low light: "):
        train([hq_store], other, train_settings(values), tmp_path / "out")


def test_two_seeds_give_two_networks(run: Train, done: RunFolder) -> None:
    assert finals(run(seed=1, only="coarse"))["coarse"] != finals(done)["coarse"]


@pytest.mark.parametrize("log_every", [1, 4])
def test_loss_that_is_no_number_stops_the_training_and_is_located(
    log_every: int, run: Train, tmp_path: Path
) -> None:
    with pytest.raises(
        TrainingError, match=r"training `coarse`, epoch 1, step 2 of 6: the loss `coarse` is (inf|nan)"
    ):
        run(coarse__learning_rate=1e30, log_every=log_every, checkpoint_every=0)
    folder = RunFolder(tmp_path / "out")
    assert not folder.stage("coarse").record_path.exists()
    assert "error: training `coarse`, epoch 1, step 2" in folder.log.read_text()
    if log_every == 1:  # the checkpoint of step 1 stays, its weights are numbers
        saved = torch.load(folder.stage("coarse").checkpoint({}).path, weights_only=True)
        assert saved["step"] == 1
        assert all(tensor.isfinite().all() for tensor in saved["learns"].values())


def test_micro_batches_give_the_weights_of_the_whole_batch(run: Train) -> None:
    exact: dict[str, Any] = {
        "fine__prompt_weight": 1,
        "bfloat16": False,
        "coarse__epochs": 1,
        "prompt__epochs": 1,
        "fine__epochs": 1,
    }
    whole = run("whole", **exact)
    for count in (3, 4):
        assert_close(run(f"parts{count}", accumulate=count, **exact), whole)


def assert_close(one: RunFolder, other: RunFolder) -> None:
    """Equal up to rounding, which Adam enlarges where a gradient is nearly zero; a step is 1e-3.

    An InfoNCE of each part by itself, the mistake to be found, gives a difference of 8e-4.
    """
    for stage in STAGES:
        left, right = (_weights(folder.stage(stage).final) for folder in (one, other))
        assert (left - right).square().mean().sqrt() < 2e-5, stage


def _weights(path: Path) -> torch.Tensor:
    tensors = torch.load(path, weights_only=True)["state_dict"].values()
    return torch.cat([tensor.flatten() for tensor in tensors])


@pytest.mark.parametrize(
    ("stages", "rows"),
    [
        (["coarse"], 2),
        (["fine"], 2),
        (["coarse", "fine"], 3),
    ],
    ids=["coarse only", "class loss alone", "coarse and class loss"],
)
def test_ablations_of_the_paper_run_without_an_hq_store(
    stages: list[str], rows: int, values: dict[str, Any], low_light: LowLightSet, tmp_path: Path
) -> None:
    settings = train_settings({**values, "stages": stages, "fine": {**values["fine"], "prompt_weight": 0}})
    folder = train([], low_light, settings, tmp_path / "out")
    load_network(folder.network)
    assert not folder.prompts.exists()
    with Image.open(folder.grid) as image:
        assert image.height == 26 + rows * 166


def test_training_starts_from_the_initial_network(run: Train, tmp_path: Path) -> None:
    save_network(tmp_path / "start.pth", build("lrn"), {})
    given = {"initial": str(tmp_path / "start.pth"), "only": "coarse", "coarse__learning_rate": 1e-12}
    learned = load_network(run(**given).stage("coarse").final).state_dict()
    torch.testing.assert_close(learned, load_network(tmp_path / "start.pth").state_dict(), rtol=0, atol=1e-6)
    save_network(tmp_path / "start.pth", build("lrn"), {})
    with pytest.raises(PlanMismatchError, match=r"start: [0-9a-f]+ -> "):
        run(**given)


def test_initial_network_of_another_form_is_named(run: Train, tmp_path: Path) -> None:
    save_network(tmp_path / "start.pth", build("lrn", 25), {})
    with pytest.raises(UsageError, match=r"`.*start.pth` is `lrn` of 25 bins"):
        run(initial=str(tmp_path / "start.pth"))
    save_network(tmp_path / "start.pth", build("lrn", 50, "reflect"), {})
    with pytest.raises(UsageError, match=r"with padding `reflect`, but .* `padding` `zeros`"):
        run(initial=str(tmp_path / "start.pth"))


def test_unet_trains(run: Train) -> None:
    folder = run(only="coarse", network="unet", coarse__epochs=1, coarse__batch=8)
    assert load_network(folder.network).name == "unet"


def test_missing_hq_store_is_found_out_before_the_first_stage(
    values: dict[str, Any], low_light: LowLightSet, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="stage `prompt` needs an HQ store"):
        train([], low_light, train_settings(values), tmp_path / "out")
    with pytest.raises(StoreError, match="there is no HQ store at"):
        train([tmp_path / "hq.zarr"], low_light, train_settings(values), tmp_path / "out")
    assert not (tmp_path / "out" / "coarse").exists()


def test_missing_clip_is_found_out_before_the_first_stage(run: Train, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent.pth"):
        run(clip__weights=str(tmp_path / "absent.pth"))
    assert not (tmp_path / "out" / "coarse").exists()


def test_set_without_training_samples_is_named(
    values: dict[str, Any], hq_store: Path, tmp_path: Path
) -> None:
    (tmp_path / "spikes").mkdir()
    write_recordings(tmp_path / "spikes", {"test": 3})
    low_light = prepare(tmp_path / "spikes", tmp_path / "low.zarr")
    with pytest.raises(UnknownNameError, match=r"unknown split of the low-light set .* `train`"):
        train([hq_store], low_light, train_settings(values), tmp_path / "out")


def test_damaged_hq_store_is_found_out_before_the_first_stage(
    hq_store: Path, low_light: LowLightSet, values: dict[str, Any], tmp_path: Path
) -> None:
    shutil.copytree(hq_store.parent, tmp_path / "hq")
    shard = next((tmp_path / "hq/hq.zarr").rglob("images/c/0/0/0"))
    shard.write_bytes(shard.read_bytes()[:-50])
    with pytest.raises(StoreError, match=r"the HQ store `.*` is damaged"):
        train([tmp_path / "hq/hq.zarr"], low_light, train_settings(values), tmp_path / "out")
    assert not (tmp_path / "out" / "coarse").exists()


def test_one_class_has_nothing_to_tell_apart(values: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "spikes").mkdir()
    write_recordings(tmp_path / "spikes", {"train": 12})
    for path in (tmp_path / "spikes/train").glob("*.npz"):
        with np.load(path) as file:
            np.savez_compressed(path, spk=file["spk"], label=1)
    low_light = prepare(tmp_path / "spikes", tmp_path / "low.zarr")
    settings = {**values, "stages": ["fine"], "fine": {**values["fine"], "prompt_weight": 0}}
    with pytest.raises(SourceError, match=r"all training samples of `.*` are of the class `checks`"):
        train([], low_light, train_settings(settings), tmp_path / "out")


def test_crop_larger_than_the_frames_and_device_that_is_not_there_are_named(run: Train) -> None:
    with pytest.raises(UsageError, match="too small for a crop of 48x48"):
        run(crop=48)
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="the device `cuda` is not there"):
            run(device="cuda")


def test_tensorboard_is_written_where_asked_for_and_missed_clearly(
    run: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    with pytest.raises(UsageError, match="TensorBoard was asked for, but is not installed"):
        run(only="coarse", tensorboard=True)


def test_a_stopped_and_resumed_training_is_one_run_for_its_followers(run: Train) -> None:
    pytest.importorskip("tensorboard")
    pytest.importorskip("wandb")
    for stop in (after(2), lambda: False):
        folder = run(only="coarse", tensorboard=True, wandb=True, stop=stop).path
    runs = list((folder / "wandb").glob("offline-run-*"))
    assert {path.name.rpartition("-")[2] for path in runs} == {
        (folder / "coarse/wandb.id").read_text().strip()
    }
    content = b"".join(file.read_bytes() for path in runs for file in path.glob("*.wandb"))
    for expected in (b"coarse/coarse", b"coarse/held-out", b"coarse/pictures", b"learning_rate"):
        assert expected in content
    assert len(list((folder / "tensorboard/coarse").iterdir())) == 2


def test_global_random_state_is_left_alone(run: Train) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    run(only="coarse")
    assert torch.equal(torch.rand(1), expected)


def test_observer_sees_each_step_and_each_point(
    values: dict[str, Any], low_light: LowLightSet, tmp_path: Path
) -> None:
    seen = Recorder()
    settings = train_settings({**values, "stages": ["coarse"]})
    train([], low_light, settings, tmp_path / "out", observer=seen)
    assert seen.done == seen.totals == {"coarse": 6}
    assert [step for step, _ in seen.told["coarse"]] == [2, 3, 4, 6]


# Processes of their own.


def command(given: dict[str, Any], *before: str) -> list[str]:
    return [sys.executable, *before, "-m", "tests.spikeclip.train_process", json.dumps(given)]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def changed(file: Path) -> int | None:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def interrupted(given: dict[str, Any], stage: StageName, delay: float, how: signal.Signals) -> int:
    """Run until `stage` has a new checkpoint and a little longer, then send the signal; the exit code."""
    checkpoint = RunFolder(Path(given["out"])).stage(stage).checkpoint({}).path
    before = changed(checkpoint)
    process = subprocess.Popen(command(given), env=environment(), stderr=subprocess.PIPE)
    while changed(checkpoint) in (None, before):
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.002)
    time.sleep(delay)
    process.send_signal(how)
    process.communicate()
    return process.returncode


@pytest.mark.slow
@pytest.mark.parametrize(
    "other", [{}, {"ema": 0.9, "schedule": "cosine", "patience": 20}], ids=["the paper's", "another recipe"]
)
def test_killed_in_every_stage_at_random_moments_and_run_again_the_weights_are_the_same_bit_for_bit(
    other: dict[str, Any], values: dict[str, Any], hq_store: Path, low_light: LowLightSet, tmp_path: Path
) -> None:
    settings = {**values, "log_every": 1, "checkpoint_every": 0}
    for stage in STAGES:
        settings[stage] = {**values[stage], "epochs": 25, **other}
    given = {"hq": str(hq_store), "low_light": str(low_light.path), "settings": settings}
    killed = {**given, "out": str(tmp_path / "killed")}
    one = train([hq_store], low_light, train_settings(settings), tmp_path / "through")
    moments = random.Random()  # another moment at each run of this test: all of them must do
    for stage in STAGES:
        for how in (signal.SIGKILL, signal.SIGINT)[: 2 if stage == "fine" else 1]:
            delay = moments.uniform(0, 0.3)
            code = interrupted(killed, stage, delay, how)
            assert code == (-signal.SIGKILL if how == signal.SIGKILL else 130), delay
            assert not RunFolder(tmp_path / "killed").stage(stage).record_path.exists(), delay
            said = Page((tmp_path / "killed/report.html").read_text()).words
            assert ("running when this page was written" in said) == (how == signal.SIGKILL)
    two = train([hq_store], low_light, train_settings(settings), tmp_path / "killed")
    assert finals(one) == finals(two)
    assert curves(one) == curves(two)
    assert one.network.read_bytes() == two.network.read_bytes()


@pytest.mark.slow
def test_two_processes_end_in_the_weights_of_one(
    values: dict[str, Any], hq_store: Path, low_light: LowLightSet, tmp_path: Path
) -> None:
    settings = {**values, "bfloat16": False, "device": "cpu"}
    for stage in STAGES:
        settings[stage] = {**values[stage], "epochs": 1}
    settings["fine"]["prompt_weight"] = 1
    given = {"hq": str(hq_store), "low_light": str(low_light.path), "settings": settings}
    alone = train([hq_store], low_light, train_settings(settings), tmp_path / "alone")
    for accumulate in (1, 2):
        out = tmp_path / f"together{accumulate}"
        shared = {**given, "out": str(out), "settings": {**settings, "accumulate": accumulate}}
        launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
        subprocess.run(command(shared, *launcher), env=environment(), check=True)
        assert_close(RunFolder(out), alone)
        for stage in STAGES:
            for left, right in zip(curve(RunFolder(out), stage), curve(alone, stage), strict=True):
                assert {k: float(v) for k, v in left.items() if v} == pytest.approx(
                    {k: float(v) for k, v in right.items() if v}, rel=1e-2
                )
