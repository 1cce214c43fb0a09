from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from hqgen.checkpoints import load_weights
from hqgen.errors import SourceError, UsageError
from hqgen.methods.learned.base import Base
from hqgen.methods.learned.bsn import BlindNetwork
from hqgen.simulation.camera import preset, simulate
from hqgen.training.adapt import Trust
from hqgen.training.blind import BlindRecipe, load_blind_recipe
from hqgen.training.bsn import Start, train_bsn
from hqgen.training.loop import Point
from tests.builder.small import Recorder
from tests.command_line import run
from tests.training.runs import Killed, assert_same, stop_after, weights

SHIPPED = Path(__file__).parents[2] / "pipelines" / "train-bsn.toml"
RECIPE = BlindRecipe(steps=7, windows=2, crops=2, patch=16, warm_up=2, cool_down=3, validate_every=3)
STARTS: list[Start | None] = [None, "base"]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of one camera, with frames of different sizes."""
    folder = tmp_path_factory.mktemp("recordings")
    for number, size in enumerate([(24, 32), (32, 20)]):
        light = np.broadcast_to(np.linspace(0.1, 0.9, size[1], dtype=np.float32), size)
        spikes = simulate([light] * 50, preset("normal"), seed=number)
        np.savez_compressed(folder / f"{number}.npz", spk=spikes.frames())
    return folder


def without_time(curve: list[Point]) -> list[tuple[int, dict[str, float], dict[str, float]]]:
    return [(point.step, point.losses, point.validation) for point in curve]


@pytest.mark.parametrize("start", STARTS)
def test_stopped_and_killed_trainings_end_like_one_that_ran_through(
    start: Start | None, recordings: Path, tmp_path: Path
) -> None:
    through = train_bsn(recordings, tmp_path / "through.pth", RECIPE, start=start)
    out = tmp_path / "stopped.pth"
    with pytest.raises(KeyboardInterrupt):
        train_bsn(recordings, out, RECIPE, start=start, observer=Killed())
    train_bsn(recordings, out, RECIPE, start=start, stop=stop_after(2))
    assert not out.exists()
    resumed = train_bsn(recordings, out, RECIPE, start=start)
    assert_same(out, tmp_path / "through.pth")
    assert without_time(resumed) == without_time(through)
    assert not out.with_suffix(".checkpoint").exists()


def test_result_is_weights_of_the_method_and_a_learning_curve(recordings: Path, tmp_path: Path) -> None:
    seen, out = Recorder(), tmp_path / "new" / "bsn.pth"
    curve = train_bsn(recordings, out, RECIPE, observer=seen)
    assert seen.totals == seen.done == {"bsn": 7}
    network = BlindNetwork()
    load_weights(network, out)
    assert 0.2 < float(network.scale) < 0.4
    assert all(tensor.dtype == torch.float16 for tensor in weights(out).values())
    with out.with_suffix(".csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [point.step for point in curve] == [3, 6, 7]


def test_adapted_base_is_weights_of_base_and_stays_near_them(recordings: Path, tmp_path: Path) -> None:
    train_bsn(recordings, tmp_path / "adapted.pth", RECIPE, start="base")
    load_weights(Base().network(), tmp_path / "adapted.pth")
    shipped = weights(Base().checkpoint()[0])
    moved = [
        float((value.float() - shipped[name].float()).abs().max())
        for name, value in weights(tmp_path / "adapted.pth").items()
    ]
    assert 0 < max(moved) < 0.01


def test_the_end_of_adapting_says_whether_base_became_better(recordings: Path, tmp_path: Path) -> None:
    for rate, told in ((1e-12, True), (1e-2, True), (1e-4, False)):
        seen = Recorder()
        recipe = RECIPE.model_copy(update={"start_learning_rate": rate})
        curve = train_bsn(recordings, tmp_path / f"{rate}.pth", recipe, start="base", observer=seen)
        assert (curve[-1].validation["picture"] >= 1) == told, curve
        expected = "did not become better" if told else "nearer to what pixels measured"
        assert any(expected in note for note in seen.notes)


def test_training_lowers_the_error_of_held_out_crops(recordings: Path, tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"steps": 60, "validate_every": 20})
    curve = train_bsn(recordings, tmp_path / "bsn.pth", recipe)
    assert curve[-1].validation["error"] < 0.9 * curve[0].validation["error"]


def test_checkpoint_of_another_recipe_start_or_recordings_is_refused(
    recordings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bsn.pth"
    train_bsn(recordings, out, RECIPE, stop=stop_after(1))
    others: list[tuple[Path, BlindRecipe, Start | None]] = [
        (recordings, RECIPE.model_copy(update={"seed": 1}), None),
        (recordings, RECIPE, "base"),
        (recordings / "0.npz", RECIPE, None),
    ]
    for path, recipe, start in others:
        with pytest.raises(UsageError, match="belongs to a training with other settings or data"):
            train_bsn(path, out, recipe, start=start)


def test_weights_that_are_there_are_not_overwritten(recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "bsn.pth").write_bytes(b"an hour of work")
    with pytest.raises(UsageError, match=r"`.*bsn.pth` is there already"):
        train_bsn(recordings, tmp_path / "bsn.pth", RECIPE)


def test_recordings_shorter_than_a_window_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "short.npz", spk=np.ones((40, 32, 32), np.uint8))
    with pytest.raises(SourceError, match="it has 40 frames, and 41 are needed"):
        train_bsn(tmp_path, tmp_path / "bsn.pth", RECIPE)


def test_a_recording_with_hardly_a_spike_can_be_learned(tmp_path: Path) -> None:
    spikes = np.zeros((50, 32, 32), np.uint8)
    spikes[25, 16, 16] = 1
    np.savez_compressed(tmp_path / "dark.npz", spk=spikes)
    train_bsn(tmp_path, tmp_path / "bsn.pth", RECIPE)
    assert all(bool(tensor.isfinite().all()) for tensor in weights(tmp_path / "bsn.pth").values())


def test_global_random_state_is_left_alone(recordings: Path, tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    train_bsn(recordings, tmp_path / "bsn.pth", RECIPE)
    assert torch.equal(torch.rand(1), expected)


def test_shipped_recipe_says_every_value_and_is_the_default() -> None:
    recipe = load_blind_recipe(SHIPPED)
    assert recipe.model_dump() == recipe.model_dump(exclude_unset=True)
    assert recipe == BlindRecipe()


def test_a_wrong_recipe_is_named(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("patch = 17\n")
    with pytest.raises(UsageError, match=r"`patch` in the recipe .* must be a multiple of 4"):
        load_blind_recipe(tmp_path / "recipe.toml")


def test_trust_is_the_share_of_corrections_that_unseen_crops_confirm() -> None:
    trust, said = Trust(), torch.tensor([1.0, -2.0, 3.0])
    assert trust.share() == 0
    trust.look(said, 0.4 * said)
    assert trust.share() == pytest.approx(0.4)
    for wrong in (-said, 0 * said):
        doubted = Trust()
        doubted.look(said, wrong)
        assert doubted.share() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bsn",), "`bsn` is trained with `--recordings` alone"),
        (("bsn", "--pictures", "p", "--recordings", "r"), "`bsn` is trained with `--recordings` alone"),
        (("base", "--recordings", "r"), "`base` is trained with `--pictures` alone"),
        (("base", "--pictures", "p", "--height", "9"), "`height` describes recordings"),
        (("base", "--pictures", "p", "--bit-order", "msb"), "`bit_order` describes recordings"),
        (("bsn", "--recordings", "p", "--start", "old.pth"), "`bsn` cannot start from `old.pth`"),
        (("bsn", "--recordings", "p", "--device", "cuda"), "`bsn` is trained on the CPU"),
    ],
)
def test_data_that_do_not_suit_the_method_are_a_usage_error(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    done = run("train-method", *arguments, "--out", tmp_path / "out.pth")
    assert done.returncode == 2
    assert message in done.stderr
    assert not list(tmp_path.iterdir())


def test_command_trains_on_a_folder(recordings: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("steps = 2\nwindows = 1\ncrops = 2\npatch = 16\n")
    out = tmp_path / "bsn.pth"
    done = run("train-method", "bsn", "--recordings", recordings, "--out", out, "--recipe", recipe)
    assert done.returncode == 0, done.stderr
    load_weights(BlindNetwork(), out)
