"""The application answers its own page, and nobody else."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from hqgen.inspection.samples import Samples, smaller
from hqgen.manifest import read_manifest
from hqgen.view.app import application
from hqgen.view.pictures import difference
from tests.view.conftest import ORIGIN
from tests.view.stores import FRAMES, HEIGHT, HOSTILE, QUARANTINED, QUOTES, REASON, WIDTH, make_store


def answer(client: TestClient, path: str, status: int = 200) -> Any:
    found = client.get(path)
    assert found.status_code == status, found.text
    return found.json()


def pixels(client: TestClient, path: str) -> np.ndarray:
    version = answer(client, "/api/store")["version"]
    found = client.get(f"/pictures/{version}/{path}")
    assert found.status_code == 200, found.text
    assert found.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(found.content)))


def test_the_page_asks_no_other_host_and_may_not(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for path in ("/app.js", "/style.css", "/icon.svg"):
        text = client.get(path).text
        assert "https:" not in text
        assert "http:" not in text.replace("http://www.w3.org/", "")  # names of kinds of XML


def test_a_store_is_described(client: TestClient) -> None:
    found = answer(client, "/api/store")
    assert found["samples"] == 10
    assert found["methods"] == ["tfp", "tfi", "tfstp"]
    assert found["sources"] == [{"name": "lab", "height": HEIGHT, "width": WIDTH, "samples": 10}]
    assert (found["ambiguous"], found["quarantined"]) == (1, 1)
    assert found["reasons"] == [{"text": REASON.replace("99.5", "…").replace("(1)", "(…)"), "samples": 1}]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("", list(range(10))),
        ("start=3&count=2", [3, 4]),
        ("text=SCENE0", [0, 3, 4, 5, 6]),
        ("winner=tfi", [0, 4, 8]),
        ("winner=", [QUARANTINED]),
        ("winner=&winner=tfi", [0, 3, 4, 8]),
        ("source=gone", []),
        ("score_min=9&score_max=10", [0, 1]),
        ("margin_max=0.1", [0]),
        ("ambiguous=yes", [0]),
        ("quarantined=yes", [QUARANTINED]),
        ("order=score&count=2", [9, 8]),
        ("order=score&descending=true&start=8", [9, QUARANTINED]),
        ("order=winner", [1, 2, 5, 6, 7, 9, 0, 4, 8, QUARANTINED]),
        ("descending=true&count=2", [9, 8]),
    ],
)
def test_samples_are_found(client: TestClient, query: str, rows: list[int]) -> None:
    found = answer(client, f"/api/samples?{query}")
    assert found["row"] == rows
    assert len(found["key"]) == len(found["score"]) == len(rows)


def test_a_reason_finds_its_samples(client: TestClient) -> None:
    reason = answer(client, "/api/store")["reasons"][0]["text"]
    found = client.get("/api/samples", params={"reason": reason})
    assert found.json()["row"] == [QUARANTINED]


def test_counts_say_what_another_choice_would_give(client: TestClient) -> None:
    found = answer(client, "/api/samples?winner=tfi&find=8")
    assert found["total"] == 3
    assert found["position"] == 2
    assert found["counts"]["winners"] == {"": 1, "tfp": 6, "tfi": 3, "tfstp": 0}
    assert sum(found["histograms"]["score"]["counts"]) == 3


@pytest.mark.parametrize("query", ["count=1001", "order=size", "start=-1", "score_min=nan", "colour=red"])
def test_a_query_that_makes_no_sense_is_an_error(client: TestClient, query: str) -> None:
    assert "the query" in answer(client, f"/api/samples?{query}", 400)["error"]


def test_a_sample_is_described_with_names_as_they_are(client: TestClient) -> None:
    found = answer(client, "/api/samples/1")
    assert found["key"] == f"lab/{HOSTILE}"
    assert found["provenance"]["recording"] == f"{HOSTILE}.dat"
    assert [item["name"] for item in found["candidates"]] == ["tfp", "tfi", "tfstp"]
    assert answer(client, "/api/samples/2")["key"] == QUOTES
    assert answer(client, f"/api/samples/{QUARANTINED}")["candidates"][0]["reason"] == REASON
    assert answer(client, "/api/samples/10", 400)["hint"] == "there are 10, from 0"
    assert answer(client, "/api/samples/../../etc", 404)


def test_the_rates_are_those_of_the_recording(client: TestClient, ten: Path) -> None:
    found = answer(client, "/api/samples/9/rates")
    recording = Samples(ten)
    first = found["start"]
    shares = [recording.frame(9, frame, "spikes").mean() / 255 for frame in (first, first + 5)]
    assert [found["values"][0], found["values"][5]] == pytest.approx(shares, abs=1e-6)
    assert len(found["values"]) <= FRAMES


def test_pictures_are_those_of_the_store(client: TestClient, ten: Path) -> None:
    samples = Samples(ten)
    np.testing.assert_array_equal(pixels(client, "4/candidate/2.png"), samples.candidate(4, "tfstp"))
    np.testing.assert_array_equal(pixels(client, "4/small/4.png"), smaller(samples.candidate(4, "tfi"), 4))
    apart = difference(samples.candidate(4, "tfp"), samples.candidate(4, "tfi"))
    np.testing.assert_array_equal(pixels(client, "4/difference/0.png"), apart)
    np.testing.assert_array_equal(pixels(client, "4/frame/7/0.png"), samples.frame(4, 7, "tfp"))
    assert set(np.unique(pixels(client, "4/frame/7/spikes.png"))) == {0, 255}


def test_a_difference_says_what_is_brighter_and_what_darker() -> None:
    winner = np.array([[10, 10, 10]], np.uint8)
    found = difference(np.array([[10, 12, 7]], np.uint8), winner)
    assert found.tolist() == [[[0, 0, 0], [8, 5, 0], [0, 6, 12]]]


def test_a_browser_keeps_pictures_for_ever(client: TestClient) -> None:
    version = answer(client, "/api/store")["version"]
    path = f"/pictures/{version}/4/candidate/2.png"
    first = client.get(path)
    assert "immutable" in first.headers["cache-control"]
    again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get(path.replace("/4/", "/5/"), headers={"If-None-Match": first.headers["etag"]})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("4/candidate/9.png", 400, "there is no method 9"),
        (f"{QUARANTINED}/candidate/0.png", 422, "has no candidate of"),
        (f"{QUARANTINED}/small/1.png", 422, "is quarantined"),
        ("4/small/0.png", 400, "cannot be smaller by 0"),
        ("4/truth.png", 422, "there is no ground truth"),
        ("4/frame/61/0.png", 400, "has no frame 61"),
        ("4/..%2f..%2fmanifest.json", 404, "there is nothing at"),
    ],
)
def test_a_picture_that_is_not_there_is_an_error_that_nobody_keeps(
    client: TestClient, path: str, status: int, text: str
) -> None:
    version = answer(client, "/api/store")["version"]
    found = client.get(f"/pictures/{version}/{path}")
    assert found.status_code == status
    assert text in found.json()["error"]
    assert "immutable" not in found.headers.get("cache-control", "")


def test_a_page_of_an_older_store_is_told_to_load_again(client: TestClient) -> None:
    found = client.get("/pictures/0123456789abcdef/4/candidate/0.png")
    assert found.json()["hint"] == "load the page again"


def test_a_damaged_shard_is_named_where_its_pictures_would_be(tmp_path: Path) -> None:
    manifest = make_store(tmp_path, 4)
    shard = manifest.parent / "hq.zarr/lab/candidates/tfp/c/0/0/0"
    content = bytearray(shard.read_bytes())
    content[len(content) // 3] ^= 0xFF
    shard.write_bytes(content)
    with TestClient(application(manifest), base_url=ORIGIN) as client:
        version = answer(client, "/api/store")["version"]
        damaged = client.get(f"/pictures/{version}/0/candidate/0.png")
        assert damaged.status_code == 422
        assert "--verify" in damaged.json()["hint"]
        assert client.get(f"/pictures/{version}/0/candidate/2.png").status_code == 200


def test_recordings_that_are_gone_are_an_error_of_their_parts_only(ten: Path, tmp_path: Path) -> None:
    gone = read_manifest(ten)
    text = ten.read_text().replace(str(gone.sources[0].folder), "/gone/lab")
    moved = ten.with_name("moved.json")
    moved.write_text(text)
    with TestClient(application(moved), base_url=ORIGIN) as client:
        assert "are gone" in answer(client, "/api/samples/4/rates", 422)["error"]
        assert answer(client, "/api/samples/4")["key"]
        assert pixels(client, "4/candidate/0.png").shape == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({"Host": "evil.example"}, "not to `evil.example`"),
        ({"Host": "127.0.0.1.evil.example:8642"}, "not to"),
        ({"Origin": "http://evil.example"}, "own page"),
        ({"Origin": "null"}, "own page"),
        ({"Origin": "http://127.0.0.1:9999"}, "own page"),
        ({"Content-Type": "text/plain"}, "must be JSON"),
    ],
)
def test_a_stranger_cannot_write(client: TestClient, ten: Path, headers: dict[str, str], text: str) -> None:
    json = {"Content-Type": "application/json"}
    found = client.post("/api/verdicts", content='{"rows":[1],"action":"reject"}', headers=json | headers)
    assert found.status_code == 403
    assert text in found.json()["error"]
    assert found.headers["x-content-type-options"] == "nosniff"
    assert not ten.with_name("curation.json").exists()


def test_a_stranger_cannot_read_by_another_name_of_this_machine(client: TestClient) -> None:
    assert client.get("/api/store", headers={"Host": "rebound.example:8642"}).status_code == 403
    assert client.get("/api/store", headers={"Host": "localhost:8642"}).status_code == 200
