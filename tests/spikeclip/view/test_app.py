"""The application shows the folder of a training as it is at that moment, and answers nobody else."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from hqgen.errors import UsageError
from spikeclip.view.app import application
from tests.report.test_html import Page
from tests.spikeclip.training.folders import HOSTILE, STEPS, announce, begin, complete, evaluate, learn
from tests.view.conftest import ORIGIN

ROW = HOSTILE.replace("/", "")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    """A browser on this machine, which looks at `tmp_path / "run"`."""
    with TestClient(application(tmp_path / "run"), base_url=ORIGIN) as found:
        yield found


def page(client: TestClient, path: str = "/") -> Page:
    found = client.get(path)
    assert found.status_code == 200, found.text
    return Page(found.text)


def test_it_follows_a_training_from_before_its_beginning_to_its_end(
    client: TestClient, tmp_path: Path
) -> None:
    words = page(client).words
    assert "no training yet" in words
    assert f"spikeclip train --out {tmp_path / 'run'}" in words
    files = begin(tmp_path / "run", stages=["coarse"])
    assert "stopped, no steps yet" in page(client).words
    with files.locked():
        announce(files, "coarse", 3)
        assert "running, stage coarse, no steps yet" in page(client).words
        learn(files, "coarse", 3, STEPS + 2)
        words = page(client).words
        assert "running, stage coarse, epoch 2 of 3, 50 %" in words
        assert "was running when this page was written" not in words
    assert "stopped, stage coarse, epoch 2 of 3, 50 %" in page(client).words
    complete(files, "coarse", 3)
    assert "complete, 1 stage in 6.0 s" in page(client).words


def test_the_page_has_nothing_inside_that_its_policy_forbids(client: TestClient, tmp_path: Path) -> None:
    complete(begin(tmp_path / "run"), "coarse", 2)
    answer = client.get("/")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "style=" not in answer.text
    found = Page(answer.text)
    assert "style" not in found.tags
    assert found.tags.count("script") == 1
    for link in found.links:
        assert link.startswith(("/", "#"))
        if link.startswith("/"):
            assert client.get(link).status_code == 200, link


def test_pictures_are_those_of_the_folder(client: TestClient, tmp_path: Path) -> None:
    files = begin(tmp_path / "run")
    learn(files, "coarse", 2, STEPS)
    (link, *_) = [link for link in page(client).links if "name=coarse-01" in link]
    answer = client.get(link)
    assert "immutable" in answer.headers["cache-control"]
    with Image.open(io.BytesIO(answer.content)) as shown, Image.open(files.small("coarse", 1)) as kept:
        np.testing.assert_array_equal(np.asarray(shown), np.asarray(kept))
    files.small("coarse", 1).write_bytes(files.small("tfi").read_bytes())
    assert link not in page(client).links  # another file has another address


@pytest.mark.parametrize(
    "query",
    [
        {"name": "../../config"},
        {"name": "coarse-99"},
        {"name": "/etc/passwd"},
        {"name": "tfi/../../grid"},
        {},
        {"name": "tfi", "training": ".."},
        {"name": "tfi", "training": "/etc"},
    ],
)
def test_a_name_in_an_address_is_never_a_path(
    client: TestClient, tmp_path: Path, query: dict[str, str]
) -> None:
    learn(begin(tmp_path / "run"), "coarse", 1, STEPS)
    answer = client.get("/picture?" + urlencode(query))
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]
    assert client.get("/pictures.png").status_code == 404


def test_a_page_that_has_not_changed_is_not_sent_again(client: TestClient, tmp_path: Path) -> None:
    files = begin(tmp_path / "run")
    learn(files, "coarse", 2, STEPS)
    tag = client.get("/").headers["etag"]
    again = client.get("/", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    learn(files, "coarse", 2, STEPS + 2)
    assert client.get("/", headers={"If-None-Match": tag}).status_code == 200


def test_a_recipe_shows_its_trainings_and_tables(client: TestClient, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first, second = (begin(out / f"seed-{seed}" / ROW, stages=["coarse"]) for seed in (0, 1))
    complete(first, "coarse", 1)
    evaluate(out)
    evaluate(out / "seed-0")
    Image.new("L", (8, 8)).save(out / "pictures.png")
    with second.locked():
        learn(second, "coarse", 2, 2)
        found = page(client)
    assert "1 of 2 trainings complete" in found.words
    assert "running, stage coarse, epoch 1 of 2, 25 %" in found.words
    assert f"seed-1/{ROW}" in found.words
    assert "seed-0/table.json" in found.words
    assert found.words.count("Evaluation") == 1
    assert found.tags.count("img") == 1  # `pictures.png`
    links = [link for link in found.links if link.startswith("/?training=")]
    assert len(links) == 2
    one = page(client, links[0])
    assert "complete, 1 stage" in one.words
    assert "/" in one.links  # back to all
    assert all(client.get(link).status_code == 200 for link in one.links if link.startswith("/picture"))
    assert client.get("/?training=gone").status_code == 400
    assert client.get("/?training=..").status_code == 400


def test_a_table_alone_is_shown(client: TestClient, tmp_path: Path) -> None:
    evaluate(tmp_path / "run")
    assert "Evaluation table.json" in page(client).words


def test_a_file_is_not_a_training(tmp_path: Path) -> None:
    (tmp_path / "network.pth").touch()
    with pytest.raises(UsageError, match="is not a folder"):
        application(tmp_path / "network.pth")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8642", "rebound.example:8642"])
def test_a_stranger_cannot_read(client: TestClient, host: str) -> None:
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == 403
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.get("/", headers={"Host": "localhost:8642"}).status_code == 200


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_nobody_can_write(client: TestClient, method: str) -> None:
    assert client.request(method, "/").status_code in (403, 405)
    own = {"Origin": ORIGIN, "Content-Type": "application/json"}
    assert client.request(method, "/", headers=own).status_code == 405
