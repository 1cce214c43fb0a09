from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spikeclip.training.curve import VALIDATION, Point, draw_curve, write_curve


def point(step: int, total: float, validation: float | None = None) -> Point:
    return Point(step, 1 + step // 100, {"total": total, "prompt": -0.5}, validation, step / 7)


def test_table_holds_every_point(tmp_path: Path) -> None:
    write_curve(tmp_path, "fine", [point(20, 1.5), point(40, 1.25, 1.0)])
    with (tmp_path / "curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["total"] for row in rows] == ["1.5", "1.25"]
    assert [row["validation"] for row in rows] == ["", "1"]
    assert list(rows[0]) == ["step", "epoch", "total", "prompt", "validation", "seconds"]
    with Image.open(tmp_path / "curve.png") as image:
        assert image.size == draw_curve("", [point(1, 1)]).size


@pytest.mark.parametrize(
    "curve",
    [
        [point(20, 1.0, 1.0)],
        [point(20, 0.0), point(40, 0.0)],
        [point(step, 1e-6 * step) for step in range(1, 300)],
        [point(step, -50.0 + step) for step in range(1, 300)],
        [point(1, 1e9), *(point(step, 1.0 / step, 2.0) for step in range(2, 50))],
    ],
    ids=["one", "all zero", "tiny", "negative", "far out"],
)
def test_any_curve_can_be_drawn(curve: list[Point]) -> None:
    image = np.asarray(draw_curve("fine", curve))
    assert image.shape[1] == 2 * image.shape[0] * 460 // 300
    assert image.std() > 0


def test_validation_loss_is_drawn_where_there_is_one() -> None:
    def marked(curve: list[Point]) -> int:
        area = np.asarray(draw_curve("", curve)).astype(int)[40:]  # below the legend
        return int((np.abs(area - VALIDATION).sum(axis=-1) < 30).sum())

    curve = [point(20, 1.0), point(40, 0.5)]
    assert marked(curve) == 0
    assert marked([*curve, point(60, 0.4, 0.9), point(80, 0.3, 0.8)]) > 20
