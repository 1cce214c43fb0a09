from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor, nn

from hqgen.errors import MethodError
from hqgen.methods.learned.wgse import DB8, WGSE, Filters, wavelet_forward, wavelet_inverse
from tests.methods.golden import Golden

NETWORK = "wgse"


def filters() -> tuple[Tensor, Tensor]:
    pair = Filters("low", "high")
    return pair.get_buffer("low"), pair.get_buffer("high")


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
