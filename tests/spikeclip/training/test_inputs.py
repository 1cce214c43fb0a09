from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hqgen.errors import SourceError, StoreError, UnknownNameError, UsageError, WeightsError
from spikeclip.clip.files import save_clip
from spikeclip.data.announced import announced
from spikeclip.data.lowlight import LowLightSet
from spikeclip.networks import build, save_network
from spikeclip.training.inputs import check_inputs
from spikeclip.training.settings import train_settings
from tests.spikeclip.tiny_clip import tiny_clip, tiny_config


@pytest.fixture(scope="session")
def values(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    clip = tmp_path_factory.mktemp("clip") / "tiny.pth"
    save_clip(clip, tiny_clip().model, tiny_config(), meta={})
    stages = {stage: {"batch": 4} for stage in ("coarse", "prompt", "fine")}
    return {"crop": 16, "clip": {"model": "small", "weights": str(clip)}, **stages}


def will_be(train: Sequence[int], side: int = 40) -> LowLightSet:
    return announced(Path("recordings"), ["cat", "dog"], (side, side), 200, {"train": train})


TWELVE = will_be([0, 1] * 6)


def test_what_fits_passes(values: dict[str, Any], hq_store: Path, low_light: LowLightSet) -> None:
    check_inputs([hq_store], TWELVE, train_settings(values))
    check_inputs([hq_store], low_light, train_settings(values))
    check_inputs(None, TWELVE, train_settings(values))  # a recipe makes the store later
    check_inputs([], TWELVE, train_settings(values), "coarse")


def test_missing_supervisors_are_named(values: dict[str, Any], hq_store: Path, tmp_path: Path) -> None:
    settings, gone = train_settings(values), {"model": "small", "weights": str(tmp_path / "gone.pth")}
    with pytest.raises(UsageError, match="stage `prompt` needs an HQ store"):
        check_inputs([], TWELVE, settings, "fine")
    with pytest.raises(StoreError, match=r"gone.zarr"):
        check_inputs([tmp_path / "gone.zarr"], TWELVE, settings)
    with pytest.raises(WeightsError, match=r"gone.pth"):
        check_inputs([hq_store], TWELVE, train_settings({**values, "clip": gone}))
    with pytest.raises(WeightsError, match=r"start.pth"):
        check_inputs([hq_store], TWELVE, train_settings({**values, "initial": str(tmp_path / "start.pth")}))
    save_network(tmp_path / "start.pth", build("lrn", 7), {})
    with pytest.raises(UsageError, match=r"start.pth` is `lrn` of 7 bins"):
        check_inputs([hq_store], TWELVE, train_settings({**values, "initial": str(tmp_path / "start.pth")}))


def test_damaged_hq_store_is_named(values: dict[str, Any], hq_store: Path, tmp_path: Path) -> None:
    shutil.copytree(hq_store.parent, tmp_path / "hq")
    shard = next((tmp_path / "hq/hq.zarr").rglob("images/c/0/0/0"))
    shard.write_bytes(shard.read_bytes()[:-50])
    with pytest.raises(StoreError, match=r"the HQ store `.*` is damaged"):
        check_inputs([tmp_path / "hq/hq.zarr"], TWELVE, train_settings(values))


@pytest.mark.parametrize(
    ("low_light", "changes", "error", "message"),
    [
        (will_be([0]), {}, SourceError, "`recordings` has too few training samples: 1"),
        (will_be([0, 1] * 2), {}, UsageError, "has 3 samples, too few for a batch of 4"),
        (will_be([0, 1] * 6, side=12), {}, UsageError, "12x12 pixels, too small for a crop of 16x16"),
        (
            will_be([1] * 12),
            {"stages": "fine", "fine": {"batch": 4, "prompt-weight": 0}},
            SourceError,
            "are of the class `dog`: the class loss needs two classes",
        ),
        (
            announced(Path("x"), ["cat"], (40, 40), 200, {"test": [0] * 12}),
            {},
            UnknownNameError,
            "unknown split of the low-light set `x` `train`",
        ),
    ],
)
def test_set_that_will_not_do_is_named_before_it_is_made(
    low_light: LowLightSet,
    changes: dict[str, Any],
    error: type[Exception],
    message: str,
    values: dict[str, Any],
) -> None:
    with pytest.raises(error, match=message):
        check_inputs(None, low_light, train_settings({**values, **changes}))


def test_other_terms_do_not_need_two_classes(values: dict[str, Any]) -> None:
    fine = {"batch": 4, "prompt-weight": 0, "anchor-weight": 1}
    check_inputs(None, will_be([1] * 12), train_settings({**values, "stages": "fine", "fine": fine}))
