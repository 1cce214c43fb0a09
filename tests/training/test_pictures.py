from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqgen.errors import SourceError
from hqgen.training.pictures import load_pictures


def load(path: Path, longest: int = 480, smallest: int = 32) -> list[Image.Image]:
    return load_pictures(path, longest=longest, smallest=smallest)


def test_folder_is_read_with_its_subfolders_in_order_of_names_and_as_gray(pictures: Path) -> None:
    loaded = load(pictures)
    assert [(p.mode, p.size) for p in loaded] == [("L", (120, 90))] * 4
    np.testing.assert_array_equal(
        np.asarray(loaded[3]), np.asarray(Image.open(pictures / "deeper" / "d.png"))
    )


def test_zip_gives_the_same_as_the_folder_it_was_made_of(pictures: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for file in pictures.rglob("*.*"):
            archive.write(file, file.relative_to(pictures))
        archive.writestr("readme.txt", "no picture")
    for one, other in zip(load(pictures), load(tmp_path / "all.zip"), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_colour_becomes_gray_and_large_pictures_smaller(tmp_path: Path) -> None:
    Image.new("RGB", (300, 150), (255, 255, 255)).save(tmp_path / "wide.png")
    (only,) = load(tmp_path, longest=100)
    assert only.size == (100, 50)
    assert np.asarray(only).min() == 255


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: zipfile.ZipFile(path, "w").close()])
def test_folder_and_zip_without_pictures_are_refused(make: object, tmp_path: Path) -> None:
    assert callable(make)
    make(tmp_path / "none")
    with pytest.raises(SourceError, match=r"no pictures in `.*none`") as caught:
        load(tmp_path / "none")
    assert ".png" in caught.value.hint


def test_what_is_neither_folder_nor_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    for path in (tmp_path / "text", tmp_path / "absent"):
        with pytest.raises(SourceError, match="neither a folder nor a zip"):
            load(path)


@pytest.mark.parametrize("data", [b"", b"no picture at all", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_damaged_picture_is_named(data: bytes, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes((pictures / "a.png").read_bytes())
    (tmp_path / "broken.png").write_bytes(data)
    with pytest.raises(SourceError, match=r"`.*broken.png` is no readable picture"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["a.png", "b.jpg"])
def test_truncated_picture_is_named(name: str, pictures: Path, tmp_path: Path) -> None:
    data = (pictures / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(SourceError, match=f"{name}` is no readable picture"):
        load(tmp_path)


def test_picture_that_is_too_small_is_named_with_its_size(tmp_path: Path) -> None:
    Image.new("L", (100, 20)).save(tmp_path / "flat.png")
    with pytest.raises(SourceError, match=r"flat.png` is 20x100 pixels; .* at least 32"):
        load(tmp_path)
