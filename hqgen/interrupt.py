"""Ctrl-C: the first one asks a command to stop, the next one stops it."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

log = logging.getLogger(__name__)


@dataclass
class Stop:
    """Set once the user asked to stop: no new shard is begun, those in flight are finished."""

    asked: bool = False


@contextmanager
def stoppable(message: str) -> Iterator[Stop]:
    """Let the first interrupt (Ctrl-C, or a termination signal) ask to stop; the next one interrupts."""
    stop = Stop()

    def ask(_number: int, _frame: FrameType | None) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True
        log.warning(message)

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
