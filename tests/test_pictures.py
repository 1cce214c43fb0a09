from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqgen.errors import SourceError
from hqgen.pictures import grey_levels, labelled_pictures, load_pictures, read_light


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
    with pytest.raises(SourceError, match=r"`.*broken.png` is not a readable picture"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["a.png", "b.jpg"])
def test_truncated_picture_is_named(name: str, pictures: Path, tmp_path: Path) -> None:
    data = (pictures / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(SourceError, match=f"{name}` is not a readable picture"):
        load(tmp_path)


def test_picture_that_is_too_small_is_named_with_its_size(tmp_path: Path) -> None:
    Image.new("L", (100, 20)).save(tmp_path / "flat.png")
    with pytest.raises(SourceError, match=r"flat.png` is 20x100 pixels; .* at least 32"):
        load(tmp_path)


def test_the_class_of_a_picture_is_the_folder_that_it_lies_in(tmp_path: Path) -> None:
    for name in ("top.png", "b/2.png", "b/1.png", "deeper/a/3.png", "a/note.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(tmp_path / name, "PNG")
    found = labelled_pictures(tmp_path)
    assert [(picture.label, picture.name) for picture in found] == [
        ("a", "deeper/a/3.png"),
        ("b", "b/1.png"),
        ("b", "b/2.png"),
    ]


def test_grey_levels_are_the_nearest_and_clipped() -> None:
    assert grey_levels(np.array([-1, 0.5 / 255, 1.5 / 255, 0.999, 7])).tolist() == [0, 0, 2, 255, 255]


def test_grey_levels_are_read_as_linear_light(tmp_path: Path) -> None:
    levels = np.array([[0, 51, 255]], np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_light(tmp_path / "a.png"), [[0, 0.2, 1]], atol=1e-6)


def test_16_bits_keep_their_depth(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 257, 65535]], np.uint16)).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_light(tmp_path / "a.png"), [[0, 1 / 255, 1]], atol=1e-6)


def test_colours_become_grey(tmp_path: Path) -> None:
    Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_light(tmp_path / "a.png"), [[0.299, 0.587, 0.114]], atol=0.003)


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    for name in ("a.png", "absent.png"):
        with pytest.raises(SourceError, match=name):
            read_light(tmp_path / name)
