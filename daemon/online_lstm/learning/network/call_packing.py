"""The layout of a compiled program's call: named fields of fixed shapes, in one flat row for each dtype.

Every further array would add some 10 us to a call. The fields are those of a named tuple from
``online_lstm.learning.network.signatures``. Only this module knows the position of a field in a row.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from online_lstm.learning.network.lstm import Tensor
from online_lstm.learning.network.program_cache import cached
from online_lstm.learning.network.tensorflow_runtime import processor, trim_heap

Fields = TypeVar("Fields", bound=NamedTuple)
Arguments = TypeVar("Arguments", bound=NamedTuple)
Results = TypeVar("Results", bound=NamedTuple)


class _Slot(NamedTuple):
    """The position of a field: the index of its row, its part of the row, and its shape."""

    row: int
    part: slice
    shape: tuple[int, ...]


class CallLayout(Generic[Fields]):
    """The rows of a named tuple whose ``specs`` have an ``ArraySpec`` for each field."""

    def __init__(self, specs: Fields) -> None:
        self._make = specs._make
        self._slots: list[_Slot] = []
        dtypes = list(dict.fromkeys(spec.dtype for spec in specs))
        self.empty: list[NDArray[Any]] = [np.empty(0, dtype) for dtype in dtypes]
        """The row of each dtype, with the fill value of each field."""
        for spec in specs:
            row = dtypes.index(spec.dtype)
            filled = np.full(prod(spec.shape), spec.fill, spec.dtype)
            first = self.empty[row].size
            self._slots.append(_Slot(row, slice(first, first + filled.size), spec.shape))
            self.empty[row] = np.concatenate([self.empty[row], filled])

    def pack(self, arrays: Fields) -> list[NDArray[Any]]:
        """Return the rows of NumPy arrays.

        An array that is shorter than its field, along the first axis, is followed by the fill value of the field; None
        is an empty array.
        """
        rows = [row.copy() for row in self.empty]
        for array, slot in zip(arrays, self._slots, strict=True):
            if array is not None:
                assert np.shape(array)[1:] == slot.shape[1:], f"received shape {np.shape(array)}, expected {slot.shape}"
                flat = np.ravel(array)
                rows[slot.row][slot.part][: flat.size] = flat
        return rows

    def unpack(self, rows: Sequence[NDArray[Any]]) -> Fields:
        """Return the fields of rows as views."""
        return self._make(rows[slot.row][slot.part].reshape(slot.shape) for slot in self._slots)

    def split(self, rows: Sequence[Tensor]) -> Fields:
        """Return the fields of rows that are tensors."""
        return self._make(tf.reshape(rows[slot.row][slot.part], slot.shape) for slot in self._slots)

    def join(self, tensors: Fields) -> list[Tensor]:
        """Return the rows of tensors."""
        parts: list[list[Tensor]] = [[] for _ in self.empty]
        for tensor, slot in zip(tensors, self._slots, strict=True):
            parts[slot.row].append(tf.reshape(tensor, [-1]))
        return [tf.concat(row, 0) for row in parts]


def compiled(
    run: Callable[[Arguments], Results], *, arguments: Arguments, results: Results
) -> Callable[[Arguments], Results]:
    """Compile a function of tensors to a function of NumPy arrays.

    ``arguments`` and ``results`` are the specs. Arrays may be shorter than their fields: see ``CallLayout.pack``.
    """
    given, returned = CallLayout(arguments), CallLayout(results)
    function = tf.function(
        lambda *rows: returned.join(run(given.split(rows))),
        jit_compile=True,
        # there is no Python to convert into graphs, and its files would remain after a killed process
        autograph=False,
        input_signature=[tf.TensorSpec(row.shape, row.dtype) for row in given.empty],
    )
    # called flat, because binding the arguments to the signature takes 0.1 of the 0.5 ms of a call with one event
    program = function.get_concrete_function().inference_fn

    def call(arrays: Arguments) -> Results:
        rows = program.call_flat(*map(tf.constant, given.pack(arrays)))
        return returned.unpack([row.numpy() for row in rows])

    with cached(_cache_key(arguments, results)):
        program.call_flat(*map(tf.constant, given.empty))  # compiles
    trim_heap()
    return call


def _cache_key(*specs: NamedTuple) -> str:
    """Return a key for programs with these fields on this machine with these versions and flags."""
    about = (specs, tf.__version__, processor(), os.environ["XLA_FLAGS"])
    return hashlib.sha256(repr(about).encode()).hexdigest()[:16]
