from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hqgen.quality.consistency import consistency
from hqgen.quality.fidelity import at_best_gain, psnr, ssim
from hqgen.spikes.packed import PackedSpikes
from spikeclip.data.lowlight import LowLightSet
from spikeclip.data.lowlight_writer import LabelledStream, write
from spikeclip.evaluation.quality import brightened
from spikeclip.evaluation.reference import Reference, missing_truth, references

LIGHT = np.random.default_rng(0).random((24, 20))
EXPOSURE = np.random.default_rng(1).integers(0, 3, (24, 20)).astype(np.float32)
DIM = LIGHT.astype(np.float32)


def test_an_output_is_compared_with_the_truth_at_its_best_gain() -> None:
    image = np.float32(0.04) * DIM**2 + np.float32(0.002)
    found = Reference(EXPOSURE, LIGHT).scores(image, brightened(image))
    fitted = at_best_gain(image, LIGHT)
    assert found["psnr"].value == psnr(fitted, LIGHT)
    assert found["ssim"].value == ssim(fitted, LIGHT)
    picture = brightened(image)
    assert not isinstance(picture, str)
    assert found["consistency"].value == consistency(picture[None], EXPOSURE)[0]
    brighter = Reference(EXPOSURE, LIGHT).scores(image * 8, brightened(image * 8))
    assert {key: score.value for key, score in brighter.items()} == pytest.approx(
        {key: score.value for key, score in found.items()}
    )


def test_without_truth_there_is_consistency_alone() -> None:
    assert set(Reference(EXPOSURE, None).scores(DIM, brightened(DIM))) == {"consistency"}


def test_what_cannot_be_compared_has_a_reason() -> None:
    image = DIM.copy()
    image[3, 4] = np.nan
    for key, score in Reference(EXPOSURE, LIGHT).scores(image, brightened(image)).items():
        assert score.value == np.inf, key
        assert score.reason
    white = np.ones((24, 20), np.float32)
    same = Reference(EXPOSURE, np.ones((24, 20))).scores(white, "no picture")
    assert same["psnr"].reason == "the picture is the truth"
    assert same["consistency"].reason == "no picture"
    dark = Reference(np.zeros_like(EXPOSURE), LIGHT).scores(DIM, brightened(DIM))
    assert dark["consistency"].reason == "no spike was counted around the frame"


def test_references_are_of_the_middle_square_and_the_middle_frame(low_light: LowLightSet) -> None:
    split = low_light.split("test")
    found = references(split, [1, 4], split.read([1, 4])[0], 32)
    assert [item.truth for item in found] == [None, None]
    frames = split.stream(4).frames()
    np.testing.assert_array_equal(found[1].exposure, frames[97:104, 4:36, 4:36].sum(0))


def test_clean_pictures_are_light_from_0_to_1(tmp_path_factory: pytest.TempPathFactory) -> None:
    truth = np.arange(40 * 48, dtype=np.uint8).reshape(40, 48)
    spikes = PackedSpikes.pack(np.ones((8, 40, 48), np.uint8))
    made = write(
        tmp_path_factory.mktemp("set") / "low.zarr",
        labels=["one"],
        geometry=(40, 48),
        frames=8,
        splits={"test": 1},
        samples=lambda _split: [lambda: LabelledStream("a", 0, spikes, truth)],
        made_from={"sensor": {}},
        with_truth=True,
    )
    split = made.split("test")
    (found,) = references(split, [0], split.read([0])[0], 32)
    assert found.truth is not None
    np.testing.assert_allclose(found.truth, truth[4:36, 8:40] / 255)
    assert missing_truth(made) == ""
    assert "simulate it again" in missing_truth(replace(made, truth=None))


def test_recordings_have_no_truth_and_the_reason_says_so(low_light: LowLightSet) -> None:
    assert missing_truth(low_light) == "it was made of recordings, of which nobody knows the truth"
