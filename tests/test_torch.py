"""A store as a data set of PyTorch: the pictures of the store, by part, method, limits and verdicts."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from hqgen.curation import Journal
from hqgen.errors import StoreError, UnknownNameError, UsageError
from hqgen.manifest import read_manifest
from hqgen.store import open_store
from hqgen.torch import HQDataset
from tests.builder.small import HEIGHT, WIDTH, build_again, settings_for, write_scenes

SOURCE = "folder-lab"


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("torch")
    build_again(settings_for(write_scenes(root / "lab", 5), shard_size=2))
    return root / "out"


def test_the_winners_of_a_store_come_in_batches(once: Path) -> None:
    data = HQDataset(once)
    source = open_store(once / "hq.zarr")[SOURCE]
    (batch,) = DataLoader(data, batch_size=8)
    assert batch["image"].shape == (5, 1, HEIGHT, WIDTH)
    assert batch["image"].dtype == torch.uint8
    np.testing.assert_array_equal(batch["image"][:, 0].numpy(), source.images[:])
    assert batch["key"] == source.keys
    assert [source.methods[column] for column in source.method] == batch["method"]
    np.testing.assert_array_equal(batch["score"].numpy(), np.nanmin(source.scores, axis=1))
    np.testing.assert_array_equal(batch["margin"].numpy(), source.margin)


@pytest.mark.parametrize("method", ["tfp", "tfi"])
def test_the_candidates_of_a_method(once: Path, method: str) -> None:
    data = HQDataset(once, method=method, transform=lambda image: image.float() / 255)
    source = open_store(once / "hq.zarr")[SOURCE]
    for row, item in enumerate(data[row] for row in range(len(data))):
        assert item["method"] == method
        assert item["score"] == source.scores[row, source.methods.index(method)]
        np.testing.assert_array_equal((item["image"][0] * 255).numpy(), source.candidates[method][row])


def test_parts_are_disjoint_and_whole(once: Path) -> None:
    split = "train=0.5,val=0.5"
    parts = [HQDataset(once, part=part, split=split) for part in ("train", "val")]
    keys = [{item.record.key for item in part.samples} for part in parts]
    assert len(keys[0]) + len(keys[1]) == len(keys[0] | keys[1]) == 5


def test_limits_and_verdicts_choose_samples(once: Path, tmp_path: Path) -> None:
    import shutil

    store = Path(shutil.copytree(once, tmp_path / "store"))
    records = read_manifest(store / "manifest.json").sources[0].samples
    best = min(record.score for record in records if record.score is not None)
    assert len(HQDataset(store, max_score=best)) == 1
    overruled = {"tfp": "tfi", "tfi": "tfp"}[str(records[0].method)]
    Journal(store).add("pick", [records[0].key], method=overruled)
    Journal(store).add("reject", [records[1].key])
    data = HQDataset(store)
    assert [item.record.key for item in data.samples] == [records[row].key for row in (0, 2, 3, 4)]
    candidates = open_store(store / "hq.zarr")[SOURCE].candidates[overruled]
    np.testing.assert_array_equal(data[0]["image"][0].numpy(), candidates[0])
    assert len(HQDataset(store, curation="ignore")) == 5


def test_a_worker_of_a_loader_can_open_it(once: Path) -> None:
    data = HQDataset(once)
    again = pickle.loads(pickle.dumps(data))
    assert torch.equal(again[3]["image"], data[3]["image"])


def test_what_is_not_there_is_named(once: Path, built: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="ssml"):
        HQDataset(once, method="ssml")
    with pytest.raises(UnknownNameError, match="dev"):
        HQDataset(once, part="dev")
    with pytest.raises(UsageError, match="keeps winners only"):
        HQDataset(built, method="tfp")
    with pytest.raises(UsageError, match="no sample"):
        HQDataset(once, max_score=0)
    with pytest.raises(StoreError):
        HQDataset(tmp_path)
