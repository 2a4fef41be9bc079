"""Compilation of the experts' inner loops with numba."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function at its first call and keep the machine code on disk where there is a place to.

    Floating point stays as written (no ``fastmath``), so that a replay gives the same bits. A compiled function may
    call ones of its own module only: numba renews what it keeps when that file changes, and not when another does.
    """
    try:
        return njit(cache=True)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # numba's, when neither the package nor the user's cache directory can be written to
        return njit(function)  # type: ignore[no-any-return]
