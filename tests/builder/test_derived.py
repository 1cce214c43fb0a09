"""Shards in threads: a wish to stop, and an error in one of them."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from hqgen.builder.derived import run_shards
from hqgen.builder.finish import InterruptedBuildError
from hqgen.errors import StoreError
from hqgen.interrupt import Stop
from tests.builder.small import Recorder


def interrupt_main_thread(stop: Stop) -> None:
    """Send the signal of Ctrl-C, and wait until its handler has run.

    A signal that comes just before the main thread begins to wait for a lock is handled after the wait only.
    Another signal ends that wait; one that is ignored would not.
    """
    main = threading.main_thread().ident or 0
    signal.pthread_kill(main, signal.SIGINT)
    deadline = time.monotonic() + 30
    while not stop.asked:
        assert time.monotonic() < deadline, "the handler of SIGINT never ran"
        time.sleep(0.01)
        signal.pthread_kill(main, signal.SIGUSR1)


@pytest.fixture
def _waking() -> Iterator[None]:
    """SIGUSR1 only wakes the main thread."""
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("_waking")
def test_the_first_interrupt_finishes_what_has_begun(observer: Recorder) -> None:
    done = []

    def work(job: int, stop: Stop) -> int:
        if stop.asked:
            return 0
        if job == 1:
            interrupt_main_thread(stop)
        done.append(job)
        return 2

    with pytest.raises(InterruptedBuildError, match="stopped with 5 of 11 samples done") as caught:
        run_shards("testing", range(5), work, observer, left=10, total=11, threads=1)
    assert done == [0, 1]
    assert observer.done["testing"] == 5
    assert caught.value.exit_code == 130


def test_an_error_in_a_shard_begins_no_other(observer: Recorder) -> None:
    begun = []

    def work(job: int, _stop: Stop) -> int:
        begun.append(job)
        if job == 1:
            raise StoreError("damaged")
        time.sleep(0.05)
        return 1

    with pytest.raises(StoreError, match="damaged"):
        run_shards("testing", range(50), work, observer, left=50, total=50, threads=2)
    assert len(begun) < 10
