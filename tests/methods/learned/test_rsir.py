from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hqgen.errors import MethodError, UsageError
from hqgen.methods.learned.rsir import (
    RSIR,
    Haar,
    InverseHaar,
    RSIRNetwork,
    Step,
    from_windows,
    hidden_across_edges,
    read_calibration,
    to_windows,
)
from tests.methods.golden import Golden

NETWORK = "rsir"

NAMES = {"fpn": "exposure", "fusion": "fused", "denoise": "denoised", "refine": "refined"}


@pytest.fixture(scope="module")
def steps(golden: Golden, filled: nn.Module) -> list[Step]:
    """Two steps with the golden's synthetic calibration."""
    bits = np.unpackbits(golden.arrays["spike_bits"], axis=-1, bitorder="little")
    exposures = torch.from_numpy(bits.astype(np.float32)).reshape(2, 1, 1, 16, 250, 400).mean(3) ** (1 / 2.2)
    rows, columns = np.mgrid[:250, :400]
    dark = torch.from_numpy(0.02 + 0.005 * np.sin(0.11 * rows + 0.07 * columns)).float()
    response = torch.from_numpy(1 + 0.05 * np.cos(0.05 * rows - 0.09 * columns)).float()
    with torch.inference_mode():
        first = filled(exposures[0], dark, response, None)
        return [first, filled(exposures[1], dark, response, first.fused)]


def save_maps(path: Path, **changes: Any) -> str:
    usual = {"Nd": np.full((24, 32), 7.0), "Nl": np.ones((24, 32)), "D_light": np.full((24, 32), 5.0)}
    np.savez(path, **{name: value for name, value in (usual | changes).items() if value is not None})
    return str(path)


@pytest.mark.real
def test_wavelet_filters_are_the_published_ones(golden: Golden) -> None:
    state = RSIRNetwork().state_dict()
    for name, values in golden.meta["haar_values"].items():
        assert state[name].flatten().tolist() == values


@pytest.mark.real
@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("name", list(NAMES))
def test_every_stage_of_both_steps_is_that_of_the_published_network(
    step: int, name: str, golden: Golden, steps: list[Step]
) -> None:
    # The golden's rows 96..159 are counted in images padded by 3 rows at the top.
    image = getattr(steps[step - 1], NAMES[name])[0, 0, 93:157, 160:224].numpy()
    expected = golden.arrays[f"{name}_step{step}_crop"]
    np.testing.assert_allclose(image, expected, rtol=0, atol=golden.tolerance)


@pytest.mark.real
def test_whole_result_of_the_second_step_is_that_of_the_published_network(
    golden: Golden, steps: list[Step]
) -> None:
    expected = golden.arrays["refine_step2"][3:253]
    np.testing.assert_allclose(steps[1].refined[0, 0].numpy(), expected, rtol=0, atol=golden.tolerance)


@pytest.mark.real
def test_real_calibration_maps_have_the_scale_that_the_network_was_made_for(data_root: Path) -> None:
    dark, response = read_calibration(data_root / "calibration" / "spikenerf_maps.npz")
    assert dark.shape == response.shape == (250, 400)
    assert 0.001 < dark.median().item() < 0.02
    assert response.median().item() == pytest.approx(0.645, abs=0.005)


@pytest.mark.real
def test_real_calibration_changes_the_picture(data_root: Path, filled: nn.Module) -> None:
    maps = str(data_root / "calibration" / "spikenerf_maps.npz")
    spikes = (torch.rand(1, 160, 250, 400) < 0.3).float()
    with torch.inference_mode():
        images = [method.infer(filled, spikes) for method in (RSIR(), RSIR(calibration=maps))]
    assert bool(images[1].isfinite().all())
    assert not torch.allclose(images[0], images[1], rtol=1e-3)


def test_calibration_follows_the_equation(tmp_path: Path) -> None:
    dark, response = read_calibration(save_maps(tmp_path / "maps.npz", Nl=np.full((24, 32), 0.6)))
    torch.testing.assert_close(dark, torch.full((24, 32), 7 / (5 * (335 + 7))))
    torch.testing.assert_close(response, torch.full((24, 32), 0.6))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"D_light": None}, "does not hold the calibration maps: .*D_light"),
        ({"D_light": np.ones((5, 5))}, "does not hold the calibration maps"),
        ({"Nl": np.ones((24, 31))}, r"\(24, 32\) and \(24, 31\)"),
        ({"Nl": np.zeros((24, 32))}, "unusable"),
        ({"Nd": np.full((24, 32), np.nan)}, "unusable"),
        ({"D_light": np.zeros((24, 32))}, "unusable"),
        ({"Nd": np.ones(3), "Nl": np.ones(3), "D_light": np.ones(3)}, "unusable"),
    ],
)
def test_unusable_calibration_is_an_error(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(MethodError, match=message):
        read_calibration(save_maps(tmp_path / "maps.npz", **changes))


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 truncated"])
def test_file_that_is_no_calibration_is_an_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "maps.npz").write_bytes(content)
    with pytest.raises(MethodError, match="does not hold the calibration maps"):
        read_calibration(tmp_path / "maps.npz")


def test_calibration_of_another_size_is_an_error_with_both_sizes(tmp_path: Path, fresh: nn.Module) -> None:
    method = RSIR(calibration=save_maps(tmp_path / "maps.npz"))
    with pytest.raises(MethodError, match="24x32 pixels, but the window has 40x32"):
        method.infer(fresh, torch.zeros(1, 160, 40, 32))


def test_absent_calibration_makes_the_method_unavailable() -> None:
    method = RSIR(calibration="absent.npz")
    assert method.unavailable() == "no calibration file `absent.npz`"
    with pytest.raises(MethodError, match=r"absent\.npz"):
        method.parameters()


def test_parameters_name_the_calibration_by_its_content_and_not_its_place(tmp_path: Path) -> None:
    one = RSIR(calibration=save_maps(tmp_path / "one.npz")).parameters()
    (tmp_path / "two.npz").write_bytes((tmp_path / "one.npz").read_bytes())
    assert one == RSIR(calibration=str(tmp_path / "two.npz")).parameters()
    assert len(one["calibration"]) == 64
    assert RSIR().parameters() == {"calibration": None, "ahead": 79}


def test_ideal_sensor_in_a_calibration_file_is_the_same_as_none(tmp_path: Path, fresh: nn.Module) -> None:
    maps = save_maps(tmp_path / "maps.npz", Nd=np.zeros((24, 32)))
    spikes = torch.rand(1, 160, 24, 32).round()
    with torch.inference_mode():
        assert torch.equal(RSIR().infer(fresh, spikes), RSIR(calibration=maps).infer(fresh, spikes))


@pytest.mark.parametrize(("ahead", "span"), [(79, (80, 79)), (9, (150, 9)), (0, (159, 0))])
def test_span_is_160_frames_of_which_some_lie_ahead(ahead: int, span: tuple[int, int]) -> None:
    assert RSIR(ahead=ahead).span == span


@pytest.mark.parametrize("ahead", [-1, 160])
def test_frames_ahead_that_leave_the_centre_out_are_refused(ahead: int) -> None:
    with pytest.raises(UsageError, match=f"0 to 159, not {ahead}"):
        RSIR(ahead=ahead)


def test_inverse_undoes_the_wavelet_transform() -> None:
    image = torch.rand(2, 1, 12, 20)
    bands = Haar()(image)
    assert bands.shape == (2, 4, 6, 10)
    torch.testing.assert_close(bands[:, :1], 2 * nn.functional.avg_pool2d(image, 2))
    torch.testing.assert_close(InverseHaar()(bands), image)


def test_windows_come_back_where_they_were() -> None:
    x = torch.rand(2, 16, 24, 3)
    windows = to_windows(x)
    assert windows.shape == (2, 6, 64, 3)
    torch.testing.assert_close(windows[1, 4].reshape(8, 8, 3), x[1, 8:16, 8:16])
    assert torch.equal(from_windows(windows, 16, 24), x)


def neighbours(height: int, width: int, shift: int) -> NDArray[np.bool_]:
    """For the rolled image: whether two pixels of a window are less than a window apart in the true image."""
    rows, columns = np.mgrid[:height, :width]
    true = np.stack([np.roll(axis, (-shift, -shift), (0, 1)) for axis in (rows, columns)], axis=-1)
    windows = to_windows(torch.from_numpy(true)[None])[0].numpy()
    near: NDArray[np.bool_] = (np.abs(windows[:, :, None] - windows[:, None]) < 8).all(-1)
    return near


def test_attention_does_not_reach_around_the_edges_of_the_image() -> None:
    hidden: Tensor = hidden_across_edges(16, 24, 4, torch.device("cpu"))
    np.testing.assert_array_equal(hidden.numpy() == 0, neighbours(16, 24, 4))
