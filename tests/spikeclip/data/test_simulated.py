from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from PIL import Image

from hqgen.config import validated
from hqgen.errors import SourceError, StoreError, UsageError
from hqgen.progress import SILENT
from hqgen.simulation.camera import Sensor, preset
from spikeclip.data.glass import Glass
from spikeclip.data.lowlight import LowLightSet, open_prepared
from spikeclip.data.screen import SCREENS, film
from spikeclip.data.settings import DEMO_CROP, SimulateSettings
from spikeclip.data.simulated import demo_low_light, simulate_low_light
from tests.builder.small import Recorder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two classes: three pictures each to train on, in a folder, and one to test, in an archive."""
    root = tmp_path / "pictures"
    for split, count in (("train", 3), ("test", 1)):
        for label, name in enumerate(("bright", "dark")):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                level = np.full((12, 16), 250 - 200 * label + number, np.uint8)
                Image.fromarray(level).save(root / split / name / f"{number}.png")
    with zipfile.ZipFile(root / "test.zip", "w") as archive:
        for file in sorted((root / "test").rglob("*.png")):
            archive.write(file, file.relative_to(root / "test"))
            file.unlink()
    for folder in sorted((root / "test").iterdir()):
        folder.rmdir()
    (root / "test").rmdir()
    return root


def simulated(pictures: Path, out: Path, **changes: Any) -> LowLightSet:
    small = {"train": 2, "test": 1, "height": 32, "width": 40, "frames": 60}
    observer = changes.pop("observer", SILENT)
    return simulate_low_light(pictures, out, SimulateSettings(**small | changes), observer=observer)


def test_a_set_of_the_first_pictures_of_each_class(pictures: Path, tmp_path: Path) -> None:
    observer = Recorder()
    made = simulated(pictures, tmp_path / "low.zarr", observer=observer)
    assert (made.labels, made.geometry, made.frames) == (("bright", "dark"), (32, 40), 60)
    train, test = made.split("train"), made.split("test")
    assert train.keys == tuple(f"train/{name}.png" for name in ("bright/0", "bright/1", "dark/0", "dark/1"))
    assert train.labels.tolist() == [0, 0, 1, 1]
    assert test.keys == ("test/bright/0.png", "test/dark/0.png")
    assert observer.done == {"simulate": 6}
    assert train.stream(0).frames().mean() > 1.5 * train.stream(2).frames().mean()


def test_classes_are_numbered_as_they_are_named(pictures: Path, tmp_path: Path) -> None:
    made = simulated(pictures, tmp_path / "low.zarr", labels=["dark", "bright"])
    assert made.labels == ("dark", "bright")
    assert made.split("train").keys[0] == "train/dark/0.png"


def test_a_sample_does_not_depend_on_which_others_are_taken(pictures: Path, tmp_path: Path) -> None:
    few = simulated(pictures, tmp_path / "few.zarr", train=1, test=0, labels=["dark"])
    more = simulated(pictures, tmp_path / "more.zarr")
    np.testing.assert_array_equal(
        few.split("train").stream(0).frames(), more.split("train").stream(2).frames()
    )


def test_all_pictures_are_taken_unless_a_number_says_otherwise(pictures: Path, tmp_path: Path) -> None:
    made = simulated(pictures, tmp_path / "low.zarr", train=None, test=None)
    assert (len(made.split("train")), len(made.split("test"))) == (6, 2)


def test_the_same_again_is_the_same_set_and_another_seed_another(pictures: Path, tmp_path: Path) -> None:
    first = simulated(pictures, tmp_path / "a.zarr")
    assert simulated(pictures, tmp_path / "b.zarr").digest == first.digest
    assert simulated(pictures, tmp_path / "a.zarr").digest == first.digest
    assert simulated(pictures, tmp_path / "c.zarr", seed=1).digest != first.digest
    with pytest.raises(StoreError, match="seed: 0 -> 1"):
        simulated(pictures, tmp_path / "a.zarr", seed=1)


def test_a_changed_picture_makes_another_set(pictures: Path, tmp_path: Path) -> None:
    simulated(pictures, tmp_path / "low.zarr")
    Image.fromarray(np.zeros((12, 16), np.uint8)).save(pictures / "train/bright/0.png")
    with pytest.raises(StoreError, match="pictures: "):
        simulated(pictures, tmp_path / "low.zarr")


def test_the_screen_drifts_and_lies_in_a_dark_surround() -> None:
    grey = np.full((40, 40), 0.6, np.float32)
    frames = film(grey, (250, 250), 200, preset("low"), SCREENS["plain"], seed=[4]).spikes.frames()
    assert 0.015 < frames[:, :3].mean() < 0.02
    assert 0.04 < frames[:, 100:150, 100:150].mean() < 0.055
    early, late = (part[:, :, 80:170].mean(axis=(0, 2)) for part in (frames[:60], frames[-60:]))
    assert abs(late - early).max() > 0.005  # an upper or lower edge of the screen came or went


def test_the_truth_is_the_light_at_the_middle_frame() -> None:
    picture = np.random.default_rng(0).random((20, 30), np.float32)
    ideal = Sensor(sensitivity=1.0)
    still = replace(SCREENS["plain"], drift=0.0, turn=0.0)
    spikes, truth = film(picture, (40, 48), 200, ideal, still, seed=[3])
    np.testing.assert_allclose(spikes.frames().mean(0), truth, atol=1 / 200)
    moving = film(picture, (40, 48), 200, ideal, replace(SCREENS["plain"], drift=0.2), seed=[3])
    parts = moving.spikes.frames().reshape(10, 20, 40, 48).mean(1)
    alike = [np.corrcoef(part.ravel(), moving.truth.ravel())[0, 1] for part in parts]
    assert sorted(np.argsort(alike)[-2:]) == [4, 5]


def test_a_set_keeps_its_clean_pictures_beside_the_same_streams(pictures: Path, tmp_path: Path) -> None:
    made = simulated(pictures, tmp_path / "low.zarr")
    train = made.split("train")
    truths = train.truths([0, 2])
    assert truths is not None
    assert truths.shape == (2, 32, 40)
    assert truths[0].mean() > 1.5 * truths[1].mean()
    selected = train.select([2]).truths([0])
    assert selected is not None
    np.testing.assert_array_equal(selected[0], truths[1])
    made.verify()
    shutil.copy(made.path / "train/truth/c/0/0/0", made.path / "train/truth/c/1/0/0")
    with pytest.raises(StoreError, match="no longer holds what was written"):
        open_prepared(made.path).verify()
    (made.path / "train/truth/c/1/0/0").unlink()
    with pytest.raises(StoreError, match="lacks 1 of its samples"):
        open_prepared(made.path)


def test_a_set_of_an_earlier_version_is_opened_without_truth(pictures: Path, tmp_path: Path) -> None:
    """Its streams are those of today, and so are the settings that it was made from."""
    made = simulated(pictures, tmp_path / "low.zarr")
    root = zarr.open_group(made.path, mode="a")
    del root.attrs["truth"]
    for split in made.splits:
        del root[f"{split}/truth"]
    before = simulated(pictures, tmp_path / "low.zarr")
    assert (before.digest, before.truth) == (made.digest, None)
    assert before.split("train").truths([0]) is None
    before.verify()


def test_the_plain_screen_is_the_one_that_old_sets_were_made_with() -> None:
    values = {"size": 0.87, "surround": 0.22, "black": 0.3, "white": 0.95, "offset": 0.02, "tilt": 2.0}
    assert SCREENS["plain"].identity() == values | {"drift": 0.045, "turn": 0.003}
    assert SCREENS["glass"].identity()["glass"]["shading"] > 0


def test_glass_changes_the_light_and_not_the_place_or_the_pixels() -> None:
    picture = np.random.default_rng(0).random((20, 30), np.float32)
    plain = SCREENS["plain"]
    clear = replace(plain, glass=Glass(blur=0, shading=0, slope=0, lamp=0, window=0))
    one, other = (film(picture, (40, 48), 50, preset("low"), item, seed=[3]) for item in (plain, clear))
    np.testing.assert_allclose(one.truth, other.truth, atol=1e-6)
    np.testing.assert_array_equal(one.spikes.data, other.spikes.data)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_black_and_white_pictures_stay_within_the_light_there_is(level: float) -> None:
    picture = np.full((5, 9), level, np.float32)
    rate = film(picture, (40, 40), 200, preset("low"), SCREENS["plain"], seed=[0]).spikes.frames().mean()
    assert 0.015 < rate < 0.061


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"train": 4}, "has 3 pictures of the class `bright`, 4 were asked for"),
        ({"labels": ["bright", "grey"]}, "has 0 pictures of the class `grey`"),
    ],
)
def test_pictures_that_are_not_there_are_named(
    changes: dict[str, Any], complaint: str, pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=complaint):
        simulated(pictures, tmp_path / "low.zarr", **changes)
    assert not (tmp_path / "low.zarr").exists()


def test_a_split_that_is_not_there_is_named(pictures: Path, tmp_path: Path) -> None:
    (pictures / "test.zip").unlink()
    with pytest.raises(SourceError, match=r"neither a folder `test` nor an archive `test\.zip`"):
        simulated(pictures, tmp_path / "low.zarr")


@pytest.mark.parametrize("changes", [{"train": 0}, {"test": -1}, {"frames": 0}, {"height": 4}])
def test_numbers_that_make_no_set_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="must be at least"):
        validated(SimulateSettings, changes, "a set")


def test_a_damaged_picture_is_named(pictures: Path, tmp_path: Path) -> None:
    (pictures / "train/dark/1.png").write_bytes(b"no picture")
    with pytest.raises(SourceError, match=r"train/dark/1\.png` is not a readable picture"):
        simulated(pictures, tmp_path / "low.zarr")


def test_the_demo_has_eight_classes_and_is_always_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = demo_low_light(tmp_path / "a.zarr")
    assert (len(made.split("train")), len(made.split("test")), len(made.labels)) == (64, 16, 8)
    assert min(made.geometry) >= DEMO_CROP
    assert 0.02 < np.mean([made.split("test").stream(row).frames().mean() for row in range(16)]) < 0.05
    monkeypatch.setattr("spikeclip.data.simulated._DEMO_COUNTS", {"train": 1, "test": 1})
    again = demo_low_light(tmp_path / "b.zarr")
    for split, count in (("train", 8), ("test", 2)):
        for label in range(8):
            first, second = made.split(split).stream(count * label), again.split(split).stream(label)
            np.testing.assert_array_equal(first.frames(), second.frames())


@pytest.mark.real
def test_simulated_recordings_fire_as_the_real_one_does(data_root: Path, tmp_path: Path) -> None:
    made = simulate_low_light(
        data_root / "caltech101",
        tmp_path / "low.zarr",
        SimulateSettings(train=1, test=0, labels=("helicopter", "dolphin", "faces", "car")),
    )
    real = np.load(data_root / "u-caltech/helicopter_04144.npz")["spk"]
    ours = np.stack([made.split("train").stream(row).frames() for row in range(4)])
    assert ours.mean() == pytest.approx(real.mean(), rel=0.15)
    assert ours[:, :, 238:].mean() == pytest.approx(real[:, 238:, :60].mean(), rel=0.15)
