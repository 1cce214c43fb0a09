"""The check of a GPU in its reduced form, so that it is never stale where no GPU is."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest

from tests.gpu import check, parts
from tests.gpu.rows import Request, Row

SMALL = ("--device", "cpu", "--small")


def cells(document: dict[str, Any], part: str) -> dict[str, dict[str, Any]]:
    (found,) = (item for item in document["parts"] if item["part"] == part)
    return {row["name"]: row["cells"] for row in found["rows"]}


@pytest.mark.slow
def test_every_part_measures_in_its_reduced_form(tmp_path: Path) -> None:
    assert check.main([*SMALL, "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "gpu-check.json").read_text())
    assert [part["part"] for part in found["parts"]] == list(check.PARTS)
    assert [part["error"] for part in found["parts"]] == [""] * len(check.PARTS)
    numbers = [
        cell
        for part in found["parts"]
        for row in part["rows"]
        for cell in row["cells"].values()
        if isinstance(cell, float)
    ]
    assert all(math.isfinite(number) for number in numbers)
    assert cells(found, "memory")["half of the memory"]["batches"] == "8+4+2+2+2+2"
    assert cells(found, "training")["fine"]["steps"] == 6
    text = (tmp_path / "gpu-check.md").read_text()
    assert all(f"### {part}" in text for part in check.PARTS)
    assert "| base at 96x96 | trained |" in text


def test_budgets_and_the_start_fit_into_the_limit() -> None:
    assert sum(check.PARTS.values()) <= check.LIMIT - 20


def test_every_part_has_a_function_that_says_what_it_is_about() -> None:
    assert all(getattr(parts, name).__doc__ for name in check.PARTS)


def rows_of(measure: Callable[[Request], Iterator[Row]], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the process of a part sends."""
    monkeypatch.setattr(parts, "parity", measure)
    receiver, sender = Pipe(duplex=False)
    check._work("parity", Request("cpu", small=True), sender)
    sender.close()
    sent = []
    while receiver.poll():
        try:
            sent.append(receiver.recv())
        except EOFError:
            break
    receiver.close()
    return sent


def test_a_part_that_fails_keeps_its_rows_and_sends_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_request: Request) -> Iterator[Row]:
        yield Row("first", {"speed": 1.0})
        raise RuntimeError("CUDA error: an illegal memory access")

    sent = rows_of(broken, monkeypatch)
    assert sent[1:] == [Row("first", {"speed": 1.0}), "RuntimeError: CUDA error: an illegal memory access"]


def test_a_part_without_time_is_ended_and_says_so() -> None:
    result = check.measured("hardware", Request("cpu", small=True), budget=0)
    assert result.error == "took too long"
    assert not result.sound


def test_an_error_and_a_fault_are_in_both_files_and_in_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(name: str, request: Request, budget: float) -> check.Result:
        fault = "it made a picture" if name == "memory" else ""
        error = "took too long" if name == "parity" else ""
        return check.Result(name, budget, "About.", 1.0, error, [Row("one", {"n": 0.25}, fault)])

    monkeypatch.setattr(check, "measured", measured)
    for names, code in (("hardware", 0), ("hardware,parity", 1), ("memory,hardware", 1)):
        assert check.main([*SMALL, "--out", str(tmp_path), "--parts", names]) == code
        text = (tmp_path / "gpu-check.md").read_text()
        assert "| one | 0.25 |" in text
        assert ("- **error**: took too long" in text) is ("parity" in names)
        assert ("- **error**: one: it made a picture" in text) is ("memory" in names)
    assert json.loads((tmp_path / "gpu-check.json").read_text())["parts"][0]["rows"][0]["fault"]


def test_an_unknown_part_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        check.main(["--parts", "parity,speeed"])
    assert "there is no part `speeed`" in capsys.readouterr().err
