"""Metrics by name, for the candidates of a build and for picture files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import ScoreError, UnknownNameError
from hqgen.provenance import Specified
from hqgen.quality.batch import FLAT, NO_VALUE, REASONS, Scores
from hqgen.quality.brisque import brisque_scores, machine
from hqgen.quality.ilniqe import TEMPLATE_SHA256, ilniqe_scores, template
from hqgen.quality.niqe import pristine, score_images
from hqgen.quality.pictures import read_picture, stacked
from hqgen.quality.piqe import piqe_scores


class Scorer(Specified, Protocol):
    """A no-reference metric; lower is better."""

    def score(self, images: NDArray[Any]) -> Scores:
        """Score grey pictures, each independently of the others.

        Args:
            images: (N, H, W), uint8, or floats in [0, 1].

        Returns:
            float64 (N,), and for each picture None, or the reason why its score is +inf.

        Raises:
            ScoreError: the pictures are too small for the metric, or not grey pictures.
        """


@dataclass(frozen=True)
class Own:
    """A metric as hqgen computes it.

    Args:
        name: what users type.
        version: see `Scorer`.
    """

    name: str
    version: int = 1

    def parameters(self) -> dict[str, Any]:
        """Empty: a version always uses the same numbers."""
        return {}

    def score(self, images: NDArray[Any]) -> Scores:
        """Score grey pictures; see `Scorer`."""
        return _FUNCTIONS[self.name](images)


@dataclass(frozen=True)
class IlNiqe:
    """IL-NIQE as hqgen computes it, with the published template from the user's folder of weights."""

    name: str = "ilniqe"
    version: int = 1

    def parameters(self) -> dict[str, Any]:
        """The digest of the template."""
        return {"template_sha256": TEMPLATE_SHA256}

    def score(self, images: NDArray[Any]) -> Scores:
        """Score grey pictures; see `Scorer`."""
        return ilniqe_scores(images)


def _grain(images: NDArray[Any]) -> Scores:
    from hqgen.quality.grain import grain_scores  # imports numba, so not at the top

    return grain_scores(images)


_FUNCTIONS: dict[str, Callable[[NDArray[Any]], Scores]] = {
    "niqe": score_images,
    "brisque": brisque_scores,
    "piqe": piqe_scores,
    "grain": _grain,
}


@dataclass(frozen=True)
class Pyiqa:
    """A metric of pyiqa, on the CPU, with the numbers that hqgen ships: the reference for hqgen's own.

    Args:
        name: what users type.
        metric: its name in pyiqa.
        smallest: rows and columns that a picture needs at least.
        version: see `Scorer`.
    """

    name: str
    metric: str
    smallest: int
    version: int = 1

    def parameters(self) -> dict[str, Any]:
        """The version of pyiqa."""
        return {"pyiqa": installed_version("pyiqa")}

    def network(self) -> Callable[[Any], Any]:
        """The metric of pyiqa, from (1, 1, H, W) tensors in [0, 1] to a score.

        Raises:
            ScoreError: pyiqa is not installed.
        """
        if find_spec("pyiqa") is None:
            raise ScoreError(
                f"the metric `{self.name}` needs pyiqa, which is not installed",
                hint=f"pip install 'hqgen[iqa]', or use hqgen's own `{self.metric}`",
            )
        return _pyiqa_network(self.metric)

    def score(self, images: NDArray[Any]) -> Scores:
        """Score grey pictures one by one, because pyiqa is no faster on a batch; see `Scorer`."""
        import torch

        network = self.network()
        images = stacked(images, metric=self.name, smallest=self.smallest)
        scores, reasons = np.full(len(images), np.inf), list[str | None]()
        for n, image in enumerate(images):
            reason = FLAT if image.min() == image.max() else None
            if reason is None:
                values = image / np.float32(255) if image.dtype == np.uint8 else image
                try:
                    scores[n] = float(network(torch.from_numpy(values[None, None])))
                except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
                    reason = str(error)
                if not np.isfinite(scores[n]):
                    scores[n], reason = np.inf, reason or NO_VALUE
            reasons.append(reason)
        return scores, reasons


@cache
def _pyiqa_network(metric: str) -> Callable[[Any], Any]:
    """Create a metric; it gets our copy of its numbers, so it needs no download."""
    import pyiqa

    with redirect_stdout(sys.stderr), TemporaryDirectory() as folder:  # stdout is for data
        options = _NUMBERS[metric](Path(folder)) if metric in _NUMBERS else {}
        network: Any = pyiqa.create_metric(metric, device="cpu", **options)
    if metric == "piqe":
        # It keeps its result in the module before it returns it: two threads would exchange their scores.
        network.net.forward = _one_at_a_time(network.net.forward)
    return network  # type: ignore[no-any-return]


def _numbers_of_niqe(folder: Path) -> dict[str, str]:
    from scipy.io import savemat

    mu, cov = pristine()
    savemat(folder / "niqe.mat", {"mu_prisparam": mu, "cov_prisparam": cov})
    return {"pretrained_model_path": str(folder / "niqe.mat")}


def _numbers_of_brisque(folder: Path) -> dict[str, str]:
    import torch

    svm = machine()
    torch.save((torch.from_numpy(svm.coefficients), torch.from_numpy(svm.vectors)), folder / "brisque.pth")
    return {"pretrained_model_path": str(folder / "brisque.pth")}


_LINEAR_ALGEBRA = ("linalg", "torch.linalg")
"""What messages of PyTorch's linear algebra begin with, which `Pyiqa` gives as reasons."""

_NUMBERS = {"niqe": _numbers_of_niqe, "brisque": _numbers_of_brisque}


def _one_at_a_time(function: Callable[..., Any]) -> Callable[..., Any]:
    lock = Lock()

    def call(*args: Any, **options: Any) -> Any:
        with lock:
            return function(*args, **options)

    return call


_SCORERS: dict[str, Own | IlNiqe | Pyiqa] = {
    scorer.name: scorer
    for scorer in (
        Own("niqe"),
        Own("brisque", version=2),  # version 1 of these two was pyiqa's
        Own("piqe", version=2),
        IlNiqe(),
        Own("grain"),
        Pyiqa("pyiqa-niqe", "niqe", smallest=96),
        Pyiqa("pyiqa-brisque", "brisque", smallest=14),
        Pyiqa("pyiqa-piqe", "piqe", smallest=16),
    )
}


def scorer_names() -> list[str]:
    """The names that `get_scorer` knows, hqgen's own first."""
    return list(_SCORERS)


def get_scorer(name: str) -> Scorer:
    """Find a metric by name, and check that it can run here.

    Raises:
        UnknownNameError: there is no such metric.
        ScoreError: pyiqa, or the template of IL-NIQE, is missing.
    """
    if name not in _SCORERS:
        raise UnknownNameError("metric", name, _SCORERS)
    scorer = _SCORERS[name]
    if isinstance(scorer, Pyiqa):
        scorer.network()
    elif isinstance(scorer, IlNiqe):
        template()
    return scorer


def check_size(scorer: Scorer, height: int, width: int) -> None:
    """Make sure that a scorer takes pictures of a size.

    Raises:
        ScoreError: it does not.
    """
    # A flat picture has no score, but one of a size that the scorer refuses has an error.
    scorer.score(np.zeros((1, height, width), np.uint8))


def is_of_scorer(reason: str) -> bool:
    """Whether a candidate has this reason from a scorer: its picture could be made, but has no score."""
    return reason in REASONS or reason.startswith(_LINEAR_ALGEBRA)


def usable_scorers(
    names: Iterable[str], sizes: Iterable[tuple[int, int]]
) -> tuple[tuple[Scorer, ...], dict[str, str]]:
    """Find the scorers that can run here and take pictures of all these sizes, (H, W) each.

    Returns:
        The scorers; and by name why others cannot.

    Raises:
        UnknownNameError: there is no such scorer.
    """
    usable, reasons, sizes = list[Scorer](), dict[str, str](), list(sizes)
    for name in names:
        try:
            scorer = get_scorer(name)
            for height, width in sizes:
                check_size(scorer, height, width)
        except ScoreError as error:
            reasons[name] = error.message
        else:
            usable.append(scorer)
    return tuple(usable), reasons


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
