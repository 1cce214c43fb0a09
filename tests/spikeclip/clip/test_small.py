from __future__ import annotations

import csv
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from hqgen.errors import SourceError, TrainingError, UsageError, WeightsError
from hqgen.training.loop import Point, Stop
from spikeclip.clip.frozen import load_clip
from spikeclip.clip.measures import accuracy
from spikeclip.clip.pictures import read_labelled
from spikeclip.clip.settings import SmallClipSettings
from spikeclip.clip.small import flaw_losses, train_clip
from spikeclip.data.shapes import SHAPES, draw
from tests.builder.small import Recorder

TINY = SmallClipSettings(
    image_size=32,
    tower="test_resnet",
    shapes=0,
    text_width=16,
    embed_dim=8,
    steps=8,
    look_every=4,
    batch=8,
    learning_rate=2e-3,
    bfloat16=False,
)


CIFAR, CALTECH = 0.5, 0.35
"""What the shipped models tell at least, of ten classes and of 101."""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes that are told apart at a glance: stripes that stand, stripes that lie."""
    root = tmp_path_factory.mktemp("stripes")
    rng = np.random.default_rng(0)
    for label, lying in (("standing", False), ("lying", True)):
        (root / label).mkdir()
        for index in range(20):
            period = rng.integers(6, 10)
            stripes = np.tile((np.arange(32) + rng.integers(8)) % period < period // 2, (32, 1)) * 200 + 20
            picture = stripes.T if lying else stripes
            Image.fromarray(picture.astype(np.uint8)).save(root / label / f"{index:02}.png")
    return root


def weights(path: Path) -> dict[str, Tensor]:
    loaded: dict[str, Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return loaded


def assert_same(one: Path, other: Path) -> None:
    torch.testing.assert_close(weights(one), weights(other), rtol=0, atol=0)


def without_time(curve: list[Point]) -> list[tuple[float, ...]]:
    return [(point.epoch, *point.losses.values(), *point.validation.values()) for point in curve]


def stop_after(calls: int) -> Stop:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked >= calls

    return stop


def test_the_result_is_a_frozen_clip_that_knows_what_it_reached(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.pth"
    curve = train_clip([pictures], out, TINY, test=[pictures])
    clip = load_clip("small", out)
    assert clip.image_size == 32
    assert clip.image_features(torch.rand(3, 1, 50, 40)).shape == (3, 8)
    meta = torch.load(out, weights_only=True)["meta"]
    assert meta["classes"] == [["lying", "standing"]]
    assert meta["accuracy"] == curve[-1].validation
    assert SmallClipSettings(**meta["settings"]) == TINY
    assert not out.with_suffix(".checkpoint").exists()


@pytest.mark.slow
def test_it_learns_to_tell_classes_apart_as_the_frozen_clip_measures_it(
    pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "small.pth"
    settings = TINY.model_copy(update={"steps": 120, "look_every": 30})
    curve = train_clip([pictures], out, settings, test=[pictures])
    assert curve[-1].losses["loss"] < curve[0].losses["loss"]
    assert curve[-1].validation["plain 1"] > 0.9
    measured = accuracy(load_clip("small", out), read_labelled(pictures, 32), "plain")
    assert measured == pytest.approx(curve[-1].validation["plain 1"], abs=0.051)


def test_two_runs_of_one_seed_give_equal_weights_and_another_seed_others(
    pictures: Path, tmp_path: Path
) -> None:
    for name, settings in (("a", TINY), ("b", TINY), ("c", TINY.model_copy(update={"seed": 1}))):
        train_clip([pictures], tmp_path / name, settings)
    assert_same(tmp_path / "a", tmp_path / "b")
    with pytest.raises(AssertionError):
        assert_same(tmp_path / "a", tmp_path / "c")


def test_stopped_and_resumed_training_ends_like_one_that_ran_through(pictures: Path, tmp_path: Path) -> None:
    """Stopped after 1, 4 and 6 steps."""
    through = train_clip([pictures], tmp_path / "through.pth", TINY)
    out = tmp_path / "stopped.pth"
    for more in (1, 3, 2):
        train_clip([pictures], out, TINY, stop=stop_after(more))
        assert not out.exists()
    resumed = train_clip([pictures], out, TINY)
    assert_same(out, tmp_path / "through.pth")
    assert without_time(resumed) == without_time(through)


def test_the_learning_curve_is_told_and_written(pictures: Path, tmp_path: Path) -> None:
    seen = Recorder()
    curve = train_clip([pictures], tmp_path / "small.pth", TINY, observer=seen)
    assert seen.done == seen.totals
    assert len(seen.told["clip"]) == len(curve) == 2
    assert seen.told["clip"][0][1].startswith(f"epoch 1, loss {curve[0].losses['loss']:.4g}, class ")
    rows = list(csv.DictReader((tmp_path / "small.csv").read_text().splitlines()))
    assert [int(row["step"]) for row in rows] == [4, 8]
    assert all(0 <= float(row["placed 1"]) <= 1 for row in rows)


def test_shapes_are_learned_beside_the_pictures_and_tested_on_the_pictures_alone(
    pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "small.pth"
    train_clip([pictures], out, TINY.model_copy(update={"shapes": 2}), stop=stop_after(1))
    train_clip([pictures], out, TINY.model_copy(update={"shapes": 2}))
    meta = torch.load(out, weights_only=True)["meta"]
    assert meta["classes"] == [["lying", "standing"], list(SHAPES)]
    # Two of the 40 pictures are held out.
    assert meta["pictures"] == [38, 2 * len(SHAPES)]
    assert not any(name.endswith("2") for name in meta["accuracy"])


def test_two_sets_share_a_batch_and_are_measured_apart(pictures: Path, tmp_path: Path) -> None:
    """Each set has its own sizes, classes and test pictures; one class is in both."""
    (tmp_path / "more").mkdir()
    for old, new in (("lying", "lying"), ("standing", "tree")):
        shutil.copytree(pictures / old, tmp_path / "more" / new)
    out = tmp_path / "small.pth"
    curve = train_clip([pictures, tmp_path / "more"], out, TINY, test=[pictures, tmp_path / "more"])
    assert {"plain 1", "placed 1", "crops 1", "grades 1", "plain 2"} <= curve[-1].validation.keys()
    meta = torch.load(out, weights_only=True)["meta"]
    assert meta["classes"] == [["lying", "standing"], ["lying", "tree"]]


def test_test_pictures_of_some_sets_alone_are_refused(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="2 sets of pictures to train on, but 1 to test on"):
        train_clip([pictures, pictures], tmp_path / "small.pth", TINY, test=[pictures])


def test_the_loss_of_flaws_is_least_at_the_true_grades() -> None:
    grades = torch.tensor([[0.0, 1.0, 2.0, 3.0, 0.0], [0.5, 0.0, 0.0, 0.0, 2.5]])
    known = torch.ones(grades.shape, dtype=torch.bool)
    right = (1 - (grades[..., None] - torch.arange(4.0)).abs()).clamp(min=1e-4).log()
    true = torch.cat([torch.zeros(2, 1), right.flatten(1)], 1)
    flaws, _ = flaw_losses(true, grades, known)
    for other in (torch.zeros(2, 21), true.roll(4, 1), true.flip(0)):
        assert flaw_losses(other, grades, known)[0] > flaws


def test_a_grade_that_is_not_known_has_no_part_in_the_loss() -> None:
    grades, known = torch.rand(4, 5) * 3, torch.ones(4, 5, dtype=torch.bool)
    known[:, 1] = False
    logits = torch.randn(4, 21, requires_grad=True)
    flaws, overall = flaw_losses(logits, grades, known)
    flaws.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad[:, 5:9] == 0).all()  # the captions of blur
    assert (logits.grad[:, 9:] != 0).any()
    assert overall == 0  # it is not known of any picture whether it is clear


def test_a_zip_archive_holds_the_same_pictures_as_its_folder(pictures: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "stripes.zip", "w") as archive:
        for file in pictures.rglob("*.png"):
            archive.write(file, file.relative_to(pictures))
    one, other = read_labelled(pictures, 32), read_labelled(tmp_path / "stripes.zip", 32)
    assert one.classes == other.classes == ("lying", "standing")
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.labels, other.labels)
    assert one.images.shape == (40, 1, 32, 32)


def test_pictures_are_stretched_to_squares_and_keep_their_aspects(tmp_path: Path) -> None:
    wide = np.zeros((10, 30), np.uint8)
    wide[:, :10] = 200
    (tmp_path / "a").mkdir()
    Image.fromarray(wide).save(tmp_path / "a" / "wide.png")
    Image.fromarray(wide.T.copy()).save(tmp_path / "a" / "tall.png")
    read = read_labelled(tmp_path, 24)
    assert read.images.shape == (2, 1, 30, 30)
    torch.testing.assert_close(read.aspects, torch.tensor([1 / 3, 3.0]))
    assert (read.images[1, 0, :, :8] > 190).all()
    assert (read.images[1, 0, :, 14:] < 10).all()


@pytest.mark.parametrize(
    ("size", "side", "sharp"), [(8, 16, True), (32, 32, True), (48, 32, False), (200, 100, False)]
)
def test_pictures_of_few_pixels_are_not_called_sharp(
    pictures: Path, size: int, side: int, sharp: bool
) -> None:
    read = read_labelled(pictures, size)
    assert (read.images.shape[-1], read.sharp) == (side, sharp)


def test_what_lies_beside_the_class_folders_is_passed_over(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "cat" / "0.png")
    (tmp_path / "cat" / "notes.txt").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "LICENSE").write_text("")
    assert read_labelled(tmp_path, 8).classes == ("cat",)


def test_no_pictures_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no labelled pictures"):
        read_labelled(tmp_path, 8)
    with pytest.raises(SourceError, match="neither a folder nor a zip"):
        read_labelled(tmp_path / "gone", 8)


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(SourceError, match=r"bad\.jpg` is not a readable picture"):
        read_labelled(tmp_path, 8)


def test_one_class_alone_is_refused(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "cat" / "0.png")
    with pytest.raises(SourceError, match="holds one class, `cat`"):
        train_clip([tmp_path], tmp_path / "small.pth", TINY)
    with pytest.raises(SourceError, match="has the class `cat`, which"):
        train_clip([pictures], tmp_path / "small.pth", TINY, test=[tmp_path])


def test_an_existing_result_is_kept(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.pth"
    out.write_bytes(b"mine")
    with pytest.raises(UsageError, match="is there already"):
        train_clip([pictures], out, TINY)
    assert out.read_bytes() == b"mine"


def test_a_checkpoint_of_other_settings_is_refused(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.pth"
    train_clip([pictures], out, TINY, stop=stop_after(1))
    with pytest.raises(UsageError, match="other settings or data"):
        train_clip([pictures], out, TINY.model_copy(update={"seed": 3}))


def test_a_damaged_checkpoint_is_refused(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "small.checkpoint").write_bytes(b"no checkpoint")
    with pytest.raises(WeightsError, match="is not a checkpoint"):
        train_clip([pictures], tmp_path / "small.pth", TINY)


def test_a_loss_that_is_no_number_stops_the_training_and_keeps_the_last_checkpoint(
    pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "small.pth"
    settings = TINY.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(TrainingError, match=r"epoch 1, step 2 of .*the loss `loss` is"):
        train_clip([pictures], out, settings)
    assert not out.exists()


@pytest.mark.parametrize("name", ["small", "judge"])
def test_the_shipped_clips_tell_the_shapes_of_the_demo(name: str) -> None:
    clip = load_clip(name)
    drawn = torch.from_numpy(np.stack([draw(shape, f"{shape}/{i}") for shape in SHAPES for i in range(4)]))
    features = clip.text_features([f"image of a {name}" for name in SHAPES])
    with torch.no_grad():
        nearest = (clip.image_features(drawn[:, None]) @ features.T).argmax(1)
    assert (nearest == torch.arange(len(SHAPES)).repeat_interleave(4)).float().mean() > 0.9


@pytest.mark.real
@pytest.mark.parametrize("name", ["small", "judge"])
@pytest.mark.parametrize(("pictures", "least"), [("cifar10", CIFAR), ("caltech101", CALTECH)])
def test_the_shipped_clips_tell_test_pictures_that_they_never_saw(
    shared: Path, name: str, pictures: str, least: float
) -> None:
    clip = load_clip(name)
    tests = read_labelled(shared / "data" / pictures / "test.zip", clip.image_size)
    tests = tests.part(torch.arange(0, len(tests.labels), 4))
    for kind in ("plain", "placed"):
        assert accuracy(clip, tests, kind) > least
