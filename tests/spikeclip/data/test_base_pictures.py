from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from hqgen.errors import StoreError, UsageError
from hqgen.methods.learned.base import Base
from spikeclip.data.base_pictures import BasePictures, slow_window
from spikeclip.data.lowlight import LowLightSet, LowLightSplit, open_prepared
from tests.builder.small import Recorder

THREE = np.array([0, 4, 11])


@pytest.fixture(scope="module")
def known(low_light: LowLightSet, tmp_path_factory: pytest.TempPathFactory) -> LowLightSet:
    """A set of its own, so that nothing is left beside the one that all tests share."""
    path = tmp_path_factory.mktemp("base") / "low.zarr"
    shutil.copytree(low_light.path, path)
    return open_prepared(path)


@pytest.fixture(scope="module")
def few(known: LowLightSet) -> LowLightSplit:
    return known.split("train").select(THREE)


@pytest.fixture(scope="module")
def made(known: LowLightSet, few: LowLightSplit) -> BasePictures:
    pictures = BasePictures(known)
    assert pictures.make(few)
    return pictures


def test_four_frames_become_one_that_fires_where_any_did(few: LowLightSplit) -> None:
    stream = few.stream(0)
    window = slow_window(stream)
    assert window.stream.shape == (50, 40, 40)
    assert window.frame == 25
    np.testing.assert_array_equal(window.stream.frames(), stream.frames().reshape(50, 4, 40, 40).max(1))


def test_pictures_are_those_of_base_as_a_rate_per_frame(made: BasePictures, few: LowLightSplit) -> None:
    found = made.read(few, np.array([2, 0]))
    expected = [Base().reconstruct(slow_window(few.stream(index))) / 4 for index in (2, 0)]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.stack(expected), rtol=1e-3, atol=1e-5)  # kept in half precision
    assert 0.02 < found.mean() < 0.06


def test_pictures_are_made_once_and_belong_to_the_stored_sample(
    made: BasePictures, known: LowLightSet, few: LowLightSplit
) -> None:
    files = {file: file.stat().st_mtime_ns for file in made.folder.rglob("*.npy")}
    assert sorted(file.name for file in files) == ["000000.npy", "000004.npy", "000011.npy"]
    again, seen = BasePictures(known), Recorder()
    assert again.make(few, seen)
    assert {file: file.stat().st_mtime_ns for file in made.folder.rglob("*.npy")} == files
    assert seen.done == {}
    np.testing.assert_array_equal(again.read(few.select([1]), np.array([0])), made.read(few, np.array([1])))


def test_stopped_making_continues_with_what_is_missing(
    known: LowLightSet, few: LowLightSplit, tmp_path: Path
) -> None:
    shutil.copytree(known.path, tmp_path / "low.zarr")
    pictures, asked = BasePictures(open_prepared(tmp_path / "low.zarr")), iter([False, True])
    assert not pictures.make(few, stop=lambda: next(asked))
    with pytest.raises(StoreError, match=r"000004.npy` of `base` is missing"):
        pictures.read(few, np.arange(3))
    seen = Recorder()
    assert pictures.make(few, seen)
    assert seen.totals == {"pictures of `base`": 3}
    assert seen.done == {"pictures of `base`": 3}


def test_damaged_picture_is_named(known: LowLightSet, few: LowLightSplit, tmp_path: Path) -> None:
    shutil.copytree(known.path, tmp_path / "low.zarr")
    pictures = BasePictures(open_prepared(tmp_path / "low.zarr"))
    pictures.make(few)
    file = pictures.folder / "train/000011.npy"
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(StoreError, match=r"000011.npy` of `base` is missing or damaged") as caught:
        pictures.read(few, np.arange(3))
    assert "remove `000011.npy`" in caught.value.hint


def test_place_where_nothing_can_be_written_is_named(
    known: LowLightSet, few: LowLightSplit, tmp_path: Path
) -> None:
    shutil.copytree(known.path, tmp_path / "low.zarr")
    (tmp_path / "low.base").write_text("in the way")
    with pytest.raises(UsageError, match=r"pictures of `base` cannot be written to"):
        BasePictures(open_prepared(tmp_path / "low.zarr")).make(few)


def test_another_set_of_the_same_name_has_pictures_of_its_own(
    known: LowLightSet, low_light: LowLightSet
) -> None:
    other = BasePictures(LowLightSet(**{**known.__dict__, "digest": "f" * 64}))
    assert other.folder != BasePictures(known).folder
    assert low_light.digest[:16] in str(BasePictures(known).folder)
