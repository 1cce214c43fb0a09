"""The network that a file names as `NETWORK`: its golden, and it with the golden's and random parameters."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from tests.methods.golden import Golden, load_golden
from tests.methods.learned.networks import NETWORKS, NetworkCase


@pytest.fixture(scope="module")
def case(request: pytest.FixtureRequest) -> NetworkCase:
    return NETWORKS[request.module.NETWORK]


@pytest.fixture(scope="module")
def golden(shared: Path, case: NetworkCase) -> Golden:
    assert case.golden is not None
    return load_golden(shared, case.golden)


@pytest.fixture(scope="module")
def filled(golden: Golden, case: NetworkCase) -> nn.Module:
    return case.filled(golden)


@pytest.fixture(scope="module")
def fresh(case: NetworkCase) -> nn.Module:
    return case.fresh()
