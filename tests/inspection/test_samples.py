"""One sample of a finished store: stored or made again, beside its ground truth, frame by frame."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from hqgen.builder.settings import BuildSettings
from hqgen.errors import HqgenError, StoreError, UsageError
from hqgen.inspection.samples import Samples, smaller
from hqgen.quality.fidelity import at_best_gain, psnr
from tests.builder.small import HEIGHT, WIDTH, build_again, stream
from tests.inspection.test_truth import NAMES, truth, write_lab


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores of one lab: `all` with candidates, `winners` without; the first two samples have truth."""
    root = tmp_path_factory.mktemp("samples")
    write_lab(root)
    for name, keep in (("all", True), ("winners", False)):
        settings = BuildSettings(
            sources=(f"folder:{root / 'lab'}",),
            data_root=root,
            out=root / name,
            methods="tfp,tfi",
            scheduler="sync",
            keep_candidates=keep,
        )
        build_again(settings)
    return root


def opened(folder: Path) -> Samples:
    return Samples(folder / "manifest.json")


def test_candidates_that_are_not_stored_are_made_again_to_the_same_pixels(root: Path) -> None:
    kept, made = opened(root / "all"), opened(root / "winners")
    for row in range(len(NAMES)):
        for method in ("tfp", "tfi"):
            np.testing.assert_array_equal(kept.candidate(row, method), made.candidate(row, method))


def test_without_recordings_the_stored_pictures_are_still_there(root: Path, tmp_path: Path) -> None:
    for name in ("all", "winners"):
        shutil.copytree(root / name, tmp_path / name)
        path = tmp_path / name / "manifest.json"
        path.write_text(path.read_text().replace(str(root / "lab"), str(tmp_path / "gone")))
    kept, winners = opened(tmp_path / "all"), opened(tmp_path / "winners")
    winner = winners.place(0).sample.method
    assert winner is not None
    other = {"tfp": "tfi", "tfi": "tfp"}[winner]
    np.testing.assert_array_equal(winners.candidate(0, winner), kept.candidate(0, winner))
    assert kept.candidate(0, other).shape == (HEIGHT, WIDTH)
    for ask in (
        lambda: winners.candidate(0, other),
        lambda: kept.rates(0),
        lambda: kept.frame(0, 3, "spikes"),
    ):
        with pytest.raises(HqgenError, match="gone"):
            ask()


def test_candidates_are_compared_with_the_ground_truth_at_the_best_gain(root: Path) -> None:
    samples = opened(root / "all")
    found = samples.beside_truth(1)
    assert found is not None
    light = truth(1) / 255
    for method in ("tfp", "tfi"):
        expected = psnr(at_best_gain(samples.candidate(1, method), light), light)
        assert found.psnr[method] == pytest.approx(expected, abs=1e-3)
    assert samples.truth(1) is not None
    assert samples.beside_truth(2) is None
    assert samples.truth(2) is None


def test_frames_and_rates_are_those_of_the_recording(root: Path) -> None:
    samples, frames = opened(root / "all"), stream(0).frames()
    np.testing.assert_array_equal(samples.frame(0, 7, "spikes"), 255 * frames[7])
    rates = samples.rates(0)
    expected = frames.mean(axis=(1, 2))[rates.start : rates.start + len(rates.values)]
    np.testing.assert_allclose(rates.values, expected, atol=1e-6)
    with pytest.raises(UsageError, match="has no frame 50"):
        samples.frame(0, 50, "spikes")
    with pytest.raises(UsageError, match="has no method `wgse`"):
        samples.frame(0, 7, "wgse")


@pytest.mark.parametrize("row", [-1, 3])
def test_a_row_that_is_not_there_is_an_error(root: Path, row: int) -> None:
    with pytest.raises(UsageError, match=f"there is no sample {row}"):
        opened(root / "all").place(row)


def test_a_manifest_without_its_store_is_an_error(root: Path, tmp_path: Path) -> None:
    shutil.copy(root / "all/manifest.json", tmp_path)
    with pytest.raises(StoreError):
        Samples(tmp_path / "manifest.json")


def test_a_smaller_picture_has_the_means_of_blocks() -> None:
    picture = np.array([[0, 2, 9], [4, 6, 9], [9, 9, 9]], np.uint8)
    assert smaller(picture, 2).tolist() == [[3]]
    assert smaller(picture, 1) is picture
    assert smaller(picture, 64).shape == (1, 1)
