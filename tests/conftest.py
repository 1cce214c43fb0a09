"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The first call of a compiled function compiles it, which takes longer than any sensible deadline.
settings.register_profile("hqgen", deadline=None)
settings.load_profile("hqgen")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real recordings; skips the test, with the reason, where it is absent."""
    root = Path(os.environ.get("HQGEN_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no real recordings at {root} (set HQGEN_TEST_DATA)")
    return root


@pytest.fixture(scope="session")
def shared(data_root: Path) -> Path:
    """The folder that holds `data`, `golden` and `weights`."""
    return data_root.resolve().parent
