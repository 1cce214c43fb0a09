"""Batches of pictures: the checks and the threads that all judges share."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = tuple[NDArray[np.float64], list[str | None]]

FLAT = "the picture is flat"
NOT_FINITE = "the picture has values that are not finite"
NO_STRUCTURE = "no block of the picture has structure at both scales"
NO_STATISTICS = "the statistics of the picture are not defined"
NOTHING_BRIGHT = "nothing in the picture is brighter than zero"
NO_BRIGHTNESS = "the mean brightness of the picture is not above zero"
NO_VALUE = "the metric is not defined for the picture"

REASONS = frozenset((FLAT, NOT_FINITE, NO_STRUCTURE, NO_STATISTICS, NOTHING_BRIGHT, NO_BRIGHTNESS, NO_VALUE))
"""All reasons of metrics why a picture has no score, except those of a library's linear algebra."""


def over_threads(images: NDArray[Any], score: Callable[[NDArray[Any]], Scores], threads: int) -> Scores:
    """Score (N, H, W) in `threads` parts at once; each part is scored as it would be alone."""
    threads = max(1, min(threads, len(images)))
    if threads == 1:
        return score(images)
    with ThreadPoolExecutor(threads) as pool:
        scores, reasons = zip(*pool.map(score, np.array_split(images, threads)), strict=True)
    return np.concatenate(scores), [*chain.from_iterable(reasons)]


def one_by_one(images: NDArray[Any], score: Callable[[NDArray[Any]], float], undefined: str) -> Scores:
    """Score each of (N, H, W) that is finite and not flat.

    Args:
        images: uint8 or floating.
        score: of one (H, W).
        undefined: the reason for a picture whose score is not finite.
    """
    scores, reasons = np.full(len(images), np.inf), list[str | None]()
    for n, image in enumerate(images):
        reason = None
        if image.dtype != np.uint8 and not np.isfinite(image).all():
            reason = NOT_FINITE
        elif image.min() == image.max():
            reason = FLAT
        else:
            value = score(image)
            scores[n], reason = (value, None) if np.isfinite(value) else (np.inf, undefined)
        reasons.append(reason)
    return scores, reasons
