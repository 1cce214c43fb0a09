from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hqgen
from hqgen.errors import ScoreError, UnknownNameError
from hqgen.quality import brisque, niqe, piqe
from hqgen.quality.niqe import score_images
from hqgen.quality.normalise import to_uint8
from hqgen.quality.scorers import Pyiqa
from spikeclip.evaluation.quality import Image, brightened, usable_metrics
from spikeclip.evaluation.table import METRICS


@pytest.fixture(scope="module")
def image() -> Image:
    """Blurred noise around 0.4, which every metric can score."""
    noise = np.random.default_rng(1).random((224, 224))
    blurred = sum(np.roll(noise, (i, j), (0, 1)) for i in range(3) for j in range(3)) / 9
    return np.asarray(blurred * 0.8, np.float32)


def test_raw_niqe_is_of_the_values_and_bright_niqe_of_the_picture(image: Image) -> None:
    scores = usable_metrics(["niqe"], 224, 224).score(image)
    assert scores["niqe_raw"].value == score_images(image)[0][0]
    assert scores["niqe_bright"].value == niqe(to_uint8(image))[0]


def test_the_bright_score_is_the_same_for_any_gain(image: Image) -> None:
    scorer = usable_metrics(["niqe"], 224, 224)
    dim, bright = scorer.score(image / np.float32(16)), scorer.score(image)
    assert dim["niqe_bright"] == bright["niqe_bright"]
    assert dim["niqe_raw"] != bright["niqe_raw"]


@pytest.mark.parametrize("name", ["brisque", "piqe"])
def test_raw_values_beyond_white_are_scored_as_they_are(image: Image, name: str) -> None:
    scorer = usable_metrics([name], 224, 224)
    assert not scorer.notes
    own = {"brisque": brisque, "piqe": piqe}[name]
    assert scorer.score(image * 2)[f"{name}_raw"].value == own(image * 2)[0]


def test_all_metrics_of_the_table_are_hqgens_own() -> None:
    found = usable_metrics(METRICS, 224, 224)
    assert [scorer.name for scorer in found.scorers] == list(METRICS)
    assert not found.notes


def test_a_metric_that_cannot_run_is_a_note_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_self: Pyiqa) -> None:
        raise ScoreError(f"the metric needs `{Path.home() / 'pyiqa'}`, which is missing")

    monkeypatch.setattr(Pyiqa, "network", absent)
    found = usable_metrics(["niqe", "pyiqa-brisque"], 224, 224)
    assert [scorer.name for scorer in found.scorers] == ["niqe"]
    assert found.notes == ("PYIQA-BRISQUE is n/a: the metric needs `~/pyiqa`, which is missing",)


@pytest.mark.parametrize("name", ["niqe", "brisque", "piqe"])
def test_the_oracle_scores_raw_values_the_same(image: Image, name: str) -> None:
    pytest.importorskip("pyiqa")
    scores = usable_metrics([name, f"pyiqa-{name}"], 224, 224).score(image * 2)
    assert scores[f"pyiqa-{name}_raw"].value == pytest.approx(scores[f"{name}_raw"].value, abs=0.01)


def test_an_unknown_metric_is_an_error() -> None:
    with pytest.raises(UnknownNameError, match="nique"):
        usable_metrics(["nique"], 224, 224)


def test_pictures_too_small_for_niqe_leave_it_out_with_the_reason() -> None:
    found = usable_metrics(["niqe"], 64, 64)
    assert not found.scorers
    assert "64x64" in found.notes[0]
    assert "NIQE is n/a" in found.notes[0]


@pytest.mark.parametrize(("height", "width", "single"), [(112, 112, True), (96, 192, False)])
def test_niqe_of_a_single_block_is_scored_with_a_note(height: int, width: int, single: bool) -> None:
    found = usable_metrics(["niqe"], height, width)
    assert bool(found.notes) == single
    noise = np.random.default_rng(2).random((height, width), np.float32)
    assert np.isfinite(found.score(noise)["niqe_raw"].value)


@pytest.mark.parametrize(
    ("bad", "raw_reason"),
    [
        (np.full((224, 224), np.nan, np.float32), "50176 of 50176 pixels are not finite"),
        (np.full((224, 224), 0.25, np.float32), "flat image: every pixel is 0.25"),
        (np.zeros((224, 224), np.float32), "flat image: every pixel is 0"),
    ],
)
def test_a_picture_without_score_is_infinite_with_the_reason(bad: Image, raw_reason: str) -> None:
    for key, score in usable_metrics(METRICS, 224, 224).score(bad).items():
        assert score.value == np.inf, key
        assert score.reason
        assert score.reason == raw_reason or "bright" in key


def test_one_pixel_that_is_no_number_harms_no_neighbour(image: Image) -> None:
    damaged = image.copy()
    damaged[3, 4] = np.inf
    scorer = usable_metrics(["niqe"], 224, 224)
    alone = scorer.score(image)
    both = scorer.score_all([(damaged, None), (image, None)])
    assert both[0]["niqe_raw"].reason == "1 of 50176 pixels are not finite"
    assert both[1] == alone
    assert scorer.score_all([]) == []


def test_pictures_that_are_scored_at_once_get_their_own_scores() -> None:
    rng = np.random.default_rng(0)
    images = [rng.random((40, 40), np.float32) ** power for power in range(1, 9)]
    metrics = usable_metrics(["piqe"], 40, 40)
    alone = [metrics.score(item) for item in images]
    for _ in range(20):
        assert metrics.score_all([(item, None) for item in images]) == alone


def test_negative_outputs_have_a_raw_score_and_no_picture(image: Image) -> None:
    scores = usable_metrics(["niqe"], 224, 224).score(-image)
    assert np.isfinite(scores["niqe_raw"].value)
    assert "dark image" in (scores["niqe_bright"].reason or "")
    assert isinstance(brightened(-image), str)


@pytest.mark.real
def test_tfp_of_the_helicopter_has_the_scores_of_the_published_code(shared: Path) -> None:
    frames = hqgen.open_recording(shared / "data/u-caltech/helicopter_04144.npz").frames()
    image = hqgen.reconstruct("tfp", frames[:, 13:237, 13:237], window=200)
    scores = usable_metrics(["niqe", "piqe"], 224, 224).score(image)
    assert scores["niqe_raw"].value == pytest.approx(13.66, abs=0.005)
    assert scores["piqe_raw"].value == pytest.approx(61.61, abs=0.005)
    assert scores["niqe_bright"].value == pytest.approx(15.43, abs=0.005)
