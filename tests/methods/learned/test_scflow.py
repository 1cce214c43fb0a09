"""SCFlow gives the published flow, and pictures along it."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hqgen.errors import MethodError
from hqgen.methods.learned.scflow import SCFlow, SCFlowNetwork, correlation, moved
from hqgen.methods.registration import add_weights
from hqgen.methods.registry import get_method, method_of_weights
from hqgen.methods.tfp import TFP
from hqgen.simulation.motion import Motion
from hqgen.spikes.recording import open_recording
from tests.methods.golden import formula_state
from tests.methods.moving import expected_velocity, film, psnr, scene
from tests.methods.windows import random_window


@pytest.fixture(scope="module")
def checkpoint(shared: Path) -> str:
    path = shared / "weights" / "scflow_dt10_e40.pth.tar"
    if not path.is_file():
        pytest.skip(f"no published weights at {path}")
    return str(path)


@pytest.fixture(scope="module")
def published(checkpoint: str) -> nn.Module:
    return SCFlow(weights=checkpoint, device="cpu").loaded()


@pytest.fixture
def fresh() -> nn.Module:
    torch.manual_seed(0)
    return SCFlowNetwork().eval()


def flow_between(network: nn.Module, frames: Tensor) -> Tensor:
    with torch.inference_mode():
        flow: Tensor = network(frames[:, 10:35], frames[:, 20:45])[0]
    return flow


def test_formula_weights_give_the_flow_of_the_published_code() -> None:
    """The published code ran once on these weights and spikes, with its correlation in plain PyTorch."""
    network = SCFlowNetwork().eval()
    network.load_state_dict(formula_state(network, {"gain": 1.3, "vec": 0.1}))
    t, y, x = torch.meshgrid(*(torch.arange(float(size)) for size in (45, 24, 32)), indexing="ij")
    spikes = ((t + y * y / 7 + x * x / 5 + x * y / 11 - 0.3 * t * t / 9) % 4 < 1.3).float()[None]
    expected = [
        [[-2.37467, -4.275, -2.50555], [-2.5241, -4.52313, -2.20467], [-0.78277, -1.61643, 0.04446]],
        [[1.05536, 1.3167, 1.81996], [2.83452, 4.05598, 3.54217], [3.42587, 4.7541, 3.68871]],
    ]
    flow = flow_between(network, spikes)
    torch.testing.assert_close(flow[:, ::11, ::15], torch.tensor(expected), atol=1e-4, rtol=0)
    assert float(flow.mean()) == pytest.approx(0.08067, abs=1e-4)
    assert float(flow.std()) == pytest.approx(3.53311, abs=1e-4)


@pytest.mark.real
def test_published_weights_give_the_published_flow(published: nn.Module, data_root: Path) -> None:
    """Frames 128 to 172 of a stream, rows 0 to 239; the numbers are of the published code, as above."""
    path = data_root / "spike-reds" / "test" / "spike" / "203_part1_key_id151.dat"
    frames = open_recording(path, height=250, width=400).window(150, 22, 22).spikes.frames()[:, :240]
    flow = flow_between(published, torch.from_numpy(frames.copy()).float()[None])
    expected = [
        [[1.83781, 1.45839], [1.77339, 1.50413], [1.64393, 1.51814]],
        [[0.74469, 0.75214], [0.68923, 0.59892], [0.60623, 0.53172]],
    ]
    torch.testing.assert_close(flow[:, 60::60, 80::160], torch.tensor(expected), atol=1e-4, rtol=0)
    assert flow.mean((1, 2)).tolist() == pytest.approx([1.48348, 0.60562], abs=1e-4)
    assert flow.std((1, 2)).tolist() == pytest.approx([0.21252, 0.10027], abs=1e-4)


@pytest.mark.real
@pytest.mark.parametrize("frame", [30, 0, 60], ids=["middle", "first", "last"])
def test_published_weights_follow_a_motion_to_the_ends_of_a_recording(frame: int, checkpoint: str) -> None:
    motion = Motion(right=0.3, down=-0.2)
    frames = scene(motion, frames=61)
    whole = film(frames)
    seen = type(whole)(whole.spikes, frame)
    image = SCFlow(weights=checkpoint, device="cpu").reconstruct(seen)
    assert psnr(image, frames[frame]) > psnr(TFP().reconstruct(seen.around(20, 20)), frames[frame]) + 2


@pytest.mark.real
def test_the_published_flow_points_where_things_go(published: nn.Module) -> None:
    motion = Motion(right=0.4, down=0.2)
    spikes = torch.from_numpy(film(scene(motion, frames=45)).spikes.frames().copy()).float()[None]
    ways = SCFlow().infer(published, spikes)[0].numpy()
    velocity = expected_velocity(motion)
    assert np.abs(ways[:2] / 10 - velocity)[:, 15:-15, 15:-15].mean() < 0.05
    assert np.abs(ways[2:] / 10 + velocity)[:, 15:-15, 15:-15].mean() < 0.05


@pytest.mark.parametrize("size", [(16, 24), (17, 23), (1, 1), (5, 40)])
def test_any_size_gives_finite_ways(size: tuple[int, int], fresh: nn.Module) -> None:
    with torch.inference_mode():
        ways = SCFlow().infer(fresh, torch.rand(2, 45, *size).round())
    assert ways.shape == (2, 4, *size)
    assert bool(ways.isfinite().all())


def test_the_way_back_is_the_way_of_the_reversed_frames(fresh: nn.Module) -> None:
    spikes = torch.rand(1, 45, 16, 24).round()
    with torch.inference_mode():
        forward, backward = SCFlow().infer(fresh, spikes).chunk(2, 1)
        other, same = SCFlow().infer(fresh, spikes.flip(1)).chunk(2, 1)
    torch.testing.assert_close(forward, same)
    torch.testing.assert_close(backward, other)


def test_correlation_has_a_channel_for_each_place_around_a_pixel() -> None:
    one, other = torch.rand(2, 1, 3, 6, 7)
    found = correlation(one, other)
    assert found.shape == (1, 81, 6, 7)
    for y, x in itertools.product((-4, -1, 0, 2), (-3, 0, 4)):
        expected = (one[0, :, 3, 3] * other[0, :, 3 + y, 3 + x]).mean() if 0 <= 3 + y < 6 and x < 4 else 0
        assert float(found[0, (y + 4) * 9 + x + 4, 3, 3]) == pytest.approx(float(expected), abs=1e-6)


def test_an_image_moves_against_the_flow_and_its_border_goes_on() -> None:
    image = torch.arange(12.0).view(1, 1, 3, 4)
    flow = torch.zeros(1, 2, 3, 4)
    flow[:, 0], flow[:, 1] = 1, -1
    expected = [[1, 2, 3, 3], [1, 2, 3, 3], [5, 6, 7, 7]]
    torch.testing.assert_close(moved(image, flow)[0, 0], torch.tensor(expected).float())


def test_is_not_ready_without_its_file() -> None:
    with pytest.raises(MethodError, match="no weights `scflow`"):
        get_method("scflow")


def test_registered_weights_make_it_ready(fresh: nn.Module, tmp_path: Path) -> None:
    torch.save({"epoch": 40, "arch": "a", "state_dict": fresh.state_dict()}, tmp_path / "flow.pth.tar")
    entry = add_weights(tmp_path / "flow.pth.tar", SCFlow())
    assert method_of_weights(entry.name) == "scflow"
    image = get_method("scflow").on("cpu").reconstruct(random_window(0, (20, 24), frames=45, centre=22))
    assert image.shape == (20, 24)
    assert 0 <= image.min() < image.max() <= 1
