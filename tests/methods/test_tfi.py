"""TFI finds the two spikes around the centre, and each variant fills in what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.errors import UsageError
from hqgen.methods.tfi import TFI, Variant
from tests.methods.windows import window

VARIANTS: list[Variant] = ["toolbox", "spikeclip", "paper"]


def pixel(spikes: list[int], count: int, centre: int, method: TFI) -> float:
    frames = np.zeros((count, 1, 1), np.uint8)
    frames[spikes] = 1
    return method.reconstruct(window(frames, centre)).item()


def search(train: np.ndarray, centre: int, half: int, variant: Variant) -> float:
    """One pixel, frame by frame, as the definition reads."""
    last = [i for i in range(max(0, centre - half + 1), centre + 1) if train[i]]
    first = [i for i in range(centre + 1, min(centre + half, len(train) - 1) + 1) if train[i]]
    if variant == "spikeclip":
        return 1 / ((first[0] if first else centre + half) - (last[-1] if last else centre - half))
    if not last or not first:
        return 1 / (2 * half) if variant == "toolbox" else 0.0
    return 1 / (first[0] - last[-1])


@pytest.mark.parametrize("variant", VARIANTS)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 80),
    half=st.integers(1, 50),
    rate=st.sampled_from([0, 0.01, 0.05, 0.3, 0.9, 1]),
    data=st.data(),
)
def test_equals_a_search_frame_by_frame(
    variant: Variant, seed: int, count: int, half: int, rate: float, data: st.DataObject
) -> None:
    frames = np.random.default_rng(seed).random((count, 3, 5)) < rate
    centre = data.draw(st.integers(0, count - 1) | st.sampled_from([0, count - 1]))
    image = TFI(variant, half).reconstruct(window(frames, centre))
    expected = [search(frames[:, y, x], centre, half, variant) for y in range(3) for x in range(5)]
    assert image.dtype == np.float32
    np.testing.assert_allclose(image.ravel(), expected, rtol=1e-6)


@pytest.mark.parametrize(("variant", "half"), [("toolbox", 20), ("spikeclip", 49), ("paper", 100)])
def test_the_half_window_is_the_published_one_unless_given(variant: Variant, half: int) -> None:
    assert TFI(variant).span == (half - 1, half)
    assert TFI(variant, 7).span == (6, 7)
    assert TFI(variant).parameters() == {"variant": variant, "half_window": half}


def test_a_spike_in_the_centre_frame_belongs_to_the_left_side() -> None:
    assert pixel([20, 25], 41, 20, TFI()) == pytest.approx(1 / 5)


def test_a_spike_in_the_first_frame_of_a_recording_counts() -> None:
    assert pixel([0, 6], 41, 2, TFI()) == pytest.approx(1 / 6)


@pytest.mark.parametrize(("variant", "value"), [("toolbox", 1 / 40), ("spikeclip", 1 / 98), ("paper", 0)])
def test_a_pixel_that_never_fires_is_dark(variant: Variant, value: float) -> None:
    assert pixel([], 200, 100, TFI(variant)) == pytest.approx(value)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_saturated_pixel_is_one(variant: Variant) -> None:
    assert pixel(list(range(200)), 200, 100, TFI(variant)) == 1


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("centre", [0, 40])
def test_the_ends_of_a_recording_are_sides_without_spikes(variant: Variant, centre: int) -> None:
    value = pixel([20], 41, centre, TFI(variant, 30))
    one_sided = 1 / 50 if variant == "spikeclip" else 1 / 60 if variant == "toolbox" else 0
    assert value == pytest.approx(one_sided)


def test_an_empty_half_window_is_refused() -> None:
    with pytest.raises(UsageError, match="`half_window` must be at least 1, not 0"):
        TFI(half_window=0)


@pytest.mark.real
@pytest.mark.parametrize(("case", "centre"), [("data", 150), ("uhsr", 100)])
def test_toolbox_equals_the_published_code(shared: Path, case: str, centre: int) -> None:
    golden = np.load(shared / "golden" / "tfi.npz")
    image = TFI("toolbox").reconstruct(window(golden[f"spike_{case}"], centre))
    np.testing.assert_allclose(image, golden[f"tfi41_{case}"], atol=1e-6)


@pytest.mark.real
@pytest.mark.parametrize(("case", "centre", "half"), [("data", 150, 74), ("uhsr", 100, None)])
def test_spikeclip_equals_the_published_code(shared: Path, case: str, centre: int, half: int | None) -> None:
    golden = np.load(shared / "golden" / "tfi.npz")
    image = TFI("spikeclip", half).reconstruct(window(golden[f"spike_{case}"], centre))
    np.testing.assert_allclose(image, golden[f"middletfi_{case}"], atol=1e-6)


@pytest.mark.real
def test_constructed_pixels_equal_the_published_code(shared: Path) -> None:
    golden = np.load(shared / "golden" / "tfi.npz")
    around = window(golden["edge"], 20)
    np.testing.assert_allclose(TFI("toolbox").reconstruct(around)[0], golden["tfi41_edge"], atol=1e-6)
    np.testing.assert_allclose(
        TFI("spikeclip", 9).reconstruct(around)[0], golden["middletfi_edge"], atol=1e-6
    )


@pytest.mark.real
def test_paper_is_dark_where_the_published_code_falls_back(shared: Path) -> None:
    golden = np.load(shared / "golden" / "tfi.npz")
    image = TFI("paper", 20).reconstruct(window(golden["spike_uhsr"], 100))
    published = golden["tfi41_uhsr"]
    found = image > 0
    np.testing.assert_allclose(image[found], published[found], atol=1e-6)
    assert (published[~found] == np.float32(0.025)).all()
    assert 0.3 < 1 - found.mean() < 0.9, "in dim light 41 frames hold no interval for most pixels"
