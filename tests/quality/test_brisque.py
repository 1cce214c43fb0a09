from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import correlate
from scipy.special import gamma
from skimage.data import camera

from hqgen.errors import ScoreError
from hqgen.quality import brisque, get_scorer, read_picture
from hqgen.quality.brisque import brisque_features, brisque_scores, machine
from hqgen.quality.scorers import Pyiqa
from tests.quality.pictures import goldens, noise, structured
from tests.quality.test_filters import matlab_weights

GRID = np.arange(200, 10001) / 1000
RATIO = gamma(2 / GRID) ** 2 / (gamma(1 / GRID) * gamma(3 / GRID))

MEASURED = {"I03": 94.643, "I04": -0.107, "I06": 1.092, "I08": 5.331, "I19": 65.09}
"""Scores by an independent program with the official steps and numbers."""

OFFICIAL = {"I03": 94.64, "I04": -0.11, "I06": 0.99, "I08": 5.36, "I19": 72.26}
"""Scores by the official MATLAB code."""


def slow_features(levels: NDArray[np.float64]) -> list[float]:
    """The 18 features of one size, written as in the paper."""
    taps = np.exp(-(np.arange(-3.0, 4.0) ** 2) / (2 * (7 / 6) ** 2))
    kernel = np.outer(taps, taps) / taps.sum() ** 2
    mean, square = (correlate(values, kernel, mode="constant") for values in (levels, levels**2))
    normalised = (levels - mean) / (np.sqrt(np.abs(square - mean**2)) + 1)
    squares = np.mean(normalised**2)
    features = [GRID[np.abs(squares / np.mean(np.abs(normalised)) ** 2 - 1 / RATIO).argmin()], squares]
    for shift in ((0, 1), (1, 0), (1, 1), (-1, 1)):
        pair = normalised * np.roll(normalised, shift, (0, 1))
        left, right = np.sqrt(np.mean(pair[pair < 0] ** 2)), np.sqrt(np.mean(pair[pair > 0] ** 2))
        g = left / right
        ratio = np.mean(np.abs(pair)) ** 2 / np.mean(pair**2) * (g**3 + 1) * (g + 1) / (g**2 + 1) ** 2
        a = GRID[np.abs(RATIO - ratio).argmin()]
        eta = (right - left) * gamma(2 / a) / np.sqrt(gamma(1 / a) * gamma(3 / a))
        features += [a, eta, left**2, right**2]
    return [float(value) for value in features]


@pytest.mark.parametrize("shape", [(14, 14), (15, 18), (96, 96), (97, 100), (193, 290)])
def test_features_are_those_of_a_slow_program(shape: tuple[int, int]) -> None:
    for image in (structured(1, *shape), noise(2, *shape)):
        levels = image.astype(np.float64)
        half = matlab_weights(shape[0]) @ levels @ matlab_weights(shape[1]).T
        expected = slow_features(levels) + slow_features(half)
        np.testing.assert_allclose(brisque_features(image), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.real
@pytest.mark.parametrize("name", MEASURED)
def test_a_calibration_picture_scores_as_with_the_official_steps(shared: Path, name: str) -> None:
    score = brisque(read_picture(shared / "golden" / "iqa" / f"{name}.bmp"))[0]
    flat = name in ("I06", "I08", "I19")  # round-off in flat areas moves the other programs
    assert score == pytest.approx(MEASURED[name], abs=10 if name == "I19" else 0.6 if flat else 0.001)
    assert score == pytest.approx(OFFICIAL[name], abs={"I19": 2.2, "I08": 0.6}.get(name, 0.006))


@pytest.mark.real
def test_spike_pictures_score_as_in_pyiqa(shared: Path) -> None:
    pytest.importorskip("pyiqa", reason="pyiqa is not installed")
    oracle = get_scorer("pyiqa-brisque")
    with np.load(shared / "golden" / "iqa" / "images.npz") as images:
        for name, image in images.items():
            # TFI has small areas that are exactly flat. pyiqa computes in float32, so its score depends on
            # the processor: 0.003 from ours on one with AVX-512, 0.007 on one with AVX2.
            limit = 0.1 if name.startswith("tfi") else 0.02
            assert brisque(image) == pytest.approx(oracle.score(image[None])[0], abs=limit), name


@pytest.mark.real
def test_the_numbers_are_those_of_the_official_files(shared: Path) -> None:
    svm = machine()
    folder = shared / "weights" / "iqa"
    lines = (folder / "live_brisque_allmodel").read_text().splitlines()
    rows = [line.split() for line in lines[lines.index("SV") + 1 :]]
    assert svm.coefficients.tolist() == [float(row[0]) for row in rows]
    pairs = {
        (n, int(i) - 1): float(v) for n, row in enumerate(rows) for i, v in (p.split(":") for p in row[1:])
    }
    vectors = np.zeros((774, 36))
    for place, value in pairs.items():
        vectors[place] = value
    np.testing.assert_array_equal(svm.vectors, vectors)
    ranges = [line.split() for line in (folder / "live_brisque_allrange").read_text().splitlines()[2:]]
    assert svm.low.tolist() == [float(row[1]) for row in ranges]
    assert svm.high.tolist() == [float(row[2]) for row in ranges]
    assert (svm.gamma, svm.rho) == (0.05, -153.591)


def test_the_notice_of_the_numbers_is_beside_them_whole() -> None:
    notice = (files("hqgen.quality") / "brisque_live.txt").read_text()
    assert "COPYRIGHT NOTICE STARTS WITH THIS LINE" in notice
    assert "COPYRIGHT NOTICE ENDS WITH THIS LINE" in notice
    for words in ("Copyright (c) 2011 The University of Texas at Austin", "Center for Perceptual Systems"):
        assert words in notice


PARITY = {
    "noise": noise(0, 250, 400),
    "waves": structured(1, 250, 400),
    "odd sides": structured(9, 191, 287),
    "smallest": noise(7, 14, 14),
    "narrow": noise(8, 14, 300),
    "dim": structured(2, 96, 96) // 32,
}


@pytest.mark.parametrize("case", PARITY)
def test_equals_pyiqa(case: str) -> None:
    pytest.importorskip("pyiqa", reason="pyiqa is not installed")
    import torch

    image, oracle = PARITY[case], get_scorer("pyiqa-brisque")
    assert isinstance(oracle, Pyiqa)
    network: Any = oracle.network()
    double = float(network.net(torch.from_numpy(image / 255)[None, None]))
    single = oracle.score(image[None])[0]
    # Flat areas of a dim picture are not quite zero in pyiqa, because its kernel is in float32.
    dim = case == "dim"
    assert brisque(image) == pytest.approx([double], abs=0.3 if dim else 0.002)
    # In single precision the fit may find the next alpha of the grid.
    assert brisque(image) == pytest.approx(single, abs=0.3 if dim else 0.05)


def test_noise_and_blur_make_the_score_worse() -> None:
    image = camera().astype(np.float64)[100:300, 100:300]
    noisy = image + np.random.default_rng(0).normal(0, 50, image.shape)
    blurred = np.mean([np.roll(image, s, axis=1) for s in range(-8, 9)], axis=0)
    clean, worse, worst = brisque(np.clip([image, blurred, noisy], 0, 255).astype(np.uint8))
    assert clean < min(worse, worst)


def test_memory_kept_from_one_picture_does_not_show_in_the_next() -> None:
    pictures = [noise(1), structured(2, 96, 192), structured(3, 97, 192), structured(3, 96, 192) // 32]
    alone = [brisque(picture)[0] for picture in pictures]
    assert [brisque(picture)[0] for picture in reversed(pictures)] == alone[::-1]


@given(seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5), threads=st.integers(1, 8))
@settings(max_examples=10, deadline=None)
def test_a_batch_on_any_number_of_threads_scores_as_one_by_one(seeds: list[int], threads: int) -> None:
    images = [noise(seed, 30, 40) for seed in seeds]
    assert brisque(np.stack(images), threads=threads).tolist() == [brisque(image)[0] for image in images]


@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from([np.float32, np.float64]))
@settings(max_examples=10, deadline=None)
def test_uint8_and_floats_of_the_same_levels_score_the_same(seed: int, kind: type[np.floating[Any]]) -> None:
    image = noise(seed, 30, 40)
    # an alpha of the grid of 0.001 may be the next one
    assert brisque((image / 255).astype(kind)) == pytest.approx(brisque(image), abs=0.05)


def test_floats_are_neither_rounded_nor_clamped() -> None:
    image = structured(3) / 255
    assert brisque(image / 50) != brisque(np.rint(image / 50 * 255) / 255)
    assert brisque(image * 2) != brisque(np.clip(image * 2, 0, 1))


@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_a_flat_picture_has_a_reason_instead_of_a_score(level: int) -> None:
    scores, reasons = brisque_scores(np.full((96, 192), level, np.uint8))
    assert scores.tolist() == [np.inf]
    assert reasons == ["the picture is flat"]


def test_one_bright_pixel_in_the_dark_has_a_score_or_a_reason() -> None:
    image = np.zeros((1, 40, 40), np.uint8)
    image[0, 20, 20] = 200
    scores, reasons = brisque_scores(image)
    assert np.isfinite(scores[0]) == (reasons[0] is None)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_the_reason(value: float) -> None:
    image = noise(0, 40, 40) / 255
    image[39, 39] = value
    scores, reasons = brisque_scores(image)
    assert scores.tolist() == [np.inf]
    assert reasons == ["the picture has values that are not finite"]


def test_values_too_large_to_square_have_a_reason() -> None:
    scores, reasons = brisque_scores(noise(0, 40, 40) * 1e300)
    assert scores.tolist() == [np.inf]
    assert reasons == ["the statistics of the picture are not defined"]


def test_bad_pictures_harm_no_neighbour() -> None:
    good = [noise(seed, 40, 40) / 255 for seed in range(3)]
    mixed = np.stack([good[0], np.full_like(good[0], np.nan), good[1], np.zeros_like(good[0]), good[2]])
    scores, reasons = brisque_scores(mixed, threads=2)
    assert scores[[0, 2, 4]].tolist() == brisque(np.stack(good)).tolist()
    assert np.isinf(scores[[1, 3]]).all()
    assert [reason is None for reason in reasons] == [True, False, True, False, True]


@pytest.mark.parametrize("shape", [(13, 14), (14, 13), (2, 13, 400), (1, 1), (0, 0)])
def test_under_14_pixels_a_side_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ScoreError, match=rf"{shape[-2]}x{shape[-1]} .* too small: `brisque` needs 14x14"):
        brisque(np.zeros(shape, np.uint8))


def test_no_picture_gives_no_score() -> None:
    scores, reasons = brisque_scores(np.zeros((0, 96, 96), np.uint8))
    assert scores.shape == (0,)
    assert reasons == []


@pytest.mark.parametrize("shape", [(96,), (1, 3, 96, 96), ()])
def test_another_number_of_axes_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ScoreError, match=re.escape(str(shape))):
        brisque(np.zeros(shape, np.uint8))


def test_memory_order_and_strides_do_not_matter() -> None:
    image = structured(15, 64, 64)
    spread = np.zeros((128, 128), np.uint8)
    spread[::2, ::2] = image
    expected = brisque(image)
    assert brisque(np.asfortranarray(image)) == expected
    assert brisque(spread[::2, ::2]) == expected
    image.setflags(write=False)
    assert brisque(image) == expected


@pytest.mark.real
def test_goldens_hold_the_pictures_of_the_table(shared: Path) -> None:
    assert {Path(case["file"]).stem for case in goldens(shared)["calibration"]} == set(MEASURED)
