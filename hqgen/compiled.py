"""`@compiled`: numba's nopython compilation with the machine code cached on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numba

__all__ = ["compiled"]

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile `function` to machine code on its first call; it then runs without the interpreter lock.

    The code is cached beside the module or in the user's cache directory, so one installation compiles once.
    Where neither can be written (a read-only image without a home directory) every process compiles anew.
    """
    try:
        return numba.njit(nogil=True, cache=True)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # numba's "no locator available": nowhere to keep the cache
        return numba.njit(nogil=True)(function)  # type: ignore[no-any-return]
