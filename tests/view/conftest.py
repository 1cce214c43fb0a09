"""A store of ten samples, and a client of its application."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from hqgen.view.app import application
from tests.view.stores import make_store

ORIGIN = "http://127.0.0.1:8642"


@pytest.fixture(scope="session")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of a store of ten samples; nobody changes it."""
    return make_store(tmp_path_factory.mktemp("ten"), 10)


@pytest.fixture
def client(ten: Path) -> Iterator[TestClient]:
    """A browser on this machine; every test begins without verdicts."""
    ten.with_name("curation.json").unlink(missing_ok=True)
    with TestClient(application(ten, author="ada"), base_url=ORIGIN, headers={"Origin": ORIGIN}) as found:
        yield found
