from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def weights_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of weights, whatever the user has registered."""
    monkeypatch.setenv("HQGEN_WEIGHTS", str(tmp_path / "home"))
    return tmp_path / "home"
