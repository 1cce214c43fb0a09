from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hqgen.errors import ScoreError, UsageError
from hqgen.methods.api import reconstruct
from hqgen.methods.tfp import TFP
from hqgen.quality.normalise import gain_of, with_gain
from hqgen.spikes.packed import PackedSpikes
from hqgen.spikes.recording import ArrayRecording, write_dat
from hqgen.video.images import images
from hqgen.video.run import common_gain, make_video, reconstruct_video
from tests.command_line import run
from tests.video.made import recording

Floats = NDArray[np.float32]


def brightening() -> ArrayRecording:
    """Twice as many spikes at the end as in the beginning."""
    rates = np.linspace(0.2, 0.4, 100)[:, None, None]
    return ArrayRecording(PackedSpikes.pack(np.random.default_rng(0).random((100, 40, 48)) < rates))


def shown(folder: Path) -> list[NDArray[np.uint8]]:
    found = []
    for path in sorted(folder.iterdir()):
        with Image.open(path) as picture:
            found.append(np.asarray(picture))
    return found


def test_all_pictures_have_one_gain(tmp_path: Path) -> None:
    spikes, method, frames = brightening(), TFP(window=21), range(10, 90, 4)
    reconstruct_video(method, spikes, frames, tmp_path / "film")
    gain = common_gain(partial(images, method, spikes), frames)
    found = shown(tmp_path / "film")
    for frame, picture in zip(frames, found, strict=True):
        np.testing.assert_array_equal(picture, with_gain(reconstruct(method, spikes, centre=frame), gain))
    assert found[-1].mean() > 1.5 * found[0].mean(), "the video becomes brighter, as the scene does"


def test_the_gain_is_that_of_frames_of_the_whole_range() -> None:
    spikes, method, frames = brightening(), TFP(window=21), range(10, 90)
    tall = np.concatenate([reconstruct(method, spikes, centre=frame) for frame in frames[::5]])
    assert common_gain(partial(images, method, spikes), frames) == gain_of(tall)


def test_a_counter_changes_only_the_corner(tmp_path: Path) -> None:
    for counter in (False, True):
        reconstruct_video(TFP(), recording(40, 64, 96), range(5, 9), tmp_path / f"{counter}", counter=counter)
    pairs = list(zip(shown(tmp_path / "False"), shown(tmp_path / "True"), strict=True))
    for plain, counted in pairs:
        assert (plain[:16, :16] != counted[:16, :16]).any()
        np.testing.assert_array_equal(plain[32:], counted[32:])
        np.testing.assert_array_equal(plain[:, 48:], counted[:, 48:])
    assert (pairs[0][1][:16, :16] != pairs[1][1][:16, :16]).any(), "the numbers differ"


def test_dark_recordings_have_values_but_no_video(tmp_path: Path) -> None:
    dark = ArrayRecording(PackedSpikes.pack(np.zeros((30, 16, 24))))
    with pytest.raises(ScoreError, match="frames 0 to 28: dark image") as caught:
        reconstruct_video(TFP(), dark, range(30), tmp_path / "film")
    assert ".npy" in caught.value.hint
    assert not list(tmp_path.iterdir())
    reconstruct_video(TFP(), dark, range(30), tmp_path / "a.npy")
    assert not np.load(tmp_path / "a.npy").any()


def test_a_picture_that_is_not_finite_stops_the_video_with_its_number(tmp_path: Path) -> None:
    spikes = recording(40)

    def broken(frames: range, finish: Callable[[int, Floats], Any]) -> Iterator[Any]:
        for frame in frames:
            image = reconstruct(TFP(), spikes, centre=frame)
            yield finish(frame, image * np.float32(np.nan if frame == 38 else 1))

    with pytest.raises(ScoreError, match="frame 38: 384 of 384 pixels are not finite"):
        make_video(broken, range(40), tmp_path / "film")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rate", [0, -1, 1001, float("nan")])
def test_rates_that_no_player_has_are_refused(rate: float, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pictures per second"):
        reconstruct_video(TFP(), recording(40), range(40), tmp_path / "a.mp4", rate=rate)


def test_values_have_no_counter(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no room for a counter"):
        reconstruct_video(TFP(), recording(40), range(40), tmp_path / "a.npy", counter=True)


def test_the_command_writes_a_video(tmp_path: Path) -> None:
    write_dat(tmp_path / "a.dat", brightening().spikes())
    words: list[str | Path] = ["reconstruct", tmp_path / "a.dat", "--height", "40", "--width", "48"]
    words += ["--method", "tfp:window=21", "--force"]
    film = run(
        *words, "--frames", "0:100:2", "--out", tmp_path / "a.mp4", "--frame-rate", "20000", "--counter"
    )
    assert film.returncode == 0, film.stderr
    assert film.stdout == f"{tmp_path / 'a.mp4'}\n"
    assert "10 pictures of 50 near an end" in film.stderr
    assert "a second of video is 3 ms at 20000 frames per second: 333.3 times slower" in film.stderr
    assert run(*words, "--frames", "::", "--out", tmp_path / "all.npy").returncode == 0
    assert run(*words, "--frame", "33", "--out", tmp_path / "one.npy").returncode == 0
    np.testing.assert_array_equal(np.load(tmp_path / "all.npy")[33], np.load(tmp_path / "one.npy"))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--rate", "20"], "are for videos"),
        (["--counter"], "are for videos"),
        (["--frames", "::", "--frame", "3"], "leave one of them out"),
        (["--frames", "0:200"], "give `--frames 0:100:1`"),
        (["--frames", "::", "--rate", "0"], "`--rate` above 0"),
    ],
)
def test_flags_that_make_no_sense_are_refused(flags: list[str], words: str, tmp_path: Path) -> None:
    write_dat(tmp_path / "a.dat", brightening().spikes())
    size = ["--height", "40", "--width", "48", "--force", "--out"]
    done = run("reconstruct", tmp_path / "a.dat", *size, tmp_path / "a.mp4", *flags)
    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "a.mp4").exists()
