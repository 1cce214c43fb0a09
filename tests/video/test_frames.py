from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.errors import UsageError
from hqgen.methods.tfi import TFI
from hqgen.methods.tfp import TFP
from hqgen.video.frames import ends, parse_frames, rates

PART = st.none() | st.integers(0, 60)


@given(PART, PART, st.none() | st.integers(0, 70))
def test_frames_are_those_of_a_slice_or_refused(
    start: int | None, stop: int | None, step: int | None
) -> None:
    text = ":".join("" if part is None else str(part) for part in (start, stop, step))
    legal = step != 0 and (start or 0) < 50 and (stop is None or (start or 0) < stop <= 50)
    if legal:
        assert list(parse_frames(text, "a.dat", 50)) == list(range(50)[slice(start, stop, step)])
    else:
        with pytest.raises(UsageError):
            parse_frames(text, "a.dat", 50)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("10", "not START:STOP:STEP", "0:2000:10"),
        ("a:b", "not START:STOP:STEP", "0:2000:10"),
        ("-5:10", "not START:STOP:STEP", "whole numbers"),
        ("0:50:0", "stays at one frame", "1 or more"),
        ("0:2000:10", "not within `a.dat`, which has 50 frames", "`--frames 0:50:10`"),
        ("50:60", "not within `a.dat`", "`--frames 0:50:1`"),
        ("20:10", "holds no frame", "larger than START"),
    ],
)
def test_mistakes_say_what_to_give(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_frames(text, "a.dat", 50)
    assert hint in caught.value.hint


def test_pictures_near_the_ends_are_counted() -> None:
    assert ends(TFP(window=11), range(5, 45), 50) == ""
    assert ends(TFP(window=11), range(4, 46), 50).startswith("2 pictures of 42")
    assert "mirrored" in ends(TFP(window=11), range(50), 50)
    assert "left out" in ends(TFI(), range(50), 50)


def test_both_rates_are_stated() -> None:
    slow = rates(range(0, 2000, 10), 25, 20_000)
    assert slow == (
        "200 pictures at 25 per second play for 8 s; a second of video is 12.5 ms at 20000 frames per "
        "second: 80 times slower"
    )
    assert "2 times faster" in rates(range(0, 2000, 10), 20, 100)
    assert "250 frames (`--frame-rate`" in rates(range(0, 2000, 10), 25, None)
