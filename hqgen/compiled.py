"""`@compiled`: numba's nopython compilation with the machine code cached on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile `function` to machine code on its first call; it then runs without the interpreter lock.

    Division by zero gives inf or NaN, as in NumPy: with a check, loops would not be vectorised. The code is
    cached beside the module or in the user's cache directory, so an installation compiles once. If neither
    can be written (a read-only image without a home), every process compiles.
    """
    try:
        return numba.njit(nogil=True, cache=True, error_model="numpy")(function)  # type: ignore[no-any-return]
    except RuntimeError:  # numba's "no locator available": there is no place for the cache
        return numba.njit(nogil=True, error_model="numpy")(function)  # type: ignore[no-any-return]
