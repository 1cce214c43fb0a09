from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqgen.errors import SourceError, StoreError, UsageError
from spikeclip.data.announced import announced_pictures
from spikeclip.data.lowlight import LowLightSet
from spikeclip.data.opening import announce, open_low_light
from spikeclip.data.settings import SimulateSettings
from spikeclip.data.simulated import simulate_low_light


def header(found: LowLightSet) -> list[object]:
    splits = {name: (len(found.split(name)), found.split(name).labels.tolist()) for name in found.splits}
    return [found.labels, found.geometry, found.frames, splits]


def test_set_of_recordings_is_known_from_their_headers(
    low_light_folder: Path, low_light: LowLightSet
) -> None:
    assert header(announce(low_light_folder)) == header(low_light)
    assert header(announce(low_light.path)) == header(low_light)


def test_set_of_pictures_is_known_from_their_names(tmp_path: Path) -> None:
    for place in ("train/a/1", "train/b/1", "train/b/2", "test/a/1", "test/b/9"):
        file = tmp_path / "pictures" / f"{place}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 16), 90, np.uint8)).save(file)
    settings = SimulateSettings(height=16, width=24, frames=8, train=1)
    made = simulate_low_light(tmp_path / "pictures", tmp_path / "low.zarr", settings)
    assert header(announced_pictures(tmp_path / "pictures", settings)) == header(made)
    with pytest.raises(SourceError, match="has 1 pictures of the class `a`, 2 were asked for"):
        announced_pictures(tmp_path / "pictures", SimulateSettings(train=2))


def test_demo_is_announced_as_it_will_be(tmp_path: Path) -> None:
    found = announce("demo")
    assert header(found)[:3] == [found.labels, (72, 72), 200]
    assert [(name, len(found.split(name))) for name in found.splits] == [("train", 64), ("test", 16)]
    assert found.split("train").labels.tolist() == sorted(list(range(8)) * 8)


def test_sample_of_a_set_that_is_not_made_is_an_error(low_light_folder: Path) -> None:
    with pytest.raises(StoreError, match="sample `0` of the low-light set is damaged"):
        announce(low_light_folder).split("train").read([0])


def test_folder_that_no_set_can_be_made_of_is_named_as_by_the_making(tmp_path: Path) -> None:
    (tmp_path / "things").mkdir()
    for call in (announce, lambda folder: open_low_light(folder, tmp_path / "low.zarr")):
        with pytest.raises(UsageError, match="it is not known which dataset"):
            call(tmp_path / "things")
        with pytest.raises(SourceError, match="there is no folder"):
            call(tmp_path / "gone")
