from __future__ import annotations

import pickle
import re

import pytest

from hqgen import errors
from hqgen.errors import HqgenError, PlanMismatchError, RecordingError, UnknownNameError, UsageError


def all_errors() -> list[type[HqgenError]]:
    kinds = [value for value in vars(errors).values() if isinstance(value, type)]
    return [kind for kind in kinds if issubclass(kind, HqgenError)]


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    assert sorted([*drawn, "HqgenError"]) == sorted(error.__name__ for error in all_errors())
    for error in all_errors():
        assert issubclass(error, HqgenError)


def test_exit_codes_tell_usage_from_what_can_be_mended() -> None:
    assert {error.__name__ for error in all_errors() if error.exit_code == 2} == {
        "UsageError",
        "UnknownNameError",
        "PlanMismatchError",
    }


@pytest.mark.parametrize(
    "error",
    [
        RecordingError("what", hint="do this"),
        UnknownNameError("source", "redz", ["reds"]),
        PlanMismatchError("what"),
    ],
)
def test_errors_cross_from_a_worker_with_their_hints(error: HqgenError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (copy.message, copy.hint, str(copy)) == (error.message, error.hint, error.message)


def test_an_unknown_name_guesses_and_lists_the_legal_ones() -> None:
    error = UnknownNameError("source", "redz", ["reds", "demo"])
    assert isinstance(error, UsageError)
    assert error.hint == "did you mean `reds`? known: demo, reds"
    assert UnknownNameError("source", "xyz", []).hint == "known: none"
