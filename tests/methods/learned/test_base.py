from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hqgen.devices import exact_arithmetic
from hqgen.methods.learned.base import FRAMES, MIXED, Base, Size
from hqgen.methods.mtfp import MTFP
from hqgen.methods.tfi import TFI
from hqgen.methods.tfp import TFP
from hqgen.quality.niqe import niqe
from hqgen.spikes.packed import PackedSpikes, Window
from hqgen.spikes.recording import open_recording
from tests.methods.windows import REDS, random_window, reds


def constant(rate: float, size: tuple[int, int] = (96, 96), seed: int = 0) -> Window:
    """An ideal camera in front of a wall."""
    phase = np.random.default_rng(seed).random(size)
    total = np.floor(phase + rate * np.arange(FRAMES + 1)[:, None, None])
    return Window(PackedSpikes.pack(np.diff(total, axis=0)), FRAMES // 2)


def noise(size: tuple[int, int], seed: int = 0) -> Window:
    return random_window(seed, size, FRAMES, FRAMES // 2, 0.3)


def base(size: Size = "large") -> Base:
    return Base(size=size, device="cpu")


@pytest.mark.parametrize(("size", "count"), [("large", 979_425), ("small", 204_881)])
def test_networks_have_a_million_and_a_fifth_of_a_million_parameters(size: Size, count: int) -> None:
    assert sum(parameter.numel() for parameter in base(size).network().parameters()) == count


@pytest.mark.parametrize("variant", ["large", "small"])
@pytest.mark.parametrize("size", [(96, 96), (97, 96), (96, 97), (101, 131), (250, 400), (251, 403)])
def test_any_size_gives_a_finite_image_of_that_size(size: tuple[int, int], variant: Size) -> None:
    image = base(variant).reconstruct(noise(size))
    assert image.dtype == np.float32
    assert image.shape == size
    assert np.isfinite(image).all()
    assert image.min() >= 0


def test_padding_of_an_odd_size_changes_nothing_far_from_it() -> None:
    even = noise((192, 192))
    odd = Window(PackedSpikes.pack(even.spikes.frames()[:, :191, :191]), even.centre)
    near = base().reconstruct(even)[:60, :60]
    np.testing.assert_allclose(base().reconstruct(odd)[:60, :60], near, atol=1e-5)


def test_the_mean_along_the_motion_is_mixed_in_where_there_are_spikes() -> None:
    window = noise((96, 104))
    plain, mean = base().reconstruct(window), MTFP().reconstruct(window)
    image = Base(motion=True, device="cpu").reconstruct(window)
    share = (image - plain) / np.where(np.abs(mean - plain) < 1e-3, np.nan, mean - plain)
    assert np.nanmax(share) < MIXED + 1e-3
    assert np.nanmedian(share) > 0.9 * MIXED  # 12 spikes a pixel
    dark = Window(PackedSpikes.pack(np.zeros((FRAMES, 96, 96), np.uint8)), FRAMES // 2)
    np.testing.assert_allclose(Base(motion=True, device="cpu").reconstruct(dark), 0, atol=2e-3)


def test_a_new_mtfp_is_a_new_base_for_the_plan() -> None:
    """`base:motion=true` makes other images when `mtfp` does, so both versions rise together."""
    assert (Base.version, MTFP.version) == (3, 2)


def test_images_of_a_batch_are_those_of_its_windows_alone() -> None:
    windows = [noise((96, 104), seed) for seed in range(3)]
    for window, image in zip(windows, base().reconstruct_batch(windows), strict=True):
        np.testing.assert_array_equal(image, base().reconstruct(window))
    spikes = torch.from_numpy(np.stack([window.spikes.frames() for window in windows])).float()
    with exact_arithmetic():
        together = base().infer(base().loaded(), spikes).numpy()
    alone = np.stack([base().reconstruct(window) for window in windows])
    np.testing.assert_allclose(together, alone, atol=2e-6)


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9])
def test_a_wall_keeps_its_firing_rate(rate: float) -> None:
    image = base().reconstruct(constant(rate))
    assert abs(image.mean() - rate) < 0.02 * rate + 0.001
    assert np.abs(image - rate).mean() < 0.03 * rate + 0.002


@pytest.mark.parametrize("fired", [0, 1])
def test_a_stream_that_never_or_always_fires_gives_a_flat_image(fired: int) -> None:
    spikes = np.full((FRAMES, 96, 96), fired, np.uint8)
    image = base().reconstruct(Window(PackedSpikes.pack(spikes), FRAMES // 2))
    assert np.abs(image - fired).max() < 0.05


@pytest.mark.parametrize("centre", [0, 7, 40])
def test_the_ends_of_a_recording_get_a_picture_too(centre: int) -> None:
    image = base().reconstruct(Window(constant(0.3).spikes, centre))
    assert abs(image.mean() - 0.3) < 0.01


@pytest.mark.parametrize(("size", "largest"), [("large", 2_500_000), ("small", 500_000)])
def test_weights_ship_with_the_package_and_are_small(size: Size, largest: int) -> None:
    method = base(size)
    assert method.unavailable() is None
    path, digest = method.checkpoint()
    assert path.parent.name == "weights_data"
    assert path.stat().st_size < largest
    assert digest == method.weights_digest()


def psnr(image: NDArray[np.float32], truth: NDArray[np.float64]) -> float:
    """Of rate / 0.6, clipped; data range 1."""
    return float(-10 * np.log10(np.mean((np.clip(image / 0.6, 0, 1) - truth) ** 2)))


@pytest.mark.real
@pytest.mark.parametrize(("name", "least"), list(zip(REDS, (37.4, 35.4, 33.7), strict=True)))
def test_shipped_weights_reach_the_stated_psnr_on_streams_they_never_saw(
    name: str, least: float, data_root: Path
) -> None:
    recording, truth = reds(data_root, name)
    window = recording.window(150, 20, 20)
    reached = psnr(base().reconstruct(window), truth)
    assert reached > least
    assert reached > psnr(TFP().reconstruct(window), truth) + 4
    assert reached > psnr(TFI().reconstruct(window), truth) + 4


@pytest.mark.real
def test_real_recording_scores_better_than_with_tfp_and_tfi(data_root: Path) -> None:
    file = data_root / "recvidar2019" / "classA" / "car-100kmh.dat"
    window = open_recording(file, height=250, width=400).window(100, 20, 20)
    methods = (base(), TFP(), TFI())
    scores = niqe(np.stack([np.clip(method.reconstruct(window), 0, 1) for method in methods]))
    assert scores[0] < scores[1:].min() - 1
