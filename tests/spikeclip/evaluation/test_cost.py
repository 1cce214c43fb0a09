from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hqgen.errors import HqgenError, MethodError, UnknownNameError, UsageError
from hqgen.methods.base import Method, Span
from hqgen.spikes.packed import Window
from spikeclip.evaluation.cost import profile
from spikeclip.networks import build


class Parts(nn.Module):
    """One of each kind of layer that is counted, on two bins."""

    name = "parts"
    bins = 2

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3, padding=1, bias=False)
        self.linear = nn.Linear(3, 5)

    def forward(self, voxel: Tensor) -> Tensor:
        from torchvision.ops import deform_conv2d

        features = self.conv(voxel)
        offsets = torch.zeros(1, 18, *voxel.shape[2:])
        deformed = deform_conv2d(features, offsets, torch.ones(4, 3, 3, 3), padding=1)
        tokens = self.linear(features.flatten(2).mT)
        total: Tensor = (tokens @ tokens.mT).sum() + deformed.sum()
        return total


@dataclass(frozen=True)
class Counted(Method):
    """Counts how often it runs."""

    name: ClassVar[str] = "counted"
    rank: ClassVar[int] = 2000
    citation: ClassVar[str] = "none"
    calls: ClassVar[list[tuple[int, int, int]]] = []

    @property
    def span(self) -> Span:
        return 3, 2

    def reconstruct(self, window: Window) -> NDArray[np.float32]:
        self.calls.append(window.spikes.shape)
        assert (window.before, window.after) == self.span
        return np.zeros(window.spikes.shape[1:], np.float32)


def test_lrn_costs_what_the_paper_says() -> None:
    cost = profile("lrn", height=25, width=40, device="cpu", runs=1)
    assert cost.parameters == 185_889
    assert cost.macs == 185_616 * 25 * 40
    assert round(100 * cost.macs / 1e9, 2) == 18.56  # of 250x400 pixels
    assert cost.latency_ms > 0
    assert (cost.name, cost.device, cost.height, cost.width, cost.runs) == ("lrn", "cpu", 25, 40, 1)


def test_unet_has_the_parameters_of_the_paper() -> None:
    cost = profile(build("unet"), height=32, width=48, device="cpu", runs=1)
    assert round(cost.parameters / 1e6, 1) == 19.2


def test_every_kind_of_layer_is_counted_by_hand() -> None:
    pixels = 6 * 7
    conv, linear, attention, deformable = 2 * 9 * 3, 3 * 5, 5 * pixels, 3 * 9 * 4
    cost = profile(Parts(), height=6, width=7, device="cpu", runs=2)
    assert cost.macs == pixels * (conv + linear + attention + deformable)
    assert cost.parameters == 2 * 9 * 3 + 3 * 5 + 5


def test_macs_grow_with_the_picture_and_parameters_do_not() -> None:
    small, large = (profile("lrn", height=height, width=16, device="cpu", runs=1) for height in (8, 24))
    assert large.macs == 3 * small.macs
    assert large.parameters == small.parameters


def test_a_model_based_method_has_no_parameters_and_gets_its_whole_window() -> None:
    Counted.calls.clear()
    cost = profile(Counted(), height=20, width=30, device="cpu", runs=7)
    assert (cost.parameters, cost.macs, cost.runs) == (0, 0, 7)
    assert set(Counted.calls) == {(6, 20, 30)}
    assert len(Counted.calls) > 7


def test_a_learned_method_is_measured_without_its_weights() -> None:
    cost = profile("wgse", height=16, width=24, device="cpu", runs=1)
    assert cost.parameters == 3_805_575
    assert cost.macs > 0


def test_parameters_of_a_method_can_be_given_with_its_name() -> None:
    assert profile("tfp:window=200", height=16, width=16, runs=1).name == "tfp"


def test_the_number_of_runs_is_bounded_by_patience_and_told() -> None:
    cost = profile(Counted(), height=8, width=8, runs=10**9, patience=0.05)
    assert 1 <= cost.runs < 10**6


@pytest.mark.parametrize(
    ("name", "error"),
    [("lnr", UnknownNameError), ("tfp:windows=3", UsageError), ("lrn:bins=3", HqgenError)],
)
def test_names_that_mean_nothing_are_refused(name: str, error: type[HqgenError]) -> None:
    with pytest.raises(error):
        profile(name, runs=1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_where_there_is_none_is_refused() -> None:
    with pytest.raises(MethodError, match="the device `cuda` is not there"):
        profile("lrn", device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_device_times_itself() -> None:
    cost = profile("lrn", device="cuda", runs=20)
    assert cost.device == "cuda"
    assert cost.macs == 185_616 * 250 * 400
    assert 0 < cost.latency_ms < 100
