"""The pieces of contact sheets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqgen.drawing import BODY, INK, MARGIN, Part, resized, save, stacked, stamp, wrapped
from hqgen.errors import UsageError


def test_parts_are_one_below_the_other_with_a_margin_around() -> None:
    parts = [Image.new("RGB", (80, 30), (10, 0, 0)), Image.new("RGB", (80, 50), (20, 0, 0))]
    sheet = np.asarray(stacked(parts, 80))[..., 0]
    assert sheet.shape == (80 + 2 * MARGIN, 80 + 2 * MARGIN)
    assert sheet[MARGIN + 29, MARGIN] == 10
    assert sheet[MARGIN + 30, MARGIN + 79] == 20
    assert sheet[MARGIN - 1, MARGIN] == sheet[MARGIN + 80, MARGIN] == 255


def test_a_text_is_shortened_to_the_room_and_one_that_fits_is_not() -> None:
    part = Part(300, 40)
    long = "a rather long name of a recording in a folder"
    short = part.fitted(long, BODY, 200)
    assert part.length(short, BODY) <= 200
    assert "…" in short
    assert part.fitted("short", BODY, 200) == "short"
    part.text((0, 0), short, BODY)
    assert (np.asarray(part.image) == INK).all(axis=-1).any()


def test_long_reasons_end_after_a_few_lines() -> None:
    assert 2 <= len(wrapped("word " * 200, 200, BODY)) <= 8


def test_a_picture_of_the_right_size_keeps_its_pixels() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8)
    assert np.array_equal(np.asarray(resized(picture, 30, 20)), picture)
    assert resized(picture, 60, 40).size == (60, 40)


def test_the_folder_of_a_sheet_is_made_and_a_sheet_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    save(Image.new("RGB", (2, 2)), tmp_path / "new" / "sheet.png")
    assert (tmp_path / "new" / "sheet.png").exists()
    with pytest.raises(UsageError, match="cannot be written") as error:
        save(Image.new("RGB", (2, 2)), tmp_path / "new" / "sheet.png" / "sheet.png")
    assert error.value.hint
    assert "Errno" not in str(error.value)


@pytest.mark.parametrize("shape", [(60, 80), (60, 80, 3), (8, 9)], ids=str)
def test_a_stamp_is_white_on_black_in_the_corner(shape: tuple[int, ...]) -> None:
    picture = np.full(shape, 99, np.uint8)
    stamp(picture, "120")
    assert picture[0, 0].max() == 0
    assert picture.max() > 200 or len(picture) < 10
    assert len(picture) < 10 or (picture[30:] == 99).all()
