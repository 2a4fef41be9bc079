"""Compilation of the experts' inner loops with numba."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function at its first call, and cache the machine code on disk if a cache directory is writable.

    Floating point stays as written (no ``fastmath``), so that a replay computes the same bits. A compiled function may
    call only functions of its own module: numba renews the cache when that file changes, but not when another file
    changes.
    """
    try:
        return njit(cache=True)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # raised by numba if neither the package nor the user's cache directory is writable
        return njit(function)  # type: ignore[no-any-return]
