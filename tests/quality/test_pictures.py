from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqgen.errors import ScoreError
from hqgen.quality import luma, read_picture

GREY = np.arange(100, dtype=np.uint8).reshape(10, 10)


def test_luma_of_grey_is_the_same_level() -> None:
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(luma(np.stack([levels] * 3, axis=-1)[None])[0], levels)


def test_luma_is_the_rounded_weighted_sum() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    exact = rgb @ np.array([0.299, 0.587, 0.114])
    assert np.abs(luma(rgb) - exact).max() <= 0.5 + 1e-4
    assert luma(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)).tolist() == [[76, 150, 29]]


def test_luma_equals_pyiqa_but_for_exact_ties() -> None:
    pytest.importorskip("pyiqa", reason="pyiqa is not installed")
    import torch
    from pyiqa.utils.color_util import to_y_channel

    rgb = np.random.default_rng(1).integers(0, 256, (300, 300, 3), np.uint8)
    tensor = torch.from_numpy(rgb.transpose(2, 0, 1)[None] / np.float32(255))
    theirs = to_y_channel(tensor, 255)[0, 0].numpy()
    ties = rgb.astype(np.int64) @ [299, 587, 114] % 1000 == 500
    assert ties.any()
    np.testing.assert_array_equal(luma(rgb)[~ties], theirs[~ties])


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "gif"])
def test_a_grey_picture_is_read_as_it_is(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"grey.{suffix}"
    Image.fromarray(GREY).save(path)
    picture = read_picture(path)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, GREY)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_other_8_bit_modes_of_a_grey_picture_give_the_same_levels(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(GREY).convert(mode).save(path)
    np.testing.assert_array_equal(read_picture(path), GREY)


def test_a_colour_picture_becomes_luma(tmp_path: Path) -> None:
    rgb = np.random.default_rng(2).integers(0, 256, (9, 11, 3), np.uint8)
    Image.fromarray(rgb).save(tmp_path / "colour.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "colour.png"), luma(rgb))


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_deeper_than_8_bits_is_refused(tmp_path: Path, kind: type[np.generic]) -> None:
    path = tmp_path / "deep.tiff"
    Image.fromarray(GREY.astype(kind)).save(path)
    with pytest.raises(ScoreError, match="more than 8 bits"):
        read_picture(path)


def test_a_missing_an_empty_a_truncated_and_a_foreign_file_are_refused(tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (99, 99), np.uint8)).save(whole)
    (tmp_path / "empty.png").touch()
    (tmp_path / "truncated.png").write_bytes(whole.read_bytes()[:3000])
    (tmp_path / "text.png").write_text("no picture")
    for name in ("missing.png", "empty.png", "truncated.png", "text.png", "."):
        with pytest.raises(ScoreError, match="cannot be read as a picture") as caught:
            read_picture(tmp_path / name)
        assert str(tmp_path / name) in caught.value.message
