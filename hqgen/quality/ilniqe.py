"""IL-NIQE: NIQE with more features, one distance per block; lower is better.

The algorithm is that of L. Zhang, L. Zhang, A. C. Bovik, "A Feature-Enriched Completely Blind Image Quality
Evaluator", IEEE Transactions on Image Processing 24(8), 2015, with the numerical choices of pyiqa's `ilniqe`
(see docs/judges.md). Its model of pristine photographs, `ilniqe_templateModel.mat` of
https://github.com/IceClear/IL-NIQE (Apache-2.0), has 2.8 MB and does not ship with hqgen: users copy it into
their folder of weights.
"""

from __future__ import annotations

from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hqgen.errors import ScoreError
from hqgen.files import weights_folder
from hqgen.quality.batch import NO_STRUCTURE, Scores, one_by_one, over_threads
from hqgen.quality.gaussians import fit_asymmetric, shapes
from hqgen.quality.pictures import stacked

SMALLEST = 84
"""Rows and columns of the smallest picture that has a score. The published code has no limit."""

RESIZED = 524
"""Rows and columns that every picture is resized to."""

LARGEST = 10_000.0
"""Features above this count as this."""

TEMPLATE = "ilniqe_templateModel.mat"

TEMPLATE_SHA256 = "14f4919a630498d732bbf11837d894d45a57f89c9ed84bea98851147290ce93c"

Array = NDArray[np.float64]

if TYPE_CHECKING:
    from hqgen.quality.maps import Statistics


def ilniqe(images: NDArray[Any], *, threads: int = 1) -> Array:
    """Score grey pictures; lower is better.

    The template is of colour photographs, and a grey picture has no colour at all. So its score is only
    comparable with scores of other grey pictures: sharp photographs have 20 to 30, noise 135.

    Args:
        images: (H, W) or (N, H, W). uint8 are grey levels 0 to 255. Floats are in [0, 1]; they are multiplied
            by 255, rounded, and clamped after they were resized.
        threads: number of pictures in work at once; the scores do not depend on it.

    Returns:
        float64 (N,), N = 1 for (H, W). A picture that is flat or not finite gets +inf.

    Raises:
        ScoreError: another dtype or number of axes, a side under 84 pixels, or the template is missing.
    """
    return ilniqe_scores(images, threads=threads)[0]


def ilniqe_scores(images: NDArray[Any], *, threads: int = 1) -> Scores:
    """Score like `ilniqe`, with the reason for each picture without a score.

    Returns:
        float64 (N,), and for each picture None, or the reason why its score is +inf.

    Raises:
        ScoreError: as `ilniqe`.
    """
    images = stacked(images, metric="ilniqe", smallest=SMALLEST)
    score = partial(_score, template=template())
    return over_threads(images, partial(one_by_one, score=score, undefined=NO_STRUCTURE), threads)


class Template(NamedTuple):
    """The model of pristine photographs."""

    mu: Array  # (430,)
    cov: Array  # (430, 430)
    mean: Array  # (468,): of the features
    vectors: Array  # (468, 430): their principal components


def template() -> Template:
    """The template in the user's folder of weights.

    Raises:
        ScoreError: it is missing, or another file.
    """
    return _read_template(weights_folder() / TEMPLATE)


@cache
def _read_template(path: Path) -> Template:
    from io import BytesIO

    from scipy.io import loadmat

    hint = f"copy `{TEMPLATE}` of https://github.com/IceClear/IL-NIQE to `{path.parent}`"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ScoreError(f"the metric `ilniqe` needs `{path}`: {error.strerror}", hint=hint) from error
    if sha256(data).hexdigest() != TEMPLATE_SHA256:
        raise ScoreError(f"`{path}` is not the published template of `ilniqe`", hint=hint)
    mu, cov, mean, vectors = (
        np.asarray(array, np.float64) for array in loadmat(BytesIO(data))["templateModel"][0]
    )
    return Template(mu.ravel(), cov, mean.ravel(), vectors)


def _score(image: NDArray[Any], template: Template) -> float:
    levels = image if image.dtype == np.uint8 else np.rint(image.astype(np.float64) * 255)
    return _distance(ilniqe_features(levels), template)


def ilniqe_features(levels: NDArray[Any]) -> Array:
    """The features of the 36 blocks of a picture, given its grey levels (H, W): float64 (36, 468)."""
    from hqgen.quality.maps import BLOCKS, SIDE, smooth_halve, statistics  # imports numba, so not at the top

    height, width = levels.shape
    resized = resizing(height)[:SIDE] @ levels.astype(np.float64) @ resizing(width)[:SIDE].T
    full = np.ascontiguousarray(np.clip(resized, 0, 255))
    half = np.empty((SIDE // 2, SIDE // 2))
    smooth_halve(full, half)
    features = [
        _features(statistics(image, scale), (SIDE // scale // BLOCKS) ** 2)
        for scale, image in ((1, full), (2, half))
    ]
    return np.minimum(np.concatenate(features, axis=1), LARGEST)  # NaN stays NaN


@cache
def resizing(length: int) -> Array:
    """Weights that resize `length` values to 524: bicubic, antialiased, mirrored ends, as in MATLAB."""
    scale = RESIZED / length
    stretch = min(scale, 1.0)
    reach = int(np.ceil(2 / stretch)) + 1
    weights = np.zeros((RESIZED, length))
    for i, row in enumerate(weights):
        centre = (i + 0.5) / scale - 0.5
        places = np.arange(int(np.floor(centre)) - reach, int(np.floor(centre)) + reach + 1)
        x = np.abs(places - centre) * stretch
        outer = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
        cubic = np.where(x <= 1, 1.5 * x**3 - 2.5 * x**2 + 1, np.where(x <= 2, outer, 0))
        inside = places % (2 * length)
        np.add.at(row, np.minimum(inside, 2 * length - 1 - inside), cubic / cubic.sum())
    return weights


def _features(found: Statistics, pixels: int) -> Array:
    """The 234 features of one size, (36, 234), from the statistics of its blocks of so many pixels."""
    from hqgen.quality.maps import OPPONENTS

    table = shapes()
    fit = fit_asymmetric(found.structure, pixels)
    alpha, scale = table.alpha[fit.nearest], table.scale[fit.nearest]
    left, right = fit.left * scale, fit.right * scale
    mean = (right - left) * table.mean[fit.nearest]
    products = np.stack([alpha, mean, left, right], axis=-1)[:, 1:]
    slopes = _widths(found.slopes, pixels)
    blocks = len(slopes)
    # The derivatives of the three opponent colours differ by a factor, and so do their widths.
    opponents = [slopes * (1, abs(opponent / OPPONENTS[2])) for opponent in OPPONENTS]
    groups = (
        np.stack([alpha[:, 0], (left[:, 0] + right[:, 0]) / 2], axis=-1),
        products,
        found.edges,
        found.levels,
        np.zeros((blocks, 4)),  # mean and variance of the two colour differences of a grey picture
        *opponents,
        _widths(found.responses, pixels),
        _widths(found.response_slopes, pixels),
        found.response_edges,
    )
    return np.concatenate([group.reshape(blocks, -1) for group in groups], axis=1)


def _widths(moments: Array, pixels: int) -> Array:
    """Alpha and the mean of both betas of each asymmetric generalised Gaussian: (..., 5) -> (..., 2)."""
    table, fit = shapes(), fit_asymmetric(moments, pixels)
    return np.stack(
        [table.alpha[fit.nearest], (fit.left + fit.right) / 2 * table.scale[fit.nearest]], axis=-1
    )


def _distance(features: Array, template: Template) -> float:
    """Mean distance of the blocks to the pristine ones.

    A block with a NaN feature counts as the mean of the others. Eigenvalues of the template are above 1e-7,
    so the pseudo-inverse of the published code is the inverse.
    """
    whole = np.isfinite(features).all(axis=1)
    if not whole.any():
        return float("nan")
    projected = (features[whole] - template.mean) @ template.vectors
    spread = np.cov(projected, rowvar=False) if whole.sum() > 1 else np.zeros_like(template.cov)
    filled = np.concatenate([projected, np.repeat(projected.mean(axis=0)[None], (~whole).sum(), axis=0)])
    difference = (filled - template.mu).T
    solved = np.linalg.solve((template.cov + spread) / 2, difference)
    return float(np.sqrt(np.sum(difference * solved, axis=0)).mean())
