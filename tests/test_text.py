"""Numbers and long texts as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hqgen.text import byte_size, count, duration, first, plainer, shortened


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (3_249_000, "3.2 MB"),
        (999_960_000, "1.0 GB"),
        (7.5e15, "7500.0 TB"),
    ],
)
def test_byte_sizes(size: float, text: str) -> None:
    assert byte_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (87, "1 min 27 s"),
        (3599.7, "1 h 0 min"),
        (360_060, "100 h 1 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_counts() -> None:
    assert (count(0, "sample"), count(1, "sample"), count(2000, "sample")) == (
        "0 samples",
        "1 sample",
        "2,000 samples",
    )


@given(st.text(), st.integers(4, 50))
def test_a_shortened_text_fits_and_keeps_both_ends(text: str, width: int) -> None:
    short = shortened(text, width)
    assert len(short) == min(len(text), width)
    assert (short == text) or (text.startswith(short.split("…")[0]) and text.endswith(short[-2:]))


def test_a_long_list_is_cut_with_a_count() -> None:
    assert first(["a", "b"], 2) == ["a", "b"]
    assert first(["a", "b", "c"], 1) == ["a", "and 2 more"]


@pytest.mark.parametrize(
    ("message", "ours"),
    [
        (
            "Invalid value for '--samples': Input should be greater than or equal to 1",
            "`--samples` must be at least 1",
        ),
        (
            "Invalid value for '--workers' (env var: 'HQGEN_WORKERS'): Input should be a valid integer, 'x'",
            "`--workers` or `HQGEN_WORKERS` must be a whole number",
        ),
        (
            "Invalid value for '--device': Value error, 'tpu' is not one of 'auto', 'cpu', 'cuda'",
            "`--device` must be one of 'auto', 'cpu', 'cuda'",
        ),
        ("Input should be greater than 0", "must be more than 0"),
        ("Input should be a valid boolean, unable to interpret input", "must be true or false"),
        ("Input should be a valid dictionary or instance of CoarseSettings", "must be a table"),
        ("Value should have at least 1 item after validation, not 0", "must not be empty"),
        ("String should match pattern '^(auto|cpu)$'", "must match '^(auto|cpu)$'"),
        ("Value error, crop is a multiple of 16 for unet", "crop is a multiple of 16 for unet"),
        ("No such option: --nosuch", "No such option: --nosuch"),
    ],
)
def test_what_libraries_say_of_a_wrong_value_is_said_plainly(message: str, ours: str) -> None:
    assert plainer(message) == ours
