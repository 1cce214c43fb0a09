from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hqgen.simulation.pixels import fire_scene
from hqgen.simulation.scenes import FRAMES

NO_JITTER = np.zeros((1, 1, 1), np.float32)


def fire(charge: np.ndarray, start: float = 0.5, jitter: np.ndarray = NO_JITTER) -> np.ndarray:
    spikes = np.empty(charge.shape, np.uint8)
    fire_scene(charge, jitter, np.full(charge.shape[1:], start, np.float32), spikes)
    return spikes


@settings(deadline=None)
@given(rate=st.floats(0, 1, width=32), start=st.floats(0, 1, width=32, exclude_max=True))
def test_a_scene_counts_the_whole_thresholds_passed(rate: float, start: float) -> None:
    total = fire(np.full((FRAMES, 1, 1), rate, np.float32), start).sum()
    assert abs(total - np.floor(start + FRAMES * rate)) <= 1  # float32 sums may fall to either side
    assert abs(total - (start + FRAMES * rate)) < 1.001


def test_saturated_pixel_fires_in_every_frame_and_recovers_at_once() -> None:
    charge = np.concatenate([np.full((10, 1, 1), 5), np.zeros((10, 1, 1))]).astype(np.float32)
    spikes = fire(charge)[:, 0, 0]
    assert spikes[:10].all()
    assert spikes[10:].sum() <= 1


def test_dark_pixel_never_fires() -> None:
    assert not fire(np.zeros((FRAMES, 3, 3), np.float32)).any()


def test_jitter_moves_spikes() -> None:
    charge = np.full((FRAMES, 8, 8), 0.3, np.float32)
    jitter = 0.1 * np.random.default_rng(0).standard_normal(charge.shape, np.float32)
    assert not np.array_equal(fire(charge), fire(charge, jitter=jitter))
