"""Metrics by name, for the candidates of a build and for picture files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import ScoreError, UnknownNameError
from hqgen.quality.niqe import pristine, score_images
from hqgen.quality.pictures import read_picture, stacked

_HUB = "chaofengc/IQA-PyTorch-Weights"
"""Where pyiqa downloads its parameters from."""

Scores = tuple[NDArray[np.float64], list[str | None]]


class Scorer(Protocol):
    """A no-reference metric; lower is better."""

    @property
    def name(self) -> str:
        """What users type."""

    @property
    def version(self) -> int:
        """Goes up by one when the same picture would get another score than before."""

    def parameters(self) -> dict[str, Any]:
        """Everything else that decides the scores, as plain JSON values; it goes into the plan."""

    def score(self, images: NDArray[np.uint8]) -> Scores:
        """Score grey pictures, each independently of the others.

        Args:
            images: uint8 (N, H, W).

        Returns:
            float64 (N,), and for each picture None, or the reason why its score is +inf.

        Raises:
            ScoreError: the pictures are too small for the metric, or not grey pictures.
        """


@dataclass(frozen=True)
class Niqe:
    """NIQE as hqgen computes it."""

    name: str = "niqe"
    version: int = 1

    def parameters(self) -> dict[str, Any]:
        """Empty: version 1 always uses the official pristine parameters."""
        return {}

    def score(self, images: NDArray[np.uint8]) -> Scores:
        """Score grey pictures; see `Scorer`."""
        return score_images(images)


@dataclass(frozen=True)
class Pyiqa:
    """A metric of pyiqa, on the CPU.

    Args:
        name: what users type.
        metric: its name in pyiqa.
        smallest: rows and columns that a picture needs at least.
        weights: file of its parameters, which pyiqa downloads at first use; None if it needs no file.
        version: see `Scorer`.
    """

    name: str
    metric: str
    smallest: int
    weights: str | None = None
    version: int = 1

    def parameters(self) -> dict[str, Any]:
        """The version of pyiqa, and the sha256 of the downloaded parameters."""
        found: dict[str, Any] = {"pyiqa": installed_version("pyiqa")}
        if self.weights:
            self.network()
            found["weights_sha256"] = sha256((_pyiqa_cache() / self.weights).read_bytes()).hexdigest()
        return found

    def network(self) -> Callable[[Any], Any]:
        """The metric of pyiqa, from (1, 1, H, W) tensors in [0, 1] to a score.

        Raises:
            ScoreError: pyiqa is not installed, or it cannot download the parameters of the metric.
        """
        if find_spec("pyiqa") is None:
            raise ScoreError(
                f"the metric `{self.name}` needs pyiqa, which is not installed",
                hint="pip install 'hqgen[iqa]'",
            )
        try:
            return _pyiqa_network(self.metric)
        except OSError as error:
            if self.weights is None:
                raise
            raise ScoreError(
                f"the metric `{self.name}` needs `{_pyiqa_cache() / self.weights}`, which is missing, "
                f"and pyiqa could not download it: {error}",
                hint=f"copy it there from `{_HUB}` on Hugging Face; the metric `niqe` needs no file",
            ) from error

    def score(self, images: NDArray[np.uint8]) -> Scores:
        """Score grey pictures one by one, because pyiqa is no faster on a batch; see `Scorer`."""
        import torch

        network = self.network()
        images = stacked(images, metric=self.name, smallest=self.smallest)
        scores, reasons = np.full(len(images), np.inf), list[str | None]()
        for n, image in enumerate(images):
            reason = "the picture is flat" if image.min() == image.max() else None
            if reason is None:
                try:
                    scores[n] = float(network(torch.from_numpy(image[None, None] / np.float32(255))))
                except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
                    reason = str(error)
                if not np.isfinite(scores[n]):
                    scores[n], reason = np.inf, reason or "the metric is not defined for the picture"
            reasons.append(reason)
        return scores, reasons


def _pyiqa_cache() -> Path:
    from pyiqa.utils.download_util import DEFAULT_CACHE_DIR

    return Path(DEFAULT_CACHE_DIR)


@cache
def _pyiqa_network(metric: str) -> Callable[[Any], Any]:
    """Create a metric; NIQE gets our copy of its parameters, so it needs no download."""
    import pyiqa
    from scipy.io import savemat

    # pyiqa writes about downloads to stdout, which is for data.
    with redirect_stdout(sys.stderr), TemporaryDirectory() as folder:
        options = {}
        if metric == "niqe":
            mu, cov = pristine()
            options["pretrained_model_path"] = str(Path(folder) / "niqe.mat")
            savemat(options["pretrained_model_path"], {"mu_prisparam": mu, "cov_prisparam": cov})
        network: Any = pyiqa.create_metric(metric, device="cpu", **options)
    # PIQE keeps its result in the module before it returns it: two threads would exchange their scores.
    network.net.forward = _one_at_a_time(network.net.forward)
    return network  # type: ignore[no-any-return]


def _one_at_a_time(function: Callable[..., Any]) -> Callable[..., Any]:
    lock = Lock()

    def call(*args: Any, **options: Any) -> Any:
        with lock:
            return function(*args, **options)

    return call


_SCORERS: dict[str, Niqe | Pyiqa] = {
    scorer.name: scorer
    for scorer in (
        Niqe(),
        Pyiqa("pyiqa-niqe", "niqe", smallest=96),
        # half of the picture holds the 7x7 filter
        Pyiqa("brisque", "brisque", smallest=14, weights="brisque_svm_weights.pth"),
        # one block
        Pyiqa("piqe", "piqe", smallest=16),
    )
}


def scorer_names() -> list[str]:
    """The names that `get_scorer` knows, hqgen's own first."""
    return list(_SCORERS)


def get_scorer(name: str) -> Scorer:
    """Find a metric by name, and check that it can run here.

    Raises:
        UnknownNameError: there is no such metric.
        ScoreError: pyiqa, or a parameter file of pyiqa, is missing.
    """
    if name not in _SCORERS:
        raise UnknownNameError("metric", name, _SCORERS)
    scorer = _SCORERS[name]
    if isinstance(scorer, Pyiqa):
        scorer.network()
    return scorer


class FileScore(NamedTuple):
    """Score of a picture file, or +inf with a reason."""

    path: Path
    score: float
    reason: str | None


def score_files(paths: Iterable[str | Path], metric: str = "niqe") -> list[FileScore]:
    """Score picture files; a file that cannot be read or is too small gets a reason instead.

    Colour pictures are scored by their luma, rounded to whole grey levels.

    Raises:
        UnknownNameError, ScoreError: as `get_scorer`.
    """
    scorer = get_scorer(metric)
    return [_score_file(Path(path), scorer) for path in paths]


def _score_file(path: Path, scorer: Scorer) -> FileScore:
    try:
        scores, reasons = scorer.score(read_picture(path)[None])
    except ScoreError as error:
        return FileScore(path, float("inf"), error.message)
    return FileScore(path, float(scores[0]), reasons[0])
