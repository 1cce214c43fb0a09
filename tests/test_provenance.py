from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hqgen.errors import PlanMismatchError, StoreError
from hqgen.provenance import differences, document_id, make_once, require_same, short_digest


def test_the_id_is_that_of_the_content_and_never_changes() -> None:
    assert document_id({"b": [1, 2], "a": None}) == "c5f84d13a25f42c9"
    assert document_id({"a": None, "b": (1, 2)}) == "c5f84d13a25f42c9"
    assert document_id({"a": None, "b": [2, 1]}) != document_id({"a": None, "b": [1, 2]})
    assert short_digest(["ab", "c"]) == short_digest(["abc"]) == "ba7816bf8f01cfea"


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"step_size": 1}, {"step_size": 2}, ["step size: 1 -> 2"]),
        ({"a": "x"}, {"b": [1]}, ["a: x -> none", "b: none -> [1]"]),
        ({"m": {"w": {"r": 1}}}, {"m": {"w": {"r": 1, "s": "t"}}}, ["m w s: none -> t"]),
        ({"m": {"a": {}, "b": {}}}, {"m": {"c_d": {}, "b": {}}}, ["m gone: a", "m added: c_d"]),
        ({}, {"m": {}}, ["added: m"]),
    ],
)
def test_differences_name_every_field(old: dict[str, Any], new: dict[str, Any], lines: list[str]) -> None:
    assert differences(old, new) == lines


def test_of_many_parts_that_differ_some_are_named_and_all_counted() -> None:
    old, new = ({"r": {f"{n}.dat": {"size": n + step} for n in range(8)}} for step in (0, 1))
    assert differences(old, new) == ["r changed: 0.dat, 1.dat, 2.dat, 3.dat, 4.dat and 3 more"]


def test_a_thing_made_for_another_document_is_refused_with_what_differs() -> None:
    require_same("it is there", {"a": (1, Path("x"))}, {"a": [1, "x"]}, hint="")
    with pytest.raises(PlanMismatchError, match=r"it is there.*\n  a: 1 -> 2") as caught:
        require_same("it is there", {"a": 1}, {"a": 2}, hint="remove it")
    assert caught.value.hint == "remove it"
    with pytest.raises(StoreError):
        require_same("it is there", {"a": 1}, {"a": 2}, hint="", error=StoreError)


def test_a_thing_is_made_once_for_a_document(tmp_path: Path) -> None:
    record, made = tmp_path / "folder/record.json", []
    for document in ({"a": 1}, {"a": 1}, {"a": 2}):
        make_once(record, document, lambda: made.append(record.exists()))
    assert made == [False, False]

    def fail() -> None:
        raise StoreError("no")

    with pytest.raises(StoreError):
        make_once(record, {"a": 3}, fail)
    assert not record.exists(), "a thing that was made in part must not pass for a whole one"
