from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor, nn

from hqgen.errors import MethodError
from hqgen.methods.wgse import DB8, WGSE, Filters, WaveletNetwork, wavelet_forward, wavelet_inverse
from tests.methods.golden import CONTAINERS, Golden, load_golden


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    return load_golden(shared, "wgse")


@pytest.fixture(scope="module")
def filled(golden: Golden) -> nn.Module:
    network = golden.filled(WaveletNetwork())
    network.get_parameter("tail.2.bias").data += 0.5  # the golden's override
    return network


def filters() -> tuple[Tensor, Tensor]:
    pair = Filters("low", "high")
    return pair.get_buffer("low"), pair.get_buffer("high")


@pytest.mark.real
def test_names_shapes_and_number_of_parameters_are_the_published_ones(golden: Golden) -> None:
    network = WaveletNetwork()
    assert [(name, tuple(value.shape)) for name, value in network.state_dict().items()] == golden.tensors
    assert sum(p.numel() for p in network.parameters()) == golden.meta["parameter_count"] == 3805575


@pytest.mark.real
def test_output_is_that_of_the_published_network(golden: Golden, filled: nn.Module) -> None:
    with torch.inference_mode():
        image = WGSE().infer(filled, golden.spikes())[0].numpy()
    np.testing.assert_allclose(image, golden.arrays["out"], rtol=0, atol=golden.tolerance)


@pytest.mark.real
def test_wavelet_stage_is_that_of_the_published_network(golden: Golden, filled: nn.Module) -> None:
    with torch.inference_mode():
        coefficients = filled.get_submodule("wvl")(golden.spikes()[:, :, :16, :16])[0].numpy()
    np.testing.assert_allclose(coefficients, golden.arrays["wvl_block"], rtol=0, atol=golden.tolerance)


@pytest.mark.real
def test_transform_agrees_with_the_reference_library(golden: Golden) -> None:
    low, bands = wavelet_forward(torch.from_numpy(golden.arrays["dwt_signal"])[None, None], *filters())
    for name, band in [("dwt_yl", low), *((f"dwt_yh{i}", band) for i, band in enumerate(bands))]:
        np.testing.assert_allclose(band[0, 0].numpy(), golden.arrays[name], atol=1e-6)
    back = wavelet_inverse(low, bands, *filters())
    np.testing.assert_allclose(back[0, 0].numpy(), golden.arrays["idwt"], atol=1e-6)


@pytest.mark.real
@pytest.mark.parametrize("container", CONTAINERS)
def test_published_containers_give_the_golden_picture(
    container: str, golden: Golden, filled: nn.Module, tmp_path: Path
) -> None:
    torch.save(CONTAINERS[container](filled.state_dict()), tmp_path / "wgse.pth")
    image = WGSE(weights=str(tmp_path / "wgse.pth"), device="cpu").reconstruct(golden.window())
    np.testing.assert_allclose(image, golden.arrays["out"], rtol=0, atol=golden.tolerance)


@pytest.mark.real
def test_whole_pickled_network_as_the_authors_publish_it_is_refused_with_a_way_out(
    filled: nn.Module, tmp_path: Path, golden: Golden
) -> None:
    torch.save(nn.DataParallel(filled), tmp_path / "wgse.pth")
    with pytest.raises(MethodError, match="pickled") as error:
        WGSE(weights=str(tmp_path / "wgse.pth"), device="cpu").reconstruct(golden.window())
    assert "state_dict()" in error.value.hint


def test_filters_are_the_daubechies_wavelet_with_eight_vanishing_moments() -> None:
    low = np.array(DB8)
    high = np.array([(-1) ** n * low[15 - n] for n in range(16)])
    assert low.sum() == pytest.approx(np.sqrt(2), abs=1e-11)
    for shift in range(0, 16, 2):
        assert low[shift:] @ low[: 16 - shift] == pytest.approx(float(shift == 0), abs=1e-11)
        assert low[shift:] @ high[: 16 - shift] == pytest.approx(0, abs=1e-11)
    for moment in range(8):
        assert high @ np.linspace(-1, 1, 16) ** moment == pytest.approx(0, abs=1e-9)
    assert abs(high @ np.linspace(-1, 1, 16) ** 8) > 1e-4


@settings(max_examples=40, deadline=None)
@given(
    signal=arrays(np.float32, st.integers(1, 90), elements=st.floats(-1, 1, width=32)).map(torch.from_numpy)
)
def test_inverse_undoes_the_transform(signal: Tensor) -> None:
    low, bands = wavelet_forward(signal[None, None], *filters())
    back = wavelet_inverse(low, bands, *filters())[0, 0]
    assert len(back) == len(signal) + len(signal) % 2
    torch.testing.assert_close(back[: len(signal)], signal, atol=2e-6, rtol=0)


def test_bands_of_41_frames_have_the_published_lengths() -> None:
    low, bands = wavelet_forward(torch.zeros(1, 1, 41), *filters())
    assert [band.shape[-1] for band in bands] == [28, 21, 18, 16, 15]
    assert low.shape[-1] == 15


@pytest.fixture(scope="module")
def fresh() -> nn.Module:
    torch.manual_seed(0)
    return WaveletNetwork().eval()


@pytest.mark.parametrize("size", [(96, 96), (97, 101), (5, 130)])
@pytest.mark.parametrize("fill", ["random", "zeros", "ones"])
def test_any_size_and_any_spikes_give_a_finite_picture(
    fresh: nn.Module, size: tuple[int, int], fill: str
) -> None:
    fills: dict[str, Any] = {"zeros": torch.zeros, "ones": torch.ones, "random": torch.rand}
    spikes = fills[fill](1, 41, *size).round()
    with torch.inference_mode():
        image = WGSE().infer(fresh, spikes)
    assert image.shape == (1, *size)
    assert bool(image.isfinite().all())
    assert bool((image >= 0).all())


@pytest.mark.slow
def test_size_of_a_real_frame_with_odd_sides(fresh: nn.Module) -> None:
    with torch.inference_mode():
        assert WGSE().infer(fresh, torch.rand(1, 41, 251, 403).round()).shape == (1, 251, 403)


def test_batch_equals_one_by_one(fresh: nn.Module) -> None:
    spikes = torch.rand(3, 41, 40, 56).round()
    with torch.inference_mode():
        batch = WGSE().infer(fresh, spikes)
        single = torch.cat([WGSE().infer(fresh, window[None]) for window in spikes])
    torch.testing.assert_close(batch, single, atol=1e-5, rtol=0)


def test_same_spikes_give_the_same_bits(fresh: nn.Module) -> None:
    spikes = torch.rand(1, 41, 40, 56).round()
    with torch.inference_mode():
        assert torch.equal(WGSE().infer(fresh, spikes), WGSE().infer(fresh, spikes))
