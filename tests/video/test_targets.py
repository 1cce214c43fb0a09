from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hqgen.errors import UsageError
from hqgen.video.targets import Film, Pictures, Target, Values, target_at


def pictures(*shape: int) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """Five smooth pictures that get brighter, which a film keeps nearly as they are."""
    ramp = np.linspace(0, 150, shape[1])[:, None] if len(shape) == 3 else np.linspace(0, 150, shape[1])
    return [np.broadcast_to(ramp + 20 * number, shape).astype(np.uint8) for number in range(5)]


def write(target: Target, made: list[Any], step: int = 1) -> None:
    with target.open(len(made)) as add:
        for number, picture in enumerate(made):
            add(number * step, target.encode(picture))


@pytest.mark.parametrize("shape", [(64, 96), (33, 51), (32, 48, 3)], ids=str)
def test_a_film_holds_the_pictures_at_its_rate(shape: tuple[int, ...], tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    made = pictures(*shape)
    write(target_at(tmp_path / "new/a.mp4", 12.5), made)
    with av.open(str(tmp_path / "new/a.mp4")) as film:
        found = list(film.decode(video=0))
        assert film.streams.video[0].average_rate == 12.5
        assert film.streams.video[0].codec_context.pix_fmt == "yuv420p"
    assert len(found) == 5
    for frame, picture in zip(found, made, strict=True):
        levels = frame.to_ndarray(format="rgb24")
        height, width = shape[:2]
        assert levels.shape == (height + height % 2, width + width % 2, 3)
        shown = levels[:height, :width] if picture.ndim == 3 else levels[:height, :width, 0]
        assert np.abs(shown.astype(int) - picture).mean() < 3
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.mp4"]


def test_a_folder_holds_pictures_named_by_their_frames(tmp_path: Path) -> None:
    made = pictures(8, 12)
    write(target_at(tmp_path / "film", 30), made, step=250)
    names = sorted(path.name for path in (tmp_path / "film").iterdir())
    assert names == [f"frame-{frame:06d}.png" for frame in (0, 250, 500, 750, 1000)]
    with Image.open(tmp_path / "film" / names[2]) as picture:
        np.testing.assert_array_equal(np.asarray(picture), made[2])


def test_an_array_holds_the_values(tmp_path: Path) -> None:
    made = list(np.random.default_rng(0).random((7, 5, 6), np.float32))
    write(target_at(tmp_path / "a.NPY", 30), [image[::-1] for image in made])
    found = np.load(tmp_path / "a.NPY", mmap_mode="r")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.stack(made)[:, ::-1])


@pytest.mark.parametrize("name", ["a.mp4", "a", "a.npy"])
@pytest.mark.parametrize("after", [0, 3])
def test_nothing_is_left_of_a_video_that_was_interrupted(name: str, after: int, tmp_path: Path) -> None:
    target = target_at(tmp_path / name, 30)

    def interrupted() -> None:
        with target.open(5) as add:
            for number, picture in enumerate(pictures(32, 48)[:after]):
                add(number, target.encode(picture))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())


def test_a_video_takes_the_place_of_an_old_one_only_when_it_is_complete(tmp_path: Path) -> None:
    target = target_at(tmp_path / "a.mp4", 30)
    target.path.write_bytes(b"old")
    with target.open(2) as add:
        add(0, target.encode(pictures(32, 48)[0]))
        assert target.path.read_bytes() == b"old"
    assert target.path.read_bytes() != b"old"


def test_names_tell_the_kind_and_others_are_refused(tmp_path: Path) -> None:
    assert isinstance(target_at(tmp_path / "a.MP4", 30), Film)
    assert isinstance(target_at(tmp_path, 30), Pictures), "an empty folder"
    assert isinstance(target_at(tmp_path / "a.npy", 30), Values)
    with pytest.raises(UsageError, match=r"no kind of video ends in `\.gif`"):
        target_at(tmp_path / "a.gif", 30)
    (tmp_path / "here").mkdir()
    (tmp_path / "here/file").touch()
    for taken in ("here", "here/file"):
        with pytest.raises(UsageError, match="already there"):
            target_at(tmp_path / taken, 30)
    with (
        pytest.raises(UsageError, match="cannot be written"),
        target_at(tmp_path / "here/file/a.npy", 30).open(1),
    ):
        pass


def test_a_film_without_pyav_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name == "av":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match="package `av`") as caught:
        target_at(tmp_path / "a.mp4", 30)
    assert "hqgen[video]" in caught.value.hint
