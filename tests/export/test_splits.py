"""Splits: every recording in one, by its content."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.export.splits import parse_split, split_of

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


def test_shares_are_read_in_their_order() -> None:
    assert parse_split("train=0.8, val=0.1,test=0.1") == SHARES
    assert parse_split("train=1") == {"train": 1.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "name each split once"),
        ("train", "a share above 0"),
        ("train=x", "a share above 0"),
        ("train=nan", "a share above 0"),
        ("train=1,val=0", "a share above 0"),
        ("train=0.8,val=0.1", "sum to 1, not to 0.9"),
        ("train=0.5,Train=0.5", "name each split once"),
        ("all=1", "name each split once"),
        ("../x=1", "name each split once"),
    ],
)
def test_a_wrong_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_split(text)


def test_the_shares_hold_for_many_recordings() -> None:
    found = Counter(split_of(f"{number:064x}", SHARES, 0) for number in range(5000))
    assert all(abs(found[name] / 5000 - share) < 0.02 for name, share in SHARES.items())


@given(st.text(), st.integers())
def test_a_recording_keeps_its_split_when_a_share_is_divided(digest: str, seed: int) -> None:
    whole = split_of(digest, {"train": 0.8, "rest": 0.2}, seed)
    divided = split_of(digest, SHARES, seed)
    assert (whole == "train") == (divided == "train")


def test_another_seed_gives_other_splits() -> None:
    digests = [f"{number:064x}" for number in range(100)]
    assert [split_of(d, SHARES, 0) for d in digests] != [split_of(d, SHARES, 1) for d in digests]
