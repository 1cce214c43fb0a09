from __future__ import annotations

from pathlib import Path

import pytest

from hqgen.errors import UsageError, WeightsError
from spikeclip.networks import build, load_network, save_network
from spikeclip.networks.locating import located


def test_a_folder_stands_for_the_network_in_it(tmp_path: Path) -> None:
    save_network(tmp_path / "network.pth", build("lrn", 4), {})
    assert located(tmp_path) == tmp_path / "network.pth"
    save_network(tmp_path / "model.safetensors", build("lrn", 6), {})
    assert load_network(tmp_path).bins == 6


def test_a_folder_without_a_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"holds no network: neither `model\.safetensors` nor `network\.pth`"
    ):
        located(tmp_path)


@pytest.mark.parametrize("place", ["hf://", "hf://name", "hf://a/b/c", "hf://a/b@", "hf:///a/b"])
def test_what_is_not_the_name_of_a_repository_is_a_usage_error(place: str) -> None:
    with pytest.raises(UsageError, match="is not a repository"):
        located(place)
