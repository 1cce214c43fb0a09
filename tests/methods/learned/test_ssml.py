from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from hqgen.errors import MethodError, UsageError
from hqgen.methods.learned.ssml import (
    SSML,
    Branch,
    DoubleNet,
    MotionInference,
    UNet,
    Variant,
    interval_rate,
    mirrored_to,
    thinned,
)
from hqgen.methods.registration import add_weights
from hqgen.spikes.packed import PackedSpikes, Window
from hqgen.spikes.recording import open_recording
from tests.methods.golden import Golden, load_golden

NETWORK = "ssml"

SHA256 = "f80278a31a57113dc6dfdb1b8906a590d6a71ddc7a863e26ce2b3367c0aa452c"


@pytest.fixture(scope="module")
def golden_simple(shared: Path) -> Golden:
    return load_golden(shared, "ssml_simple")


@pytest.fixture(scope="module")
def published(shared: Path) -> Path:
    return shared / "weights" / "nbsn_83000_simple.pth"


@pytest.mark.real
def test_both_branches_of_the_full_network_are_of_the_published_size(golden: Golden) -> None:
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in DoubleNet().named_children()}
    expected = golden.meta["parameter_count"]
    assert counts == {"nbsn": expected["nbsn"], "bsn": expected["bsn"]} == {"nbsn": 1192287, "bsn": 1192287}


@pytest.mark.real
@pytest.mark.parametrize("branch", ["nbsn", "bsn"])
def test_branch_gives_the_golden_picture_of_a_square_and_of_a_rectangle(
    branch: str, golden: Golden, filled: nn.Module
) -> None:
    network, spikes = filled.get_submodule(branch), golden.spikes()
    with torch.inference_mode():
        square, wide = network(spikes)[0, 0].numpy(), network(spikes[:, :, 8:56])[0, 0].numpy()
        tall = network(spikes[:, :, :, 8:56])[0, 0]
    np.testing.assert_allclose(square, golden.arrays[f"out_{branch}"], rtol=0, atol=golden.tolerance)
    np.testing.assert_allclose(wide, golden.arrays[f"out_{branch}_rect"], rtol=0, atol=golden.tolerance)
    assert tall.shape == (64, 48)


@pytest.mark.real
def test_motion_features_are_those_of_the_published_network(golden: Golden, filled: nn.Module) -> None:
    with torch.inference_mode():
        features = filled.get_submodule("nbsn.MotionInference")(golden.spikes())[0, :4].numpy()
    np.testing.assert_allclose(
        features, golden.arrays["motion_feature_first4"], rtol=0, atol=golden.tolerance
    )


@pytest.mark.real
def test_interval_rate_is_that_of_the_published_network(golden: Golden) -> None:
    np.testing.assert_allclose(interval_rate(golden.spikes())[0, 0].numpy(), golden.arrays["tfi_label"])


@pytest.mark.real
def test_simple_network_gives_the_golden_picture_at_even_and_odd_sizes(
    golden_simple: Golden, published: Path
) -> None:
    method = SSML(variant="simple", thin=1, weights=str(published), device="cpu")
    network, spikes = method.loaded(), golden_simple.spikes()
    with torch.inference_mode():
        even, odd = method.infer(network, spikes), method.infer(network, spikes[:, :, 1:, 1:])
    tolerance = golden_simple.tolerance
    np.testing.assert_allclose(even[0].numpy(), golden_simple.arrays["out"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(odd[0].numpy(), golden_simple.arrays["out_odd"], rtol=0, atol=tolerance)


@pytest.mark.real
def test_published_weights_can_be_registered_for_the_variant_they_belong_to(published: Path) -> None:
    entry = add_weights(published, SSML(variant="simple"), sha256=SHA256)
    assert entry.name == "ssml-simple"
    assert SSML(variant="simple").weights_digest() == SHA256
    assert SSML(variant="full").unavailable() is not None
    with pytest.raises(MethodError, match=r"`nbsn\.unet\.enc1\.conv1\.conv\.weight` .* is missing"):
        add_weights(published, SSML(variant="full"))


REDS = {"200_part1_key_id151": 30.5, "200_part3_key_id151": 28.0, "203_part1_key_id151": 24.0}
"""Reachable PSNR in dB of real streams with bright scenes, 0.3 to 0.5 below what is measured."""


@pytest.mark.real
@pytest.mark.parametrize("stream", REDS)
def test_thinning_by_rate_makes_good_pictures_of_bright_scenes(
    stream: str, data_root: Path, published: Path
) -> None:
    folder = data_root / "spike-reds" / "test"
    window = open_recording(folder / "spike" / f"{stream}.dat", height=250, width=400).window(150, 20, 20)
    truth = np.asarray(Image.open(folder / "gt" / f"{stream}.png").convert("L")) / 255
    image = SSML(variant="simple", weights=str(published), device="cpu").reconstruct(window)
    error = np.mean((np.clip(image / 0.6, 0, 1) - truth) ** 2)
    assert -10 * np.log10(error) > REDS[stream]


@pytest.mark.real
def test_dim_recording_is_fed_whole(data_root: Path, published: Path) -> None:
    recording = open_recording(data_root / "u-caltech" / "helicopter_04144.npz")
    by_rate, whole = (
        SSML(variant="simple", thin=thin, weights=str(published), device="cpu").reconstruct(
            recording.window(100, 20, 20)
        )
        for thin in (0, 1)
    )
    np.testing.assert_array_equal(by_rate, whole)
    assert whole.mean() == pytest.approx(0.0265, abs=5e-4)


@pytest.mark.real
def test_bright_window_is_refused_where_it_is_not_thinned(data_root: Path, published: Path) -> None:
    path = data_root / "spike-reds" / "test" / "spike" / "200_part1_key_id151.dat"
    window = open_recording(path, height=250, width=400).window(150, 20, 20)
    with pytest.raises(MethodError, match=r"firing rate 0\.289 is outside 0 to 0\.15"):
        SSML(variant="simple", thin=1, weights=str(published), device="cpu").reconstruct(window)


def test_saturated_window_is_refused_by_the_simple_variant() -> None:
    window = Window(PackedSpikes.pack(np.ones((41, 96, 96))), 20)
    (outcome,) = SSML(variant="simple", device="cpu").reconstruct_batch([window])
    assert "firing rate 1.000 is outside 0 to 0.7" in str(outcome)


@settings(max_examples=50, deadline=None)
@given(keep=st.integers(1, 7), rate=st.floats(0, 1), seed=st.integers(0, 99))
def test_thinning_keeps_the_nearest_share_of_each_pixels_spikes(keep: int, rate: float, seed: int) -> None:
    spikes = (torch.rand(2, 41, 5, 4, generator=torch.Generator().manual_seed(seed)) < rate).float()
    kept = thinned(spikes, torch.full((2, 1, 1, 1), float(keep)))
    assert bool((kept <= spikes).all())
    assert float((kept.sum(1) - spikes.sum(1) / keep).abs().max()) <= 0.5


def test_windows_of_a_batch_are_thinned_each_by_its_own_rate() -> None:
    rates = torch.tensor([0.02, 0.2, 0.35]).view(3, 1, 1, 1)
    spikes = (torch.rand(3, 41, 64, 64, generator=torch.Generator().manual_seed(1)) < rates).float()
    torch.manual_seed(0)
    method, network = SSML(variant="simple"), UNet(41, 1).eval()
    with torch.inference_mode():
        batch = method.infer(network, spikes)
        for window, image, thin in zip(spikes, batch, (1, 2, 4), strict=True):
            alone = SSML(variant="simple", thin=thin).infer(network, window[None])
            torch.testing.assert_close(image[None], alone, atol=1e-6, rtol=1e-5)


def test_full_variant_is_not_thinned_by_itself() -> None:
    seen: list[Tensor] = []

    class Spy(nn.Module):
        def forward(self, spikes: Tensor) -> Tensor:
            seen.append(spikes)
            return spikes[:, :1]

    spikes = torch.ones(1, 41, 8, 8)
    SSML().infer(Spy(), spikes)
    assert torch.equal(seen[0], spikes)


def test_negative_thinning_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="-1"):
        SSML(thin=-1)


def test_interval_counts_a_missing_spike_as_twelve_frames_away() -> None:
    spikes = torch.zeros(1, 41, 1, 5)
    # Columns: no spike; only the middle frame; two of the nearest; the furthest two; just beyond them.
    spikes[0, 20, 0, 1] = 1
    spikes[0, 20:22, 0, 2] = 1
    spikes[0, [9, 32], 0, 3] = 1
    spikes[0, [8, 33], 0, 4] = 1
    intervals = (1 / interval_rate(spikes)[0, 0, 0]).tolist()
    assert intervals == pytest.approx([24, 12, 1, 23, 24])


@pytest.mark.parametrize(("found", "size"), [(5, 9), (4, 9), (2, 11), (96, 96), (96, 403)])
def test_mirroring_agrees_with_repeated_reflection(found: int, size: int) -> None:
    image = torch.rand(1, 1, found, 3)
    before = (size - found) // 2
    expected = np.pad(
        image.numpy(), ((0, 0), (0, 0), (before, size - found - before), (0, 0)), mode="reflect"
    )
    np.testing.assert_array_equal(mirrored_to(image, size, 2).numpy(), expected)


def test_mirroring_agrees_with_torch_where_torch_can() -> None:
    image = torch.rand(2, 3, 7, 10)
    assert torch.equal(mirrored_to(image, 10, 2), functional.pad(image, (0, 0, 1, 2), mode="reflect"))


def test_blind_branch_does_not_see_the_pixel_itself() -> None:
    torch.manual_seed(0)
    network = Branch(blind=True)
    nn.init.constant_(network.nin_C.weight, 1.0)
    spikes = torch.rand(1, 41, 24, 24, requires_grad=True)
    network(spikes)[0, 0, 11, 13].backward()
    assert spikes.grad is not None
    seen = spikes.grad[0].abs().sum(0)
    assert seen[11, 13] == 0
    assert seen[10, 13] > 0
    assert seen[12, 13] > 0


SIZES: list[tuple[Variant, tuple[int, int]]] = [
    ("full", (96, 96)),
    ("full", (33, 70)),
    ("full", (70, 17)),
    ("simple", (96, 96)),
    ("simple", (97, 130)),
    ("simple", (251, 403)),
]


def test_gates_are_only_used_where_the_network_may_see_the_whole_image() -> None:
    spikes = torch.rand(1, 41, 12, 12).round()
    for blind in (False, True):
        features = MotionInference(blind=blind)
        before = features(spikes)
        nn.init.zeros_(features.get_parameter("SpatialGate.spatial.conv.weight"))
        assert torch.equal(before, features(spikes)) == blind
