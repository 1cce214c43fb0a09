from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from hqgen.errors import ScoreError
from hqgen.quality import get_scorer, ilniqe, read_picture
from hqgen.quality.ilniqe import (
    RESIZED,
    TEMPLATE,
    Template,
    _distance,
    ilniqe_features,
    ilniqe_scores,
    resizing,
)
from tests.quality.pictures import noise, structured
from tests.quality.test_filters import matlab_weights

BY_PYIQA = {"gt_data": 47.8678, "I04": 23.8137}
"""Scores by pyiqa 0.1.16 of the grey pictures, three times the same channel, with the same template."""


@pytest.fixture
def with_template(shared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of weights that holds the template."""
    (tmp_path / TEMPLATE).symlink_to(shared / "weights" / "iqa" / TEMPLATE)
    monkeypatch.setenv("HQGEN_WEIGHTS", str(tmp_path))
    return tmp_path / TEMPLATE


def picture(shared: Path, name: str) -> np.ndarray:
    if name.startswith("I"):
        return read_picture(shared / "golden" / "iqa" / f"{name}.bmp")
    with np.load(shared / "golden" / "iqa" / "images.npz") as images:
        return np.asarray(images[name])


@pytest.mark.real
@pytest.mark.parametrize("name", BY_PYIQA)
def test_a_picture_scores_as_in_pyiqa(shared: Path, with_template: Path, name: str) -> None:
    assert ilniqe(picture(shared, name)) == pytest.approx([BY_PYIQA[name]], rel=1e-3)


@pytest.mark.real
@pytest.mark.slow
def test_equals_pyiqa_itself(shared: Path, with_template: Path) -> None:
    arch = pytest.importorskip("pyiqa.archs.niqe_arch", reason="pyiqa is not installed")
    import torch

    image = picture(shared, "gt_data")
    tensor = torch.from_numpy(image / np.float32(255))[None, None].repeat(1, 3, 1, 1)
    expected = float(arch.ILNIQE(pretrained_model_path=str(with_template))(tensor))
    assert ilniqe(image) == pytest.approx([expected], rel=1e-3)


@pytest.mark.real
def test_bad_pictures_have_reasons_and_harm_no_neighbour(with_template: Path) -> None:
    good = structured(1, 90, 100) / 255
    mixed = np.stack([np.full_like(good, np.nan), good, np.zeros_like(good)])
    scores, reasons = ilniqe_scores(mixed, threads=2)
    assert reasons == ["the picture has values that are not finite", None, "the picture is flat"]
    assert scores.tolist() == [np.inf, ilniqe(good)[0], np.inf]
    assert get_scorer("ilniqe").score(mixed)[0].tolist() == scores.tolist()


def test_features_are_finite_and_those_of_colour_are_zero() -> None:
    features = ilniqe_features(structured(2, 84, 120))
    assert features.shape == (36, 468)
    assert np.isfinite(features).all()
    assert not features[:, 26:30].any()
    assert not features[:, 234 + 26 : 234 + 30].any()


def test_a_transposed_picture_has_its_blocks_transposed() -> None:
    image = noise(3, 100, 100)
    features, turned = (ilniqe_features(levels).reshape(6, 6, 468) for levels in (image, image.T))
    np.testing.assert_allclose(turned.swapaxes(0, 1)[..., :2], features[..., :2], rtol=1e-6)


@pytest.mark.parametrize("length", [84, 250, 524, 1048, 1500])
def test_resizing_keeps_constants_and_is_that_of_matlab(length: int) -> None:
    weights = resizing(length)
    assert weights.shape == (RESIZED, length)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    if length == RESIZED:
        np.testing.assert_allclose(weights, np.eye(length), atol=1e-12)
    if length == 2 * RESIZED:
        np.testing.assert_allclose(weights, matlab_weights(length), atol=1e-12)


def test_a_block_without_a_feature_counts_as_the_mean_block() -> None:
    rng = np.random.default_rng(0)
    template = Template(rng.normal(0, 1, 4), np.eye(4), np.zeros(6), rng.normal(0, 1, (6, 4)))
    features = rng.normal(0, 1, (9, 6))
    whole = _distance(features, template)
    features = np.vstack([features, np.full(6, np.nan)])
    assert _distance(features, template) != whole
    assert np.isfinite(_distance(features, template))
    assert np.isnan(_distance(np.full((36, 6), np.nan), template))


def test_a_missing_template_is_an_error_that_says_where_it_belongs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HQGEN_WEIGHTS", str(tmp_path))
    with pytest.raises(ScoreError, match=re.escape(str(tmp_path / TEMPLATE))) as caught:
        get_scorer("ilniqe")
    assert "IceClear/IL-NIQE" in caught.value.hint
    assert str(tmp_path) in caught.value.hint


def test_another_file_is_not_taken_for_the_template(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / TEMPLATE).write_bytes(b"MATLAB 5.0")
    monkeypatch.setenv("HQGEN_WEIGHTS", str(tmp_path))
    with pytest.raises(ScoreError, match="is not the published template"):
        ilniqe(noise(0, 96, 96))


@pytest.mark.parametrize("shape", [(83, 84), (84, 83)])
def test_under_84_pixels_a_side_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ScoreError, match="too small: `ilniqe` needs 84x84"):
        ilniqe(np.zeros(shape, np.uint8))
