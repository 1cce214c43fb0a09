"""Memory for pictures of one size, kept between calls: new memory takes as long to map as the sums take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

T = TypeVar("T")


@lru_cache(maxsize=8)
def _idle(kind: Callable[..., Any], size: tuple[int, int]) -> list[Any]:  # noqa: ARG001 (one list per key)
    """Unused memory of one kind and size, for the last eight of them."""
    return []


@contextmanager
def borrowed(kind: Callable[[int, int], T], height: int, width: int) -> Iterator[T]:
    """`kind(height, width)` for this thread alone; afterwards it is kept for the next user of that size."""
    idle = _idle(kind, (height, width))
    try:
        memory = idle.pop()
    except IndexError:
        memory = kind(height, width)
    try:
        yield memory
    finally:
        idle.append(memory)
