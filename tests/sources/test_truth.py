"""Ground truth, in files and simulated."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqgen.errors import SourceError
from hqgen.sources.demo import demo_truth
from hqgen.sources.truth import DemoTruth, FileTruth


def test_a_picture_is_brightness_as_it_is(tmp_path: Path) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(grey).save(tmp_path / "gt.png")
    light = FileTruth(tmp_path, "gt.png").light()
    assert light.dtype == np.float32
    assert np.array_equal(np.rint(light * 255), grey)


def test_a_digest_changes_with_the_picture(tmp_path: Path) -> None:
    truth = FileTruth(tmp_path, "gt.png")
    digests = set()
    for level in (1, 2):
        Image.fromarray(np.full((8, 8), level, np.uint8)).save(truth.path)
        digests.add(truth.digest())
    assert len(digests) == 2


def test_a_picture_that_is_gone_is_an_error_that_names_it(tmp_path: Path) -> None:
    truth = FileTruth(tmp_path, "gone.png")
    with pytest.raises(SourceError, match=r"gone\.png"):
        truth.digest()
    with pytest.raises(SourceError, match=r"gone\.png"):
        truth.light()


def test_the_truth_of_a_simulated_scene_is_its_light_not_rounded() -> None:
    truth = pickle.loads(pickle.dumps(DemoTruth("moon")))
    assert np.array_equal(truth.light(), demo_truth("moon"))
    assert truth.digest() != DemoTruth("chart").digest()
