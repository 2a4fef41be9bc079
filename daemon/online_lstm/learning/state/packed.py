"""Packed arrays: one row for each stream, so that a thousand streams are a dozen arrays and not twelve thousand.

A learner is a view of one row. Rows are recycled; the number of a row never appears in any output or state.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_lstm.errors import StateMismatchError

ArrayViews = Mapping[str, NDArray[Any]]
"""The arrays of one stream, as views: writing to a view writes to the packed arrays."""


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """Shape, dtype and initial content of one array of a row; ``fill`` is one number, or one for each element."""

    shape: tuple[int, ...]
    dtype: str
    fill: float | tuple[float, ...] = 0


def repeated_spec(fields: Mapping[str, ArraySpec], count: int) -> dict[str, ArraySpec]:
    """Describe the arrays of ``count`` equal parts, along an additional first axis."""
    return {name: replace(field, shape=(count, *field.shape)) for name, field in fields.items()}


class PackedArrays:
    """Packed arrays with the given fields; rows are added and removed one at a time."""

    def __init__(self, fields: Mapping[str, ArraySpec]) -> None:
        self._fields = dict(fields)
        self._rows = 0
        self._free: list[int] = []
        self._arrays = {name: np.empty((0, *field.shape), field.dtype) for name, field in self._fields.items()}

    def add(self) -> int:
        """Add a row with initial contents and return its number."""
        if not self._free:
            self._enlarge()
        number = self._free.pop()
        for name, field in self._fields.items():
            self._arrays[name][number] = field.fill
        return number

    def remove(self, number: int) -> None:
        """Recycle a row."""
        self._free.append(number)

    def view(self, number: int) -> dict[str, NDArray[Any]]:
        """Return the arrays of one row as views, valid until the next ``add``."""
        return {name: array[number, ...] for name, array in self._arrays.items()}

    def column(self, name: str) -> NDArray[Any]:
        """Return one packed array of all rows, valid until the next ``add``."""
        return self._arrays[name]

    def take(self, numbers: Sequence[int], names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
        """Copy some rows, in this order, as arrays ``(len(numbers), ...)``; all arrays, or only ``names``."""
        index = np.asarray(numbers, np.intp)
        return {name: self._arrays[name][index] for name in (self._arrays if names is None else names)}

    def put(self, numbers: Sequence[int], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write arrays that ``take`` returned into these rows.

        Raises:
            StateMismatchError: The name, shape or dtype of an array differs from the fields.
        """
        require_same("names", sorted(arrays), sorted(self._fields))
        index = np.asarray(numbers, np.intp)
        for name, field in self._fields.items():
            require_same(f"shape of {name}", arrays[name].shape, (len(index), *field.shape))
            require_same(f"dtype of {name}", arrays[name].dtype, np.dtype(field.dtype))
            self._arrays[name][index] = arrays[name]

    def _enlarge(self) -> None:
        before, self._rows = self._rows, max(1, 2 * self._rows)
        for name, array in self._arrays.items():
            larger = np.zeros((self._rows, *array.shape[1:]), array.dtype)
            larger[:before] = array
            self._arrays[name] = larger
        self._free.extend(range(self._rows - 1, before - 1, -1))


def require_same(name: str, received: object, expected: object) -> None:
    """Raise ``StateMismatchError`` unless both are equal."""
    if received != expected:
        raise StateMismatchError(f"{name} in the restored state: received {received}, expected {expected}")
