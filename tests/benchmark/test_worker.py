"""The process that runs one method."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from hqgen.benchmark.worker import Maker, worker
from hqgen.errors import MethodError
from hqgen.methods.base import Method, Span
from hqgen.methods.tfp import TFP
from hqgen.spikes.packed import Window
from tests.builder.small import stream

CALLS: list[str] = []


@dataclass(frozen=True)
class Odd(Method):
    """Takes memory, fails or ends its process, as its parameter says."""

    name: ClassVar[str] = "odd"
    rank: ClassVar[int] = 2000
    citation: ClassVar[str] = "none"
    does: str = "works"

    @property
    def span(self) -> Span:
        return (1, 1)

    def reconstruct(self, window: Window) -> NDArray[np.float32]:
        CALLS.append(self.does)
        if self.does == "ends":
            os._exit(7)
        if self.does == "fails":
            raise ZeroDivisionError("of a third party")
        if self.does == "refuses":
            raise MethodError("too dark")
        if self.does == "takes memory":
            np.ones(30_000_000, np.float32).sum()
        return np.zeros((2, 2), np.float32)


WINDOW = Window(stream(0), 25)


def test_a_process_of_its_own_gives_image_time_and_memory() -> None:
    with worker(TFP(window=11), repeats=2) as process:
        outcome = process.reconstruct(WINDOW)
        again = process.reconstruct(WINDOW)
        memory = process.memory()
    assert outcome.image is not None
    assert again.image is not None
    assert np.array_equal(outcome.image, TFP(window=11).reconstruct(WINDOW))
    assert np.array_equal(again.image, outcome.image)
    assert outcome.seconds is not None
    assert outcome.seconds.processor >= 0 < outcome.seconds.wall
    assert 1e6 < memory.start <= memory.peak < 1e10
    assert process.process.exitcode is not None


def test_a_process_that_ends_is_an_error_with_its_exit_code() -> None:
    with worker(Odd(does="ends"), repeats=1) as process, pytest.raises(MethodError, match="exit code 7"):
        process.reconstruct(WINDOW)


@pytest.mark.parametrize(
    ("does", "reason"), [("fails", "ZeroDivisionError: of a third party"), ("refuses", "too dark")]
)
def test_a_method_that_fails_gives_a_reason_and_no_image(does: str, reason: str) -> None:
    outcome = Maker(Odd(does=does), 1)(WINDOW)
    assert (outcome.image, outcome.seconds, outcome.reason) == (None, None, reason)


def test_the_first_picture_is_made_once_more_before_the_clock_runs() -> None:
    CALLS.clear()
    maker = Maker(Odd(), repeats=3)
    maker(WINDOW)
    assert len(CALLS) == 1 + 3
    maker(WINDOW)
    assert len(CALLS) == 1 + 3 + 3


def test_memory_counts_what_the_method_takes_and_gives_back() -> None:
    # In a process of its own: in this one, memory of earlier tests is given back meanwhile.
    with worker(Odd(does="takes memory"), repeats=1) as process:
        process.reconstruct(WINDOW)
        memory = process.memory()
    assert memory.peak - memory.start > 0.8 * 120e6
    assert memory.device is None
