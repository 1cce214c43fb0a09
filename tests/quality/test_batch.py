from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hqgen.quality.batch import one_by_one, over_threads


def mean(image: NDArray[Any]) -> float:
    return float(image.mean())


def test_each_picture_has_its_score_or_its_reason() -> None:
    images = np.stack([np.eye(3), np.full((3, 3), 2.0), np.diag([1.0, np.nan, 0]), -np.eye(3)])
    scores, reasons = one_by_one(
        images, lambda image: mean(image) if image.max() > 0 else np.nan, "undefined"
    )
    assert scores.tolist() == [pytest.approx(1 / 3), np.inf, np.inf, np.inf]
    assert reasons == [
        None,
        "the picture is flat",
        "the picture has values that are not finite",
        "undefined",
    ]


@pytest.mark.parametrize("count", [0, 1, 2, 7])
@pytest.mark.parametrize("threads", [-1, 0, 1, 3, 99])
def test_parts_are_put_together_in_order(count: int, threads: int) -> None:
    images = np.arange(count * 4.0).reshape(count, 2, 2)
    scores, reasons = over_threads(images, lambda part: one_by_one(part, mean, ""), threads)
    assert scores.tolist() == images.mean(axis=(1, 2)).tolist()
    assert reasons == [None] * count


def test_an_error_of_a_thread_reaches_the_caller() -> None:
    def fail(_part: NDArray[Any]) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        over_threads(np.zeros((2, 3, 3)), fail, 2)
