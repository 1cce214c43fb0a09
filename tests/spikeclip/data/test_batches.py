from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hqgen.errors import UsageError
from hqgen.methods.tfi import TFI
from hqgen.spikes.packed import Window
from spikeclip.data.batches import CHANCES, Batch, Batches, BatchMaker
from spikeclip.data.lowlight import LowLightSet, LowLightSplit, open_prepared
from spikeclip.data.voxels import voxelize


@pytest.fixture
def split(low_light: LowLightSet) -> LowLightSplit:
    return low_light.split("train")


def batches(split: LowLightSplit, size: int = 4, **changes: Any) -> Batches:
    made = {name: changes.pop(name) for name in ("crop", "target") if name in changes}
    settings: dict[str, Any] = {"seed": 0, "stage": "coarse"} | changes
    return Batches(BatchMaker(split, size, **made), **settings)


def assert_same(one: Batch, other: Batch) -> None:
    for name in ("voxel", "label", "target"):
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None)
        assert a is None or torch.equal(a, b)


def test_a_batch_holds_voxels_targets_and_labels_of_its_rows(split: LowLightSplit) -> None:
    made = batches(split, crop=32, target="tfi")
    batch, method = made.batch(1), TFI(variant="spikeclip")
    assert batch.voxel.shape == (4, 50, 32, 32)
    assert batch.target is not None
    assert batch.target.shape == (4, 1, 32, 32)
    assert batch.label.dtype == torch.int64
    for place, row in enumerate(made.rows(1)):
        stream = split.stream(row)
        np.testing.assert_array_equal(batch.voxel[place], voxelize(stream)[:, 4:36, 4:36])
        expected = method.reconstruct(Window(stream, 100))[4:36, 4:36]
        np.testing.assert_array_equal(batch.target[place, 0], expected)
        assert batch.label[place] == split.labels[row]


def test_an_epoch_shows_every_sample_once_and_the_next_in_another_order(split: LowLightSplit) -> None:
    made = batches(split)
    assert made.steps_per_epoch == 3
    first, second = (np.concatenate([made.rows(3 * epoch + step) for step in range(3)]) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(12))
    assert first.tolist() != second.tolist()


def test_samples_that_fill_no_batch_change_from_epoch_to_epoch(split: LowLightSplit) -> None:
    made = batches(split, size=5)
    assert made.steps_per_epoch == 2
    shown = [set(np.concatenate([made.rows(2 * epoch), made.rows(2 * epoch + 1)])) for epoch in range(5)]
    assert all(len(rows) == 10 for rows in shown)
    assert set.union(*shown) == set(range(12))


def test_a_batch_depends_on_seed_stage_and_step_alone(split: LowLightSplit) -> None:
    one = batches(split, flip=True)
    one.batch(0)
    assert_same(one.batch(7), batches(split, flip=True).batch(7))
    for change in ({"seed": 1}, {"stage": "fine"}):
        assert batches(split, **change).rows(7).tolist() != one.rows(7).tolist()


@pytest.mark.parametrize(
    ("size", "count", "sizes"), [(8, 4, [2] * 4), (7, 3, [3, 3, 1]), (2, 5, [1, 1]), (3, 1, [3])]
)
def test_split_keeps_every_sample_once_and_the_labels_of_the_whole_batch(
    size: int, count: int, sizes: list[int]
) -> None:
    rows = torch.arange(size)
    parts = Batch(rows[:, None, None, None].float(), rows, torch.arange(99), hq=rows.float()).split(count)
    assert [len(item) for item in parts] == sizes
    assert torch.equal(torch.cat([item.label for item in parts]), torch.arange(size))
    for item in parts:
        assert torch.equal(item.voxel.flatten().long(), item.label)
        assert item.hq is not None
        assert torch.equal(item.hq.long(), item.label)
        assert item.target is None
        assert len(item.batch_label) == 99


def test_target_is_the_mean_rate_or_the_pictures_of_base(split: LowLightSplit) -> None:
    made = batches(split, crop=32, target="tfp").batch(0)
    assert made.target is not None
    streams = [split.stream(row).frames()[:, 4:36, 4:36].mean(0) for row in batches(split).rows(0)]
    np.testing.assert_allclose(made.target[:, 0], streams, rtol=1e-6)

    class Pictures:
        def read(self, split: LowLightSplit, rows: Any) -> Any:
            return np.arange(40 * 40, dtype=np.float32).reshape(40, 40) + split.rows[rows][:, None, None]

    maker = BatchMaker(split, 4, crop=32, target="base", base=Pictures())  # type: ignore[arg-type]
    plain, flipped = (Batches(maker, seed=0, stage="fine", flip=flip).batch(0) for flip in (False, True))
    assert plain.target is not None
    assert flipped.target is not None
    assert plain.target.shape == (4, 1, 32, 32)
    rows = Batches(maker, seed=0, stage="fine").rows(0)
    np.testing.assert_array_equal(plain.target[:, 0, 0, 0], 4 * 40 + 4 + rows)
    for place in range(4):
        mirrored = torch.equal(plain.voxel[place].flip(-1), flipped.voxel[place])
        assert torch.equal(flipped.target[place], plain.target[place].flip((-1,) if mirrored else ()))


def test_flip_mirrors_voxel_and_target_of_some_samples_together(split: LowLightSplit) -> None:
    plain, flipped = (batches(split, size=12, target="tfi", flip=flip).batch(0) for flip in (False, True))
    assert plain.target is not None
    assert flipped.target is not None
    mirrored = [torch.equal(a.flip(-1), b) for a, b in zip(plain.voxel, flipped.voxel, strict=True)]
    for place, is_mirrored in enumerate(mirrored):
        axes = (-1,) if is_mirrored else ()
        assert torch.equal(flipped.voxel[place], plain.voxel[place].flip(axes))
        assert torch.equal(flipped.target[place], plain.target[place].flip(axes))
    assert 0 < sum(mirrored) < 12


def test_random_numbers_of_a_sample_come_with_it_and_are_new_in_each_batch(split: LowLightSplit) -> None:
    whole = [batches(split, size=6).batch(step).chance for step in (0, 1)]
    parts = [batches(split, size=6, rank=rank, world=3).batch(1).chance for rank in range(3)]
    assert whole[0] is not None
    assert whole[1] is not None
    np.testing.assert_array_equal(np.concatenate([part for part in parts if part is not None]), whole[1])
    assert whole[0].shape == (6, CHANCES)
    assert len(np.unique([whole[0], whole[1]])) == 2 * 6 * CHANCES
    halves = [part.chance for part in batches(split, size=6).batch(1).split(2)]
    np.testing.assert_array_equal(np.concatenate([half for half in halves if half is not None]), whole[1])


def test_ranks_share_each_batch(split: LowLightSplit) -> None:
    whole = batches(split, size=6, flip=True).batch(1)
    parts = [batches(split, size=6, flip=True, rank=rank, world=3).batch(1) for rank in range(3)]
    assert torch.equal(torch.cat([part.voxel for part in parts]), whole.voxel)
    assert torch.equal(torch.cat([part.label for part in parts]), whole.label)


def test_samples_that_are_not_resident_give_the_same_batches(
    low_light: LowLightSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    resident = batches(low_light.split("train"), flip=True).batch(3)
    monkeypatch.setattr("spikeclip.data.lowlight._free_memory", lambda _: 0)
    split = open_prepared(low_light.path).split("train")
    assert split.resident() is None
    assert_same(batches(split, flip=True).batch(3), resident)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"size": 13}, "12 samples, too few for a batch of 13"),
        ({"size": 0}, "batch of 0"),
        ({"size": 4, "world": 3}, "does not divide among 3 processes"),
        ({"crop": 41}, "too small for a crop of 41x41"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(
    changes: dict[str, Any], complaint: str, split: LowLightSplit
) -> None:
    with pytest.raises(UsageError, match=complaint):
        batches(split, **changes)
