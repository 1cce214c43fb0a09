from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from hqgen.errors import StoreError, UsageError
from hqgen.store import open_store
from spikeclip.data import hq_crops as hq
from spikeclip.data.hq_crops import HQCrops

Images = NDArray[np.uint8]


def pictures(path: Path) -> Images:
    store = open_store(path)
    images: Images = store[store.sources[0]].images[:]
    return images


def which(crop: Images, images: Images) -> int:
    """The picture that a crop was cut from; there is exactly one."""
    windows = np.lib.stride_tricks.sliding_window_view(images, crop.shape, axis=(1, 2))
    (found,) = set(np.flatnonzero((windows == crop).all(axis=(3, 4)).any(axis=(1, 2))))
    return int(found)


@pytest.fixture
def spoiled(hq_store: Path, tmp_path: Path) -> Path:
    """A copy of the store and its manifest that a test may spoil."""
    return Path(shutil.copytree(hq_store.parent, tmp_path / "out")) / "hq.zarr"


def test_crops_are_cut_from_the_pictures_each_once_an_epoch(hq_store: Path) -> None:
    crops, images = HQCrops([hq_store], 32, seed=0), pictures(hq_store)
    assert len(crops) == len(images) == 7
    batch = crops.batch(0, 14)
    assert batch.shape == (14, 32, 32)
    assert batch.dtype == np.uint8
    shown = [which(crop, images) for crop in batch]
    assert sorted(shown[:7]) == sorted(shown[7:]) == list(range(7))
    assert shown[:7] != shown[7:]


def test_batches_of_one_size_go_through_the_pictures_without_a_gap(hq_store: Path) -> None:
    crops, images = HQCrops([hq_store], 96, seed=3), pictures(hq_store)
    shown = [which(crop, images) for step in range(7) for crop in crops.batch(step, 2)]
    assert sorted(shown[:7]) == sorted(shown[7:]) == list(range(7))


def test_a_batch_depends_on_seed_step_and_size_alone(hq_store: Path) -> None:
    one = HQCrops([hq_store], 32, seed=5)
    one.batch(0, 4)
    np.testing.assert_array_equal(one.batch(9, 4), HQCrops([hq_store], 32, seed=5).batch(9, 4))
    assert (one.batch(9, 4) != HQCrops([hq_store], 32, seed=6).batch(9, 4)).any()


def test_pictures_come_from_a_few_shards_at_a_time(hq_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hq, "POOL", 2)
    crops, images = HQCrops([hq_store], 96, seed=1), pictures(hq_store)
    for epoch in range(3):
        shards = [which(crop, images) // 2 for crop in crops.batch(epoch, 7)]
        first = 3 if 3 in shards[:3] and len(set(shards[:3])) == 2 else 4  # the last shard has one picture
        assert len(set(shards[:first])) == 2
        assert not set(shards[:first]) & set(shards[first:])


def test_every_place_of_a_picture_can_be_cut(hq_store: Path) -> None:
    images = pictures(hq_store)
    crops = HQCrops([hq_store], 95, seed=0).batch(0, 7 * 60)
    corners = {tuple(crop[[0, 0, -1, -1], [0, -1, 0, -1]]) for crop in crops}
    assert len(corners) > 0.8 * 2 * 10 * len(images) * 0.9  # 2 x 10 places in each of 96x104 pixels


def test_pictures_without_a_winner_are_left_out(spoiled: Path) -> None:
    images = pictures(spoiled)
    source = open_store(spoiled).sources[0]
    valid = zarr.open_array(spoiled / source / "valid", mode="r+")
    valid[2] = False
    crops = HQCrops([spoiled], 96, seed=0)
    assert sorted(which(crop, images) for crop in crops.batch(0, 6)) == [0, 1, 3, 4, 5, 6]
    valid[:] = False
    with pytest.raises(StoreError, match="no valid picture"):
        HQCrops([spoiled], 96, seed=0)


def test_several_stores_are_one_set(hq_store: Path, spoiled: Path) -> None:
    crops = HQCrops([hq_store, spoiled], 96, seed=0)
    assert len(crops) == 14
    images = pictures(hq_store)
    shown = [which(crop, images) for crop in crops.batch(0, 14)]
    assert sorted(shown) == sorted([*range(7), *range(7)])


def test_pictures_smaller_than_the_crop_are_refused(hq_store: Path) -> None:
    with pytest.raises(UsageError, match="96x104, too small for crops of 97x97"):
        HQCrops([hq_store], 97, seed=0)


def test_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no HQ store"):
        HQCrops([tmp_path / "hq.zarr"], 32, seed=0)


def test_verify_finds_a_changed_picture(hq_store: Path, spoiled: Path) -> None:
    HQCrops([hq_store], 32, seed=0).verify()
    images = zarr.open_array(spoiled / open_store(spoiled).sources[0] / "images", mode="r+")
    images[0:2] = 7
    with pytest.raises(StoreError, match=r"is damaged: .*shard 0"):
        HQCrops([hq_store, spoiled], 32, seed=0).verify()


def test_a_shard_that_cannot_be_read_is_named(spoiled: Path) -> None:
    source = open_store(spoiled).sources[0]
    shard = spoiled / source / "images/c/1/0/0"
    shard.write_bytes(shard.read_bytes()[:-5])
    with pytest.raises(StoreError, match="pictures 2 onwards"):
        HQCrops([spoiled], 32, seed=0).batch(0, 7)
