"""What is measured of one picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hqgen.benchmark.judging import panel
from hqgen.benchmark.results import Judged
from hqgen.errors import ScoreError, UnknownNameError
from hqgen.quality.consistency import consistency
from hqgen.quality.fidelity import at_best_gain, psnr, ssim
from hqgen.quality.niqe import niqe, score_images
from hqgen.quality.normalise import to_uint8
from hqgen.spikes.exposure import key_exposure
from hqgen.spikes.packed import Window
from tests.builder.small import HEIGHT, WIDTH, stream

RATE = 0.7


@pytest.fixture(scope="module")
def exposure() -> NDArray[np.float32]:
    return key_exposure(Window(stream(0), 25))


@pytest.fixture(scope="module")
def image() -> NDArray[np.float32]:
    """A firing rate."""
    rate: NDArray[np.float32] = stream(0).frames()[5:46].mean(axis=0, dtype=np.float32)
    return rate


@pytest.fixture(scope="module")
def truth(image: NDArray[np.float32]) -> NDArray[np.float32]:
    noise = np.random.default_rng(9).normal(0, 0.02, image.shape)
    return np.clip(image / RATE + noise, 0, 1).astype(np.float32)


def judge(image: NDArray[np.float32], exposure: NDArray[np.float32], **changes: Any) -> Judged:
    judges, _ = panel("niqe", [(HEIGHT, WIDTH)])
    values: dict[str, Any] = {"scale": "rate", "rate_per_brightness": RATE, "truth": None}
    return judges.judge(image, exposure=exposure, **(values | changes))


def test_an_output_is_judged_raw_and_bright(
    image: NDArray[np.float32], exposure: NDArray[np.float32]
) -> None:
    found = judge(image, exposure)
    assert found.raw["niqe"] == pytest.approx(float(score_images(image)[0][0]))
    assert found.bright["niqe"] == pytest.approx(float(niqe(to_uint8(image))[0]))
    assert found.consistency == float(consistency(to_uint8(image)[None], exposure)[0])
    assert found.plain is found.fitted is None


def test_bright_numbers_do_not_depend_on_the_unit_of_the_output_and_raw_ones_do(
    image: NDArray[np.float32], exposure: NDArray[np.float32], truth: NDArray[np.float32]
) -> None:
    one = judge(image, exposure, truth=truth)
    other = judge(image / np.float32(4), exposure, truth=truth)
    assert one.bright == other.bright
    assert one.consistency == other.consistency
    assert one.fitted is not None
    assert other.fitted is not None
    assert one.fitted.psnr == pytest.approx(other.fitted.psnr, abs=1e-4)
    assert one.plain != other.plain
    assert one.raw != other.raw


def test_ground_truth_is_compared_by_the_declared_scale_and_at_the_best_gain(
    image: NDArray[np.float32], exposure: NDArray[np.float32], truth: NDArray[np.float32]
) -> None:
    found = judge(image, exposure, truth=truth)
    light = truth.astype(np.float64)
    assert found.plain is not None
    assert found.fitted is not None
    assert found.plain.psnr == pytest.approx(psnr(np.clip(image / RATE, 0, 1), light), abs=1e-4)
    assert found.fitted.ssim == pytest.approx(ssim(at_best_gain(image, light), light))
    assert judge(image, exposure, truth=truth, scale="other").plain is None
    assert judge(image, exposure, truth=truth, rate_per_brightness=None).plain is None


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_picture_that_is_flat_or_not_finite_has_no_scores_and_harms_nothing(
    value: float, exposure: NDArray[np.float32], truth: NDArray[np.float32]
) -> None:
    image = np.full((HEIGHT, WIDTH), value, np.float32)
    found = judge(image, exposure, truth=truth)
    assert found.raw == found.bright == {"niqe": None}
    assert found.consistency is None
    assert (found.fitted is None) == (not np.isfinite(value))


def test_a_picture_of_another_size_than_its_ground_truth_is_refused(
    image: NDArray[np.float32], exposure: NDArray[np.float32], truth: NDArray[np.float32]
) -> None:
    with pytest.raises(ScoreError, match=r"\(96, 104\)"):
        judge(image, exposure, truth=truth[:, :100])


def test_judges_that_cannot_judge_such_pictures_become_a_note() -> None:
    judges, notes = panel("niqe", [(HEIGHT, WIDTH), (95, 200)])
    assert judges.scorers == ()
    assert len(notes) == 1
    assert "95x200" in notes[0]


def test_all_of_hqgens_own_judges_are_the_default_and_others_are_unknown() -> None:
    judges, _ = panel(None, [(HEIGHT, WIDTH)])
    names = [scorer.name for scorer in judges.scorers]
    assert "niqe" in names
    assert not [name for name in names if name.startswith("pyiqa")]
    with pytest.raises(UnknownNameError, match="nique"):
        panel("nique", [])
