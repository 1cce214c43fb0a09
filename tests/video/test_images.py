from __future__ import annotations

import os
import threading
import tracemalloc
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from hqgen.errors import MethodError
from hqgen.methods.api import reconstruct
from hqgen.methods.base import Method, Span
from hqgen.methods.registry import parse_methods
from hqgen.spikes.camera import Camera
from hqgen.spikes.packed import Window
from hqgen.video import images as module
from hqgen.video.images import images
from tests.video.made import recording

Floats = NDArray[np.float32]


def numbered(frame: int, image: Floats) -> tuple[int, Floats]:
    return frame, image


@pytest.mark.parametrize(
    "method",
    [
        *("tfp", "tfp:window=1", "tfp:window=2", "tfp:window=90"),
        *("tfi", "tfi:variant=spikeclip", "tfi:variant=paper", "tfi:half_window=2"),
        "tfstp",
    ],
)
@pytest.mark.parametrize("frames", [range(70), range(3, 69, 3), range(69, 70), range(0, 70, 30)], ids=str)
def test_every_method_gives_the_images_of_single_frames(method: str, frames: range) -> None:
    spikes = recording(70, 24, 32)
    (chosen,) = parse_methods(method)
    some = frames if method != "tfstp" else frames[:: max(1, len(frames) // 3)]
    found = list(images(chosen, spikes, some, numbered))
    assert [frame for frame, _ in found] == list(some)
    for frame, image in found:
        np.testing.assert_array_equal(image, reconstruct(chosen, spikes, centre=frame))


def test_a_network_gets_a_batch_and_gives_the_same_images(monkeypatch: pytest.MonkeyPatch) -> None:
    spikes, (base,) = recording(70, 24, 32), parse_methods("base:size=small")
    monkeypatch.setattr(type(base), "batch_on", {"cpu": 3, "cuda": 3})
    assert base.frames_at_once == 3
    for frame, image in images(base, spikes, range(20, 60, 10), numbered):
        np.testing.assert_allclose(image, reconstruct(base, spikes, centre=frame), atol=1e-5)


def test_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    spikes, (tfp,) = recording(70), parse_methods("tfp")
    whole = [image for _, image in images(tfp, spikes, range(70), numbered)]
    for name, value in {"PIECE_PIXELS": 16 * 24 * 3, "PIECE_BYTES": 48 * 2}.items():
        monkeypatch.setattr(module, name, value)
        again = [image for _, image in images(tfp, spikes, range(70), numbered)]
        np.testing.assert_array_equal(whole, again)


def test_a_colour_filter_gives_colours() -> None:
    spikes, (tfp,) = recording(30), parse_methods("tfp:window=5")
    spikes.camera = Camera(colour="RGGB")
    for frame, image in images(tfp, spikes, range(0, 30, 7), numbered):
        assert image.shape == (16, 24, 3)
        np.testing.assert_array_equal(image, reconstruct(tfp, spikes, centre=frame))


@dataclass(frozen=True)
class Odd(Method):
    """Gives the spikes of a frame; where there are none it fails."""

    name: ClassVar[str] = "odd"
    rank: ClassVar[int] = 1
    citation: ClassVar[str] = ""

    @property
    def span(self) -> Span:
        return 0, 0

    def reconstruct(self, window: Window) -> Floats:
        frames = window.spikes.frames()
        if not frames.any():
            raise MethodError("it is dark")
        return np.asarray(frames[0], np.float32)


def test_an_error_names_the_frame_of_the_recording() -> None:
    spikes = recording(40)
    spikes._spikes.data[31] = 0
    seen = []
    with pytest.raises(MethodError, match="frame 31: it is dark"):
        seen += [frame for frame, _ in images(Odd(), spikes, range(1, 40, 3), numbered)]


def test_the_work_is_only_a_little_ahead_of_the_reader() -> None:
    made: list[int] = []
    lock = threading.Lock()

    def note(frame: int, image: Floats) -> int:
        with lock:
            made.append(frame)
        return frame

    ahead = 2 * (os.cpu_count() or 1)
    for read, frame in enumerate(images(Odd(), recording(100), range(100), note), start=1):
        assert frame == read - 1
        assert len(made) <= read + ahead


def test_a_reader_that_stops_ends_the_work() -> None:
    threads = threading.active_count()
    made = images(Odd(), recording(100), range(100), numbered)
    next(made)
    assert threading.active_count() > threads
    made.close()  # type: ignore[attr-defined]
    assert threading.active_count() == threads


@pytest.mark.parametrize("method", ["tfp", "tfi"])
def test_memory_does_not_grow_with_the_number_of_frames(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE_PIXELS", 16 * 24 * 8)
    (chosen,), spikes = parse_methods(method), recording(2000)

    def peak(count: int) -> int:
        tracemalloc.start()
        for _ in images(chosen, spikes, range(count), numbered):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(100)  # compiles
    few, many = peak(200), peak(2000)
    assert many < 1.3 * few, f"{few:,} bytes for 200 frames, {many:,} for 2,000"
