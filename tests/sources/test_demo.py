from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from hqgen.errors import SourceError, UnknownNameError
from hqgen.methods.tfp import TFP
from hqgen.sources.demo import CENTRE, FRAMES, GEOMETRY, demo_recording, demo_scenes, demo_truth
from hqgen.spikes.packed import Window


@pytest.mark.parametrize("scene", demo_scenes())
def test_each_scene_shows_its_truth_at_the_centre_frame(scene: str) -> None:
    spikes, truth = demo_recording(scene), demo_truth(scene)
    assert spikes.shape == (FRAMES, *GEOMETRY)
    assert truth.shape == GEOMETRY
    assert truth.dtype == np.float32
    assert 0 <= truth.min() < truth.max() <= 1
    image = TFP(window=11).reconstruct(Window(spikes, CENTRE))
    seen, true = (each.reshape(25, 10, 40, 10).mean(axis=(1, 3)).ravel() for each in (image, truth))
    assert np.corrcoef(seen, true)[0, 1] > 0.97
    assert image.mean() / truth.mean() == pytest.approx(0.6, rel=0.12)  # dark current shows in dark scenes


def test_scenes_are_the_same_every_time() -> None:
    assert len(demo_scenes()) == 12
    simulated_anew = demo_recording.__wrapped__
    assert demo_recording("moon").data.tobytes() == simulated_anew("moon").data.tobytes()


def test_long_windows_win_on_slow_scenes_and_lose_on_fast_ones() -> None:
    def error(scene: str, window: int) -> float:
        image = TFP(window=window).reconstruct(Window(demo_recording(scene), CENTRE))
        return float(np.mean((image / 0.6 - demo_truth(scene)) ** 2))

    assert error("moon", 41) < error("moon", 11)
    assert error("motorcycle", 11) < error("motorcycle", 41)


def test_an_unknown_scene_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="demo scene `mon`") as caught:
        demo_recording("mon")
    assert "`moon`" in caught.value.hint


def test_a_picture_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hqgen.sources.demo.find_spec", lambda name: importlib.util.find_spec("json"))
    with pytest.raises(SourceError, match=r"moon\.png"):
        demo_truth("moon")
    demo_truth("chart")  # drawn, so it needs nobody's files
