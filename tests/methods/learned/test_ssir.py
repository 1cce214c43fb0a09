from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from hqgen.errors import UsageError
from hqgen.methods.learned.ssir import SSIR, SpikingNeuron
from hqgen.spikes.recording import open_recording
from tests.methods.golden import Golden

NETWORK = "ssir"

SHARE_OVER_TOLERANCE = 0.005
"""A threshold is crossed or not: the golden allows this share of pixels to differ by more."""


@pytest.fixture(scope="module")
def checkpoint(shared: Path) -> str:
    path = shared / "weights" / "SSIR_e80.pth"
    if not path.is_file():
        pytest.skip(f"no published weights at {path}")
    return str(path)


@pytest.fixture(scope="module")
def published(checkpoint: str) -> nn.Module:
    return SSIR(weights=checkpoint, device="cpu").loaded()


def assert_same_picture(image: NDArray[Any], expected: NDArray[Any], tolerance: float) -> None:
    over = np.abs(image - expected) > tolerance
    assert over.mean() <= SHARE_OVER_TOLERANCE


@pytest.mark.real
def test_published_weights_give_the_published_pictures_window_after_window(
    golden: Golden, published: nn.Module
) -> None:
    spikes = golden.spikes()
    windows = torch.stack([spikes[:, start : start + 41] for start in range(0, 61, 20)])
    with torch.inference_mode():
        images = published(windows)[:, 0].numpy()
    assert images.shape == golden.arrays["out_seq"].shape
    for image, expected in zip(images, golden.arrays["out_seq"], strict=True):
        assert_same_picture(image, expected, golden.tolerance)


@pytest.mark.real
@pytest.mark.parametrize("warm_up", [0, 1, 2, 3])
def test_warm_up_is_the_number_of_windows_seen_before(
    warm_up: int, golden: Golden, published: nn.Module
) -> None:
    method = SSIR(warm_up=warm_up)
    spikes = golden.spikes()[:, : sum(method.span) + 1]
    with torch.inference_mode():
        image = method.infer(published, spikes)[0].numpy()
    assert_same_picture(image, golden.arrays["out_seq"][warm_up], golden.tolerance)


@pytest.mark.real
def test_cold_start_gives_the_published_picture_of_a_single_window(
    golden: Golden, published: nn.Module
) -> None:
    with torch.inference_mode():
        image = SSIR(warm_up=0).infer(published, golden.spikes()[:, 40:81])[0].numpy()
    assert_same_picture(image, golden.arrays["out_cold"], golden.tolerance)


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize(
    ("stream", "expected"), [("200_part1", 32.8), ("200_part3", 28.8), ("203_part1", 25.7)]
)
def test_published_weights_reach_the_known_psnr_after_the_mean_is_matched(
    stream: str, expected: float, data_root: Path, checkpoint: str
) -> None:
    folder, name = data_root / "spike-reds" / "test", f"{stream}_key_id151"
    truth = np.asarray(Image.open(folder / "gt" / f"{name}.png")) / 255
    recording = open_recording(folder / "spike" / f"{name}.dat", height=250, width=400)
    image = SSIR(weights=checkpoint, device="cpu").reconstruct(recording.window(150, 40, 20))
    matched = image * (truth.mean() / image.mean())
    assert -10 * np.log10(np.mean((matched - truth) ** 2)) == pytest.approx(expected, abs=0.1)
    assert 1.35 < image.mean() / truth.mean() < 1.5


def test_neuron_integrates_leaks_fires_at_1_and_starts_again_at_0() -> None:
    neuron = SpikingNeuron()  # w = 0: half of the difference is taken at each step
    currents = torch.tensor([1.2, 1.2, 1.6, 2.0, 0.0])[:, None]
    # membrane: 0.6, 0.9, 1.25 -> fires, 1.0 -> fires, 0
    assert neuron(currents).flatten().tolist() == [0, 0, 1, 1, 0]


@pytest.mark.parametrize(("warm_up", "before"), [(0, 20), (1, 40), (3, 80)])
def test_span_reaches_back_for_the_windows_before(warm_up: int, before: int) -> None:
    assert SSIR(warm_up=warm_up).span == (before, 20)


def test_negative_warm_up_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 0, not -1"):
        SSIR(warm_up=-1)
