from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import hqgen.quality.scorers as scorers_module
from hqgen.errors import ScoreError, UnknownNameError
from hqgen.quality import brisque, get_scorer, niqe, piqe, score_files, scorer_names
from hqgen.quality.normalise import to_uint8
from hqgen.quality.scorers import is_of_scorer, usable_scorers

OWN = {"niqe": niqe, "brisque": brisque, "piqe": piqe}
WITH_PYIQA = ["pyiqa-niqe", "pyiqa-brisque", "pyiqa-piqe"]


@pytest.fixture
def pictures() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (3, 96, 192), np.uint8)


@pytest.fixture
def pyiqa_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder where pyiqa looks for its parameters; nothing can be downloaded."""
    download_util = pytest.importorskip("pyiqa.utils.download_util", reason="pyiqa is not installed")

    def unreachable(*args: object, **options: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(download_util, "DEFAULT_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(download_util, "download_url_to_file", unreachable)
    scorers_module._pyiqa_network.cache_clear()
    yield tmp_path
    scorers_module._pyiqa_network.cache_clear()


def test_an_unknown_metric_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="unknown metric `nique`") as caught:
        get_scorer("nique")
    assert "did you mean `niqe`" in caught.value.hint
    assert all(name in caught.value.hint for name in scorer_names())


@pytest.mark.parametrize("name", OWN)
def test_an_own_metric_is_its_function_and_needs_no_pyiqa(
    name: str, pictures: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorers_module, "find_spec", lambda module: None)
    scores, reasons = get_scorer(name).score(pictures)
    np.testing.assert_array_equal(scores, OWN[name](pictures))
    assert reasons == [None] * 3


def test_names_that_were_pyiqas_have_another_version_now() -> None:
    assert {name: get_scorer(name).version for name in OWN} == {"niqe": 1, "brisque": 2, "piqe": 2}


def test_what_goes_into_the_plan_is_json_and_a_scorer_crosses_processes() -> None:
    for name in [*OWN, *WITH_PYIQA]:
        if name in WITH_PYIQA:
            pytest.importorskip("pyiqa", reason="pyiqa is not installed")
        scorer = get_scorer(name)
        assert scorer.name == name
        assert scorer.version >= 1
        json.dumps(scorer.parameters())
        assert pickle.loads(pickle.dumps(scorer)) == scorer


@pytest.mark.parametrize("name", WITH_PYIQA)
def test_metrics_of_pyiqa_need_no_download_and_flat_pictures_harm_no_neighbour(
    name: str, pyiqa_folder: Path, pictures: NDArray[np.uint8]
) -> None:
    alone = get_scorer(name).score(pictures)[0]
    pictures[1] = 0
    scores, reasons = get_scorer(name).score(pictures)
    assert scores[0] == alone[0]
    assert scores[2] == alone[2]
    assert np.isposinf(scores[1])
    assert reasons == [None, "the picture is flat", None]
    assert not list(pyiqa_folder.iterdir())


@pytest.mark.filterwarnings("ignore:cov")  # of no block
def test_a_picture_that_pyiqa_cannot_score_has_a_reason(pyiqa_folder: Path) -> None:
    image = np.zeros((1, 96, 192), np.uint8)
    image[..., 96:] = 100
    scores, reasons = get_scorer("pyiqa-niqe").score(image)
    assert np.isposinf(scores).all()
    assert reasons[0]


def test_scores_do_not_depend_on_the_threads_that_ask_for_them() -> None:
    pytest.importorskip("pyiqa")
    rng = np.random.default_rng(0)
    scorer, pictures = get_scorer("pyiqa-piqe"), rng.integers(0, 64, (6, 1, 40, 40), np.uint8)
    pictures += np.arange(0, 120, 3).astype(np.uint8)
    alone = [scorer.score(picture)[0][0] for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(40):
            assert [scores[0] for scores, _ in pool.map(scorer.score, pictures)] == alone


@pytest.mark.parametrize(
    ("name", "side"),
    [
        *[("niqe", 96), ("brisque", 14), ("piqe", 16)],
        *[("pyiqa-niqe", 96), ("pyiqa-brisque", 14), ("pyiqa-piqe", 16)],
    ],
)
def test_the_smallest_picture_scores_and_a_smaller_one_is_refused(name: str, side: int) -> None:
    if name in WITH_PYIQA:
        pytest.importorskip("pyiqa", reason="pyiqa is not installed")
    noise = np.random.default_rng(0).integers(0, 256, (1, side, side), np.uint8)
    scorer = get_scorer(name)
    assert np.isfinite(scorer.score(noise)[0]).all()
    with pytest.raises(ScoreError, match=f"too small: `{name}` needs {side}x{side}"):
        scorer.score(noise[:, 1:])


@pytest.mark.parametrize("name", WITH_PYIQA)
def test_without_pyiqa_the_hint_says_how_to_install_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorers_module, "find_spec", lambda module: None)
    with pytest.raises(ScoreError, match=f"`{name}` needs pyiqa, which is not installed") as caught:
        get_scorer(name)
    assert caught.value.hint == f"pip install 'hqgen[iqa]', or use hqgen's own `{name[6:]}`"


def test_files_are_scored_and_bad_ones_get_their_reason(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = {
        "good": rng.integers(0, 256, (96, 100), np.uint8),
        "small": rng.integers(0, 256, (95, 100), np.uint8),
        "flat": np.zeros((96, 100), np.uint8),
        "colour": rng.integers(0, 256, (96, 100, 3), np.uint8),
    }
    for name, image in images.items():
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    names = ["missing", "good", "small", "flat", "colour"]
    found = score_files([tmp_path / f"{name}.png" for name in names])
    assert [file.path.stem for file in found] == names
    missing, good, small, flat, colour = found
    assert good == (tmp_path / "good.png", niqe(images["good"])[0], None)
    assert np.isfinite(colour.score)
    assert [np.isposinf(file.score) for file in (missing, small, flat)] == [True] * 3
    assert "cannot be read" in str(missing.reason)
    assert "95x100 pixels is too small" in str(small.reason)
    assert flat.reason == "the picture is flat"


def test_files_are_scored_by_another_metric(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50), np.uint8)
    Image.fromarray(image).save(tmp_path / "picture.png")
    (found,) = score_files([tmp_path / "picture.png"], "brisque")
    assert found.score == brisque(image)[0]


def test_an_unknown_metric_for_files_is_an_error_before_any_is_read(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError):
        score_files([tmp_path / "missing.png"], metric="ssim")


def test_scorers_that_refuse_one_of_the_sizes_are_left_out_with_the_reason() -> None:
    usable, reasons = usable_scorers(["niqe", "piqe"], [(200, 200), (90, 200)])
    assert [scorer.name for scorer in usable] == ["piqe"]
    assert list(reasons) == ["niqe"]
    assert "90x200" in reasons["niqe"]
    with pytest.raises(UnknownNameError):
        usable_scorers(["beauty"], [])


def test_importing_quality_imports_nothing_heavy() -> None:
    code = "import sys, hqgen.quality; print({'numba', 'torch', 'pyiqa', 'scipy', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_reasons_of_scorers_are_told_from_those_of_methods() -> None:
    flat = np.zeros((1, 96, 96), np.uint8)
    for name in ("niqe", "brisque", "piqe", "grain"):
        (reason,) = get_scorer(name).score(flat)[1]
        assert reason is not None
        assert is_of_scorer(reason)
    with pytest.raises(ScoreError) as caught:
        to_uint8(flat[0])
    assert not is_of_scorer(caught.value.message)
    assert is_of_scorer("linalg.svd: the algorithm did not converge")
