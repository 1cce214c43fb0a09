"""What every network must do that published weights fit; what is special in one stands in its own file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.methods.golden import CONTAINERS, Golden
from tests.methods.learned.networks import NETWORKS, NetworkCase


@pytest.fixture(scope="module", params=NETWORKS)
def case(request: pytest.FixtureRequest) -> NetworkCase:
    return NETWORKS[request.param]


def with_golden() -> list[str]:
    """Networks that have a golden."""
    return [name for name, case in NETWORKS.items() if case.golden is not None]


def with_formula() -> list[str]:
    """Networks whose golden was made with the formula's weights."""
    return [name for name, case in NETWORKS.items() if case.picture is not None]


def at_sizes(kind: str) -> pytest.MarkDecorator:
    """Parametrise by network and size."""
    pairs = [(name, size) for name, case in NETWORKS.items() for size in getattr(case, kind)]
    return pytest.mark.parametrize(
        ("case", "size"), pairs, indirect=["case"], ids=[f"{name}-{h}x{w}" for name, (h, w) in pairs]
    )


@pytest.mark.real
@pytest.mark.parametrize("case", with_golden(), indirect=True)
def test_names_shapes_and_number_of_parameters_are_the_published_ones(
    case: NetworkCase, golden: Golden
) -> None:
    network = case.fresh()
    assert [(name, tuple(value.shape)) for name, value in network.state_dict().items()] == golden.tensors
    assert golden.parameter_count == case.parameters


def test_the_number_of_parameters_is_the_published_one(case: NetworkCase, fresh: nn.Module) -> None:
    assert sum(parameter.numel() for parameter in fresh.parameters()) == case.parameters


@pytest.mark.real
@pytest.mark.parametrize("case", with_formula(), indirect=True)
def test_checkpoint_file_gives_the_golden_picture_by_way_of_a_window(
    case: NetworkCase, golden: Golden, filled: nn.Module, tmp_path: Path
) -> None:
    torch.save({"state_dict": filled.state_dict()}, tmp_path / "published.pth")
    method = replace(case.method, weights=str(tmp_path / "published.pth"), device="cpu")
    image = method.reconstruct(golden.window())
    np.testing.assert_allclose(image, case.expected(golden), rtol=0, atol=golden.tolerance)


@pytest.mark.parametrize(
    ("case", "container"), list(zip(NETWORKS, cycle(CONTAINERS), strict=False)), indirect=["case"]
)
def test_a_published_container_gives_the_same_parameters(
    container: str, case: NetworkCase, fresh: nn.Module, tmp_path: Path
) -> None:
    torch.save(CONTAINERS[container](fresh.state_dict()), tmp_path / "published.pth")
    found = replace(case.method, weights=str(tmp_path / "published.pth"), device="cpu").loaded().state_dict()
    expected = fresh.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def assert_a_picture(image: Tensor, case: NetworkCase, size: tuple[int, int]) -> None:
    assert image.shape == (1, *size)
    assert bool(image.isfinite().all())
    low, high = case.bounds
    assert bool(((image >= low) & (image <= high)).all())


@at_sizes("sizes")
def test_any_size_gives_a_picture_within_its_bounds(
    case: NetworkCase, size: tuple[int, int], fresh: nn.Module
) -> None:
    with torch.inference_mode():
        assert_a_picture(case.method.infer(fresh, case.noise(size)), case, size)


@pytest.mark.parametrize("fill", [torch.zeros_like, torch.ones_like])
def test_darkness_and_full_light_give_a_picture_within_its_bounds(
    case: NetworkCase, fill: Callable[[Tensor], Tensor], fresh: nn.Module
) -> None:
    size = case.sizes[-1]
    with torch.inference_mode():
        assert_a_picture(case.method.infer(fresh, fill(case.noise(size))), case, size)


@pytest.mark.slow
@at_sizes("large")
def test_a_large_frame_with_odd_sides(case: NetworkCase, size: tuple[int, int], fresh: nn.Module) -> None:
    with torch.inference_mode():
        assert_a_picture(case.method.infer(fresh, case.noise(size)), case, size)


def test_batch_equals_one_by_one_and_repeats_to_the_bit(case: NetworkCase, fresh: nn.Module) -> None:
    spikes = case.noise((16, 20), count=2)
    with torch.inference_mode():
        batch = case.method.infer(fresh, spikes)
        single = torch.cat([case.method.infer(fresh, window[None]) for window in spikes])
        assert torch.equal(batch, case.method.infer(fresh, spikes))
    spread = float(batch.max() - batch.min())
    assert spread > 0
    torch.testing.assert_close(batch, single, atol=1e-3 * spread, rtol=0)
