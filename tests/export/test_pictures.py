"""PNG files: the pixels of the store, or of the winners made again, and where they are from."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqgen.errors import HqgenError, StoreError
from hqgen.export.run import Exported
from hqgen.manifest import read_manifest
from hqgen.quality.normalise import to_uint8, to_uint16
from hqgen.spikes.recording import write_dat
from hqgen.store import open_store
from tests.builder.small import stream

Export = Callable[..., Exported]


def test_a_picture_carries_its_origin(export: Export, ugly: Path, tmp_path: Path) -> None:
    export("imagefolder")
    file = tmp_path / "set/train/one/=3Cimg=20src=3Dx=20onerror=3Dalert=281=29=3E.png"
    with Image.open(file) as image:
        assert (image.mode, image.size) == ("L", (104, 96))
        text = image.text  # type: ignore[attr-defined]
    assert text["hqgen:key"] == "one/<img src=x onerror=alert(1)>"
    assert text["hqgen:plan_id"] == read_manifest(ugly).plan_id
    assert (text["hqgen:method"], text["hqgen:score"], text["hqgen:frame"]) == ("tfi", "5.0", "4")
    assert text["Software"].startswith("hqgen ")


def test_sixteen_bits_are_the_winner_again_with_finer_levels(
    export: Export, built: Path, tmp_path: Path
) -> None:
    manifest = read_manifest(built / "manifest.json")
    source = open_store(built / "hq.zarr")["folder-lab"]
    export("imagefolder", path=built / "manifest.json", bits=16)
    found = {}
    for row, sample in enumerate(manifest.sources[0].samples):
        if sample.method is not None:
            (file,) = (tmp_path / "set").rglob(f"{sample.key.split('/')[1]}*.png")
            with Image.open(file) as image:
                assert image.mode == "I;16"
                found[row] = np.asarray(image)
    assert len(found) == 4
    for row, levels in found.items():
        assert levels.dtype == np.uint16
        assert np.abs(levels / 257 - source.images[row]).max() <= 0.51
        assert (levels % 257 > 0).any()


def test_a_recording_that_has_changed_is_not_exported_with_sixteen_bits(
    export: Export, moved: Path, tmp_path: Path
) -> None:
    with pytest.raises(HqgenError, match="are gone"):
        export("imagefolder", path=moved / "manifest.json", bits=16)
    shutil.copytree(tmp_path / "new", tmp_path / "copy")
    write_dat(tmp_path / "copy/lab/scene0.dat", stream(99))
    with pytest.raises(StoreError, match=r"scene0.*not that of the store"):
        export("imagefolder", path=moved / "manifest.json", bits=16, data_root=tmp_path / "copy")
    assert not (tmp_path / "set").exists()


def test_sixteen_bits_are_the_same_rule_as_eight() -> None:
    image = np.random.default_rng(0).random((96, 104), np.float32)
    fine, coarse = to_uint16(image), to_uint8(image)
    assert fine.dtype == np.uint16
    assert fine.max() == 65535
    assert np.abs(fine / 257 - coarse).max() <= 0.51
