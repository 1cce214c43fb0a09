from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hqgen.errors import ScoreError
from hqgen.quality import get_scorer, niqe, read_picture, score_images
from hqgen.quality.niqe import RCOND, _squared_lengths, pristine
from hqgen.quality.scene import scale_and_square
from tests.quality.pictures import goldens, noise, structured

DOCS = Path(__file__).parents[2] / "docs" / "niqe.md"


@pytest.mark.real
@pytest.mark.parametrize("index", range(5))
def test_a_calibration_picture_scores_as_in_pyiqa(shared: Path, index: int) -> None:
    case = goldens(shared)["calibration"][index]
    score = niqe(read_picture(shared / "golden" / case["file"]))
    assert score == pytest.approx([case["pyiqa_niqe"]], abs=1e-5)


@pytest.mark.real
@pytest.mark.parametrize("group", ["spike_reds_ground_truth", "reconstructions"])
def test_spike_pictures_uint8_and_float_score_as_in_pyiqa(shared: Path, group: str) -> None:
    cases = goldens(shared)[group]
    with np.load(shared / "golden" / "iqa" / "images.npz") as images:
        scores = [niqe(images[case["array_in_images_npz"]])[0] for case in cases]
    assert scores == pytest.approx([case["pyiqa_niqe_1ch"] for case in cases], abs=1e-5)


@pytest.mark.real
def test_the_table_in_the_docs_is_what_is_computed(shared: Path) -> None:
    rows = re.findall(r"^\| (I\d\d) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", DOCS.read_text(), re.MULTILINE)
    cases = {Path(case["file"]).stem: case for case in goldens(shared)["calibration"]}
    assert [row[0] for row in rows] == sorted(cases)
    for name, ours, pyiqa, matlab in rows:
        score = niqe(read_picture(shared / "golden" / cases[name]["file"]))[0]
        assert ours == f"{score:.6f}"
        assert pyiqa == f"{cases[name]['pyiqa_niqe']:.6f}"
        assert matlab == f"{cases[name]['matlab_niqe']:.6f}"


PARITY = {
    "noise": noise(0, 250, 400),
    "waves": structured(1, 250, 400),
    "dim": structured(2) // 32,
    "saturated half": np.maximum(structured(3), np.uint8(255) * (np.arange(288) > 150)).astype(np.uint8),
    "dead corner of whole blocks": structured(4) * (np.add.outer(np.arange(192), np.arange(288)) > 250),
    "one dead block": structured(5) * ~((np.mgrid[:192, :288] < 96).all(axis=0)),
    "one constant block": np.where((np.mgrid[:192, :288] < 96).all(axis=0), 77, structured(6)),
    "one block": structured(7, 96, 96),
    "two blocks": structured(8, 96, 192),
    "rows and columns cut off": structured(9, 191, 287),
    "two levels": (noise(10, 192, 192) > 127) * np.uint8(255),
    "one bright pixel a block": (np.arange(192 * 192).reshape(192, 192) % 4801 == 17) * np.uint8(200),
}


@pytest.mark.parametrize("case", PARITY)
def test_equals_pyiqa_with_the_same_parameters(case: str) -> None:
    pytest.importorskip("pyiqa", reason="pyiqa is not installed")
    image = PARITY[case].astype(np.uint8)[None]
    expected, reasons = get_scorer("pyiqa-niqe").score(image)
    ours, our_reasons = score_images(image)
    assert np.isfinite(ours).all()
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-4)
    assert [reason is None for reason in reasons] == [reason is None for reason in our_reasons]


def test_floats_beyond_the_unit_range_are_not_clamped_as_in_pyiqa() -> None:
    pytest.importorskip("pyiqa", reason="pyiqa is not installed")
    import torch
    from pyiqa.archs.niqe_arch import calculate_niqe

    image = (structured(11) / np.float32(255) * 2 - 0.5).astype(np.float32)
    mu, cov = (torch.from_numpy(array) for array in pristine())
    tensor = torch.from_numpy(image[None, None])
    expected = float(calculate_niqe(tensor, mu_pris_param=mu, cov_pris_param=cov))
    assert score_images(image)[0] == pytest.approx([expected], abs=1e-4)
    assert niqe(np.clip(image, 0, 1)) != pytest.approx([expected], abs=1e-2)


@pytest.mark.parametrize("shape", [(200, 300, 3), (200, 300, 4)])
def test_a_colour_picture_is_refused_as_one(shape: tuple[int, ...]) -> None:
    with pytest.raises(ScoreError, match=r"shape \(200, 300, .\) is a colour picture") as caught:
        niqe(np.zeros(shape, np.uint8))
    assert "luma" in caught.value.hint


@pytest.mark.parametrize(("low", "high"), [(0, 255), (0, 1.5), (-0.25, 1)])
def test_floats_that_are_not_a_picture_in_the_unit_range_are_refused(low: float, high: float) -> None:
    image = np.linspace(low, high, 96 * 100, dtype=np.float32).reshape(96, 100)
    with pytest.raises(ScoreError, match=rf"in \[0, 1\], but these are {low:g} to {high:g}") as caught:
        niqe(image)
    assert "255" in caught.value.hint
    image[0, 0] = np.nan
    with pytest.raises(ScoreError):
        niqe(image)
    assert np.isinf(niqe(np.where(np.isfinite(image), np.clip(image, 0, 1), image))).all()


def test_pristine_parameters_are_a_mean_and_a_positive_definite_covariance() -> None:
    mu, cov = pristine()
    assert mu.shape == (36,)
    assert mu.dtype == cov.dtype == np.float64
    np.testing.assert_allclose(cov, cov.T, atol=1e-12)
    assert np.linalg.eigvalsh(cov)[0] > 0


def covariances(seed: int, size: float) -> NDArray[np.float64]:
    """Three, each half the pristine one and half that of a few blocks whose features have this deviation."""
    blocks = np.random.default_rng(seed).normal(0, size, (3, 8, 36))
    centred = blocks - blocks.mean(axis=1, keepdims=True)
    result: NDArray[np.float64] = (pristine()[1] + centred.swapaxes(1, 2) @ centred / 7) / 2
    return result


@given(seed=st.integers(0, 2**32 - 1), exponent=st.floats(-6, 2))
@settings(max_examples=25, deadline=None)
def test_solving_measures_as_the_pseudo_inverse_does(seed: int, exponent: float) -> None:
    c = covariances(seed, 10**exponent)
    d = np.random.default_rng(seed).normal(0, 1, (3, 36))
    inverse = np.linalg.pinv(c, rcond=RCOND, hermitian=True)
    np.testing.assert_allclose(_squared_lengths(d, c), np.einsum("ni,nij,nj->n", d, inverse, d), rtol=1e-8)


def test_eigenvalues_under_the_tolerance_are_left_out() -> None:
    c = covariances(0, 1e6)
    d = np.random.default_rng(0).normal(0, 1, (3, 36))
    eigenvalues, vectors = np.linalg.eigh(c)
    kept = eigenvalues > RCOND * eigenvalues[:, -1:]
    assert 0 < kept.sum() < kept.size
    along = np.einsum("nij,ni->nj", vectors, d)
    expected = np.sum(kept * along**2 / np.where(kept, eigenvalues, 1), axis=1)
    np.testing.assert_allclose(_squared_lengths(d, c), expected, rtol=1e-8)


def test_a_level_times_one_255th_is_in_float32_the_level_divided_by_255() -> None:
    levels = np.arange(-(2.0**20), 2.0**20).reshape(1024, 2048)
    unit, squares = np.empty(levels.shape, np.float32), np.empty(levels.shape)
    scale_and_square(levels, unit, squares)
    assert (unit == (levels / 255).astype(np.float32)).all()
    assert (squares == levels**2).all()


def test_memory_kept_from_one_picture_does_not_show_in_the_next() -> None:
    pictures = [noise(1), structured(2, 96, 192), structured(3, 96, 192) // 32]
    alone = [niqe(picture)[0] for picture in pictures]
    assert [niqe(picture)[0] for picture in reversed(pictures)] == alone[::-1]


@given(seed=st.integers(0, 2**32 - 1), copies=st.integers(2, 4))
@settings(max_examples=10, deadline=None)
def test_copies_of_a_picture_score_the_same(seed: int, copies: int) -> None:
    scores = niqe(np.stack([noise(seed)] * copies))
    assert (scores == scores[0]).all()


@given(seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5), threads=st.integers(1, 8))
@settings(max_examples=10, deadline=None)
def test_a_batch_on_any_number_of_threads_scores_as_one_by_one(seeds: list[int], threads: int) -> None:
    images = [noise(seed) for seed in seeds]
    batch = niqe(np.stack(images), threads=threads)
    np.testing.assert_allclose(batch, [niqe(image)[0] for image in images], rtol=1e-12)


@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from([np.float16, np.float32, np.float64]))
@settings(max_examples=10, deadline=None)
def test_uint8_and_floats_of_the_same_levels_score_the_same(seed: int, kind: type[np.floating[Any]]) -> None:
    image = noise(seed)
    assert niqe((image / 255).astype(kind)) == niqe(image)


def test_a_transposed_picture_scores_nearly_the_same() -> None:
    image = structured(12, 192, 192)
    assert niqe(image.T) == pytest.approx(niqe(image), rel=0.05)


def test_only_whole_blocks_from_the_top_left_count() -> None:
    image = structured(13, 200, 300)
    assert niqe(image) == niqe(image[:192, :288])


def test_noise_and_blur_make_the_score_worse() -> None:
    image = structured(14, 192, 384).astype(np.float64) / 255
    noisy = image + np.random.default_rng(0).normal(0, 0.3, image.shape)
    blurred = np.mean([np.roll(image, s, axis=1) for s in range(-8, 9)], axis=0)
    clean, worse, worst = niqe(np.stack([image, blurred, noisy]).clip(0, 1))
    assert clean < min(worse, worst)


@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_a_flat_picture_has_a_reason_instead_of_a_score(level: int) -> None:
    scores, reasons = score_images(np.full((96, 192), level, np.uint8))
    assert scores.tolist() == [np.inf]
    assert reasons == ["the picture is flat"]


def test_a_picture_whose_whole_blocks_are_flat_is_flat() -> None:
    image = np.full((100, 100), 50, np.uint8)
    image[98:] = 90
    assert score_images(image)[1] == ["the picture is flat"]


def test_a_picture_of_flat_blocks_that_differ_has_a_reason() -> None:
    image = np.zeros((96, 192), np.uint8)
    image[:, 96:] = 100
    scores, reasons = score_images(image)
    assert scores.tolist() == [np.inf]
    assert reasons == ["no block of the picture has structure at both scales"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("place", [(0, 0), (99, 99)])
def test_a_value_that_is_not_finite_is_the_reason_wherever_it_lies(
    value: float, place: tuple[int, int]
) -> None:
    image = noise(0, 100, 100).astype(np.float32) / 255
    image[place] = value
    scores, reasons = score_images(image)
    assert scores.tolist() == [np.inf]
    assert reasons == ["the picture has values that are not finite"]


def test_bad_pictures_harm_no_neighbour() -> None:
    good = [noise(seed) / 255 for seed in range(3)]
    bad = [np.full_like(good[0], np.nan), np.zeros_like(good[0])]
    mixed = np.stack([good[0], bad[0], good[1], bad[1], good[2]])
    scores, reasons = score_images(mixed, threads=2)
    np.testing.assert_allclose(scores[[0, 2, 4]], niqe(np.stack(good)), rtol=1e-12)
    assert np.isinf(scores[[1, 3]]).all()
    assert [reason is None for reason in reasons] == [True, False, True, False, True]


@pytest.mark.parametrize("shape", [(95, 96), (96, 95), (2, 95, 400), (1, 1), (0, 0)])
def test_under_96_pixels_a_side_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ScoreError, match=rf"{shape[-2]}x{shape[-1]} .* too small: .* needs 96x96"):
        niqe(np.zeros(shape, np.uint8))


def test_96_pixels_a_side_are_enough() -> None:
    assert np.isfinite(niqe(noise(0, 96, 96))).all()


def test_a_very_wide_picture_scores() -> None:
    assert np.isfinite(niqe(noise(0, 96, 4000))).all()


def test_no_picture_gives_no_score() -> None:
    scores, reasons = score_images(np.zeros((0, 96, 96), np.uint8))
    assert scores.shape == (0,)
    assert reasons == []


@pytest.mark.parametrize("kind", [np.int16, np.uint16, np.int64, np.bool_, np.complex64])
def test_other_types_are_refused(kind: type[np.generic]) -> None:
    with pytest.raises(ScoreError, match=f"`{np.dtype(kind)}`"):
        niqe(np.zeros((96, 96), kind))


@pytest.mark.parametrize("shape", [(96,), (1, 3, 96, 96), ()])
def test_another_number_of_axes_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ScoreError, match=re.escape(str(shape))):
        niqe(np.zeros(shape, np.uint8))


def test_memory_order_and_strides_do_not_matter() -> None:
    image = structured(15, 192, 192)
    spread = np.zeros((384, 384), np.uint8)
    spread[::2, ::2] = image
    expected = niqe(image)
    assert niqe(np.asfortranarray(image)) == expected
    assert niqe(spread[::2, ::2]) == expected
    image.setflags(write=False)
    assert niqe(image) == expected
