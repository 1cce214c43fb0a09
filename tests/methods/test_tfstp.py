"""TFSTP: the synapse model against its recursion, its golden, and what must hold of a rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hqgen.errors import UsageError
from hqgen.methods.tfstp import TFSTP, Formula, Plasticity, plasticity
from hqgen.spikes.packed import PackedSpikes
from tests.methods.windows import REDS, reds, window

FORMULAS: list[Formula] = ["mended", "published"]
U0, D, F, INCREMENT = 0.15, 1.0, 10.0, 0.15


def regular(interval: int, count: int = 201, phase: int = 0) -> np.ndarray:
    frames = np.zeros((count, 1, 1), np.uint8)
    frames[phase::interval] = 1
    return frames


def recursion(train: np.ndarray, centre: int) -> tuple[float, float]:
    """R and u of one pixel, by the equations as the paper writes them."""
    spikes = np.flatnonzero(train)
    later = spikes[spikes > centre][:1]
    R, u = 1.0, U0
    for interval in np.diff(np.concatenate([spikes[spikes <= centre], later])):
        R = 1 - (1 - R * (1 - u)) * np.exp(-interval / D)
        u = U0 + (u + INCREMENT * (1 - u) - U0) * np.exp(-interval / F)
    return R, u


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 60),
    rate=st.sampled_from([0, 0.05, 0.3, 0.9, 1]),
    data=st.data(),
)
def test_state_follows_the_recursion_up_to_the_first_spike_after_the_centre(
    seed: int, count: int, rate: float, data: st.DataObject
) -> None:
    frames = np.random.default_rng(seed).random((count, 3, 7)) < rate
    centre = data.draw(st.integers(0, count - 1))
    state = plasticity(PackedSpikes.pack(frames), centre)
    expected = [[recursion(frames[:, y, x], centre) for x in range(7)] for y in range(3)]
    np.testing.assert_allclose(state.resources, np.array(expected)[..., 0], atol=1e-12)
    np.testing.assert_allclose(state.release, np.array(expected)[..., 1], atol=1e-12)


@settings(deadline=None)
@given(interval=st.integers(1, 40), phase=st.integers(0, 3))
def test_both_mended_halves_of_a_steady_stream_are_its_rate(interval: int, phase: int) -> None:
    state = plasticity(PackedSpikes.pack(regular(interval, 1000, phase)), 900)
    assert state.rate_of_resources().item() == pytest.approx(1 / interval, rel=1e-3)
    assert state.rate_of_release().item() == pytest.approx(1 / interval, rel=1e-3)


def test_very_long_intervals_lose_nothing() -> None:
    frames = np.zeros((4001, 1, 1), np.uint8)
    frames[[0, 2000, 4000]] = 1
    state = plasticity(PackedSpikes.pack(frames), 4000)
    assert state.rate_of_resources().item() == pytest.approx(1 / 2000, rel=1e-3)
    assert state.rate_of_release().item() == pytest.approx(1 / 2000, rel=1e-3)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rate=st.floats(0, 1), centre=st.integers(0, 79))
def test_a_mended_image_is_a_rate_and_a_published_one_is_bounded(seed: int, rate: float, centre: int) -> None:
    around = window(np.random.default_rng(seed).random((80, 4, 4)) < rate, centre)
    mended, published = TFSTP("mended").reconstruct(around), TFSTP("published").reconstruct(around)
    assert mended.dtype == published.dtype == np.float32
    assert 0 <= mended.min() <= mended.max() <= 1
    assert 0 <= published.min() <= published.max() < 1.04


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("spikes", [[], [0], [20], [40]])
def test_pixels_with_fewer_than_two_spikes_are_zero(formula: Formula, spikes: list[int]) -> None:
    frames = np.zeros((41, 1, 1), np.uint8)
    frames[spikes] = 1
    assert TFSTP(formula).reconstruct(window(frames, 20)).item() == 0


def test_a_saturated_pixel_is_one() -> None:
    assert TFSTP().reconstruct(window(np.ones((201, 3, 3), np.uint8), 100)) == pytest.approx(1)


def test_mended_sees_the_interval_around_the_centre_and_published_only_what_was_before() -> None:
    frames = np.zeros((201, 1, 2), np.uint8)
    frames[:100:10] = 1
    frames[100:, 0, 0] = 1
    mended, published = (TFSTP(formula).reconstruct(window(frames, 95))[0] for formula in FORMULAS)
    assert mended[0] == pytest.approx(1 / 10, rel=0.01)
    assert mended[1] == pytest.approx(1 / 10, rel=0.01)
    assert published[0] == published[1]
    later = TFSTP("mended").reconstruct(window(frames, 101))[0]
    assert later[0] > 2 * later[1]


def test_frames_outside_the_window_change_nothing() -> None:
    frames = np.random.default_rng(0).random((400, 6, 6)) < 0.2
    method = TFSTP(half_window=50)
    near = method.reconstruct(window(frames[150:251], 50))
    np.testing.assert_array_equal(method.reconstruct(window(frames, 200)), near)


def test_no_state_passes_from_one_window_to_the_next() -> None:
    frames = np.random.default_rng(1).random((200, 6, 6)) < 0.2
    first = TFSTP().reconstruct(window(frames, 100))
    TFSTP().reconstruct(window(np.ones_like(frames), 100))
    np.testing.assert_array_equal(TFSTP().reconstruct(window(frames, 100)), first)


def test_published_asks_for_no_frame_behind_the_centre() -> None:
    assert TFSTP("published").span == (100, 0)
    assert TFSTP("mended", 30).span == (30, 30)


def test_an_empty_half_window_is_refused() -> None:
    with pytest.raises(UsageError, match="`half_window` must be at least 1, not 0"):
        TFSTP(half_window=0)


def golden_state(golden: np.lib.npyio.NpzFile, case: str, at: str) -> Plasticity:
    frames = golden[f"spike_{case}"]
    last = len(frames) // 2 if at == "mid" else len(frames) - 1
    return plasticity(PackedSpikes.pack(frames[: last + 1]), last)


@pytest.mark.real
@pytest.mark.parametrize("case", ["data", "uhsr"])
@pytest.mark.parametrize("at", ["mid", "last"])
def test_state_equals_the_published_code(shared: Path, case: str, at: str) -> None:
    golden = np.load(shared / "golden" / "tfstp.npz")
    state = golden_state(golden, case, at)
    np.testing.assert_allclose(state.release, golden[f"offline_{at}_u_{case}"], atol=1e-6)
    np.testing.assert_allclose(state.resources, golden[f"offline_{at}_R_{case}"], atol=1e-6)
    rate = state.rate_of_release(increment=F)
    np.testing.assert_allclose(rate, golden[f"offline_{at}_rho_u_{case}"], rtol=1e-4)


@pytest.mark.real
def test_published_image_equals_the_published_code(shared: Path) -> None:
    golden = np.load(shared / "golden" / "tfstp.npz")
    for at, centre in (("mid", 150), ("last", 300)):
        image = TFSTP("published", half_window=300).reconstruct(window(golden["spike_data"], centre))
        np.testing.assert_allclose(image, golden[f"offline_{at}_img_data"], rtol=1e-3)


@pytest.mark.real
@pytest.mark.parametrize("frame", [20, 40])
def test_constructed_pixels_equal_the_published_code(shared: Path, frame: int) -> None:
    golden = np.load(shared / "golden" / "tfstp.npz")
    state = plasticity(PackedSpikes.pack(golden["edge"][: frame + 1]), frame)
    np.testing.assert_allclose(state.release[0], golden[f"edge_offline_{frame}_u"], atol=1e-6)
    np.testing.assert_allclose(state.resources[0], golden[f"edge_offline_{frame}_R"], atol=1e-6)
    image = (state.rate_of_release(increment=F) + state.rate_of_resources())[0]
    clear = state.interval[0] < 10  # beyond, 1 - R of the published float32 is rounding
    np.testing.assert_allclose(image[clear], golden[f"edge_offline_{frame}_img"][clear], rtol=1e-3)


@pytest.mark.real
def test_published_image_keeps_the_resources_half_that_float32_loses_in_dim_light(shared: Path) -> None:
    golden = np.load(shared / "golden" / "tfstp.npz")
    state = golden_state(golden, "uhsr", "last")
    dim = state.interval > 16
    assert dim.mean() > 0.5
    rounded = golden["offline_last_img_uhsr"][dim] == golden["offline_last_rho_u_uhsr"][dim]
    assert rounded.mean() > 0.8
    np.testing.assert_allclose(state.rate_of_resources()[dim], 1 / state.interval[dim], rtol=0.05)


@pytest.mark.real
@pytest.mark.parametrize("name", REDS)
def test_mended_is_closer_to_the_ground_truth_than_published(data_root: Path, name: str) -> None:
    recording, truth = reds(data_root, name)

    def error(method: TFSTP) -> float:
        """Mean square at the best gain."""
        image = method.reconstruct(recording.window(150, *method.span)).astype(float)
        gain = (image * truth).sum() / (image**2).sum()
        return float(np.mean((gain * image - truth) ** 2))

    assert error(TFSTP("mended")) < error(TFSTP("published")) / 1.8  # by 2.6 dB or more
