"""`@compiled`: numba's nopython compilation with the machine code cached on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numba

__all__ = ["compiled"]

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile `function` to machine code on its first call; it then runs without the interpreter lock.

    Division by zero gives what it gives in NumPy, inf or NaN: a check for it would keep loops from being
    vectorised. The code is cached beside the module or in the user's cache directory, so one installation
    compiles once; where neither can be written (a read-only image without a home) every process does.
    """
    try:
        return numba.njit(nogil=True, cache=True, error_model="numpy")(function)  # type: ignore[no-any-return]
    except RuntimeError:  # numba's "no locator available": nowhere to keep the cache
        return numba.njit(nogil=True, error_model="numpy")(function)  # type: ignore[no-any-return]
