from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hqgen.errors import MethodError, UsageError
from hqgen.methods.learned.bsn import (
    BSN,
    FRAMES,
    WIDEST,
    BlindNetwork,
    half_width,
    kernel,
    measured,
    noise,
    with_own_spikes,
)
from tests.methods.windows import random_window


@pytest.fixture(scope="module")
def network() -> BlindNetwork:
    torch.manual_seed(0)
    return BlindNetwork().eval().requires_grad_(False)


def saved(network: BlindNetwork, folder: Path) -> str:
    torch.save(network.state_dict(), folder / "bsn.pth")
    return str(folder / "bsn.pth")


def fired(rate: float, size: tuple[int, int]) -> torch.Tensor:
    """Spikes of an ideal camera in front of a wall, float32 (1, 41, H, W)."""
    charge = torch.rand(size, generator=torch.Generator().manual_seed(0))
    total = charge + rate * torch.arange(FRAMES + 1)[:, None, None]
    return total.floor().diff(dim=0)[None]


@pytest.mark.parametrize("size", [(12, 16), (13, 16), (12, 15), (13, 17)])
@pytest.mark.parametrize("place", [(0, 0), (5, 6), (6, 5), (11, 14)])
def test_no_pixel_sees_its_own_spikes_and_its_neighbours_do(
    network: BlindNetwork, size: tuple[int, int], place: tuple[int, int]
) -> None:
    spikes = torch.from_numpy(random_window(0, size, FRAMES, 20, 0.3).spikes.frames()).float()[None]
    other = spikes.clone()
    other[:, :, place[0], place[1]] = 1 - other[:, :, place[0], place[1]]
    changed = network(spikes) != network(other)
    assert not changed[0, place[0], place[1]]
    beside = place[1] + 1 if place[1] + 1 < size[1] else place[1] - 1
    assert changed[0, place[0], beside]


@pytest.mark.parametrize("size", [(96, 96), (97, 96), (9, 10), (101, 131)])
def test_any_size_gives_a_finite_image_of_that_size(
    network: BlindNetwork, size: tuple[int, int], tmp_path: Path
) -> None:
    method = BSN(weights=saved(network, tmp_path), device="cpu")
    image = method.reconstruct(random_window(0, size, FRAMES, 20, 0.3))
    assert image.dtype == np.float32
    assert image.shape == size
    assert np.isfinite(image).all()
    assert image.min() >= 0


@pytest.mark.parametrize("rate", [0, 1])
def test_a_stream_that_never_or_always_fires_gives_a_finite_image(
    network: BlindNetwork, rate: float, tmp_path: Path
) -> None:
    method = BSN(weights=saved(network, tmp_path), device="cpu")
    assert np.isfinite(method.reconstruct(random_window(0, (24, 24), FRAMES, 20, rate))).all()


def test_images_of_a_batch_are_those_of_its_windows_alone(network: BlindNetwork, tmp_path: Path) -> None:
    method = BSN(weights=saved(network, tmp_path), device="cpu")
    windows = [random_window(seed, (24, 28), FRAMES, 20, 0.1 + 0.3 * seed) for seed in range(3)]
    spikes = torch.from_numpy(np.stack([window.spikes.frames() for window in windows])).float()
    together = method.infer(network, spikes).numpy()
    for image, window in zip(together, windows, strict=True):
        np.testing.assert_allclose(image, method.reconstruct(window), atol=2e-6)


def test_without_weights_the_reason_says_how_to_make_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HQGEN_WEIGHTS", str(tmp_path))
    assert "`hqgen train-method bsn` makes them from your recordings" in str(BSN().unavailable())
    with pytest.raises(MethodError) as caught:
        BSN().checkpoint()
    assert "hqgen weights add bsn.pth --method bsn" in caught.value.hint


@pytest.mark.parametrize("spread", [-0.1, 1.1])
def test_a_spread_that_makes_no_sense_is_refused(spread: float) -> None:
    with pytest.raises(UsageError, match="`spread` must be 0 to 1"):
        BSN(spread=spread)


@pytest.mark.parametrize("half", range(5, WIDEST + 1))
def test_a_kernel_keeps_constants_and_slopes_and_where_it_fits_curves(half: int) -> None:
    time = torch.arange(FRAMES) - FRAMES // 2
    assert float(kernel(half).sum()) == pytest.approx(1)
    assert float((kernel(half) * time).sum()) == pytest.approx(0, abs=1e-5)
    if 2 * half <= WIDEST:
        assert float((kernel(half) * time**2).sum()) == pytest.approx(0, abs=1e-4)


def test_half_widths_are_within_the_window_and_wider_in_the_dark() -> None:
    widths = [half_width(rate) for rate in (0, 1e-9, 0.02, 0.1, 0.2, 0.9, 1)]
    assert widths == [20, 20, 20, 12, 6, 5, 5]


@pytest.mark.parametrize("rate", [0.05, 0.213, 0.4, 0.71])
@pytest.mark.parametrize("half", [5, 8, 20])
def test_noise_is_the_variance_of_what_ideal_pixels_say(rate: float, half: int) -> None:
    found = measured(fired(rate, (120, 120)), half)
    assert float(found.mean()) == pytest.approx(rate, abs=0.003)
    expected = float(noise(half)[int(rate * 256)])
    assert float(found.var()) == pytest.approx(expected, rel=0.3, abs=1e-4)


def test_a_right_guess_is_kept_and_missing_texture_comes_back() -> None:
    wall = fired(0.3, (48, 48))
    guess = torch.full((1, 48, 48), 0.3)
    assert float((with_own_spikes(guess, wall, 0.03, 8) - guess).abs().mean()) < 0.002
    stripes = torch.where(torch.arange(48) % 2 == 0, 0.15, 0.45).expand(48, 48)
    total = torch.rand(48, 48, generator=torch.Generator().manual_seed(0)) + stripes * torch.arange(
        FRAMES + 1
    ).view(-1, 1, 1)
    better = with_own_spikes(guess, total.floor().diff(dim=0)[None], 0.03, 8)
    assert float((better - stripes).square().mean()) < 0.2 * float((guess - stripes).square().mean())
