"""People judge samples in several browsers at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from hqgen.curation import Journal
from hqgen.view.app import application
from tests.view.conftest import ORIGIN
from tests.view.stores import QUARANTINED, key_of


def say(client: TestClient, **said: Any) -> Any:
    found = client.post("/api/verdicts", json=said)
    assert found.status_code == 200, found.text
    return found.json()


def test_verdicts_are_in_the_journal(client: TestClient, ten: Path) -> None:
    say(client, rows=[4], action="pick", method=0, note="sharper")
    found = say(client, rows=[5, 6], action="reject")
    assert (found["number"], found["said"]) == (3, [2, 3])
    assert [(v["row"], v["action"], v["method"]) for v in found["verdicts"]] == [
        (4, "pick", 0),
        (5, "reject", None),
        (6, "reject", None),
    ]
    state = Journal(ten).state()
    assert state[key_of(4)].method == "tfp"
    assert (state[key_of(4)].note, state[key_of(4)].author) == ("sharper", "ada")


def test_undo_takes_back_what_was_said_last(client: TestClient) -> None:
    say(client, rows=[4], action="mark")
    say(client, rows=[4], action="reject")
    assert [v["action"] for v in client.post("/api/undo", json={}).json()["verdicts"]] == ["mark"]
    assert client.post("/api/undo", json={}).json()["verdicts"] == []
    assert "can be undone" in client.post("/api/undo", json={}).json()["error"]


def test_undo_takes_back_what_this_page_said_though_others_spoke_later(client: TestClient) -> None:
    (number,) = say(client, rows=[4], action="mark")["said"]
    say(client, rows=[5], action="reject")
    found = client.post("/api/undo", json={"number": number}).json()
    assert [(v["row"], v["action"]) for v in found["verdicts"]] == [(5, "reject")]


def test_a_browser_sees_what_another_one_says(client: TestClient, ten: Path) -> None:
    number = client.get("/api/verdicts").json()["number"]
    assert client.get(f"/api/verdicts?since={number}").json()["verdicts"] is None
    with TestClient(application(ten), base_url=ORIGIN, headers={"Origin": ORIGIN}) as other:
        say(other, rows=[7], action="mark")
    found = client.get(f"/api/verdicts?since={number}").json()
    assert [v["row"] for v in found["verdicts"]] == [7]


def test_two_browsers_at_once_lose_nothing(client: TestClient, ten: Path) -> None:
    with TestClient(application(ten), base_url=ORIGIN, headers={"Origin": ORIGIN}) as other:

        def judge(number: int) -> None:
            say((client, other)[number % 2], rows=[number % 10], action="mark", note=str(number))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(judge, range(40)))
    notes = {entry.note for entry in Journal(ten).since() if entry.action != "undo"}
    assert notes == {str(number) for number in range(40)}


def test_samples_are_filtered_by_verdict(client: TestClient) -> None:
    say(client, rows=[4], action="reject")
    say(client, rows=[5], action="mark")
    assert client.get("/api/samples?verdict=reject&verdict=mark").json()["row"] == [4, 5]
    assert client.get("/api/samples?verdict=none").json()["row"] == [0, 1, 2, 3, 6, 7, 8, 9]
    client.post("/api/undo", json={})
    assert client.get("/api/samples?verdict=mark").json()["row"] == []


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"rows": [99], "action": "mark"}, "there is no sample 99"),
        ({"rows": [], "action": "mark"}, "the request"),
        ({"rows": [4], "action": "like"}, "the request"),
        ({"rows": [4], "action": "pick"}, "must name its method"),
        ({"rows": [4], "action": "pick", "method": 9}, "there is no method 9"),
        ({"rows": [QUARANTINED], "action": "pick", "method": 0}, "has no candidate"),
        ({"rows": [4, 99], "action": "mark"}, "there is no sample 99"),
        ({"rows": [4], "action": "mark", "colour": "red"}, "the request"),
    ],
)
def test_a_verdict_that_makes_no_sense_is_an_error_and_writes_nothing(
    client: TestClient, ten: Path, said: dict[str, Any], text: str
) -> None:
    found = client.post("/api/verdicts", json=said)
    assert found.status_code == 400
    assert text in found.json()["error"]
    assert not ten.with_name("curation.json").exists() or Journal(ten).since() == []


@pytest.mark.parametrize("content", ["{", "[]", '{"rows": [' + "1," * 600_000 + "1]}"])
def test_a_request_that_is_not_a_verdict_is_an_error(client: TestClient, content: str) -> None:
    json = {"Content-Type": "application/json"}
    assert client.post("/api/verdicts", content=content, headers=json).status_code == 400
