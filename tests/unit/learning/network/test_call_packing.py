"""The rows of a call: what is packed on one side is unpacked on the other."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from online_lstm.learning.network.tensorflow_runtime import load_tensorflow
from online_lstm.learning.state.packed import ArraySpec

load_tensorflow()
import tensorflow as tf  # noqa: E402 - after the lazy parts
from online_lstm.learning.network.call_packing import CallLayout, compiled  # noqa: E402


class Fields(NamedTuple):
    """Some fields of two dtypes, with a scalar and a field without elements."""

    weights: Any
    count: Any
    table: Any
    absent: Any
    codes: Any


SPECS = Fields(
    weights=ArraySpec((2,), "float32"),
    count=ArraySpec((), "int32"),
    table=ArraySpec((3, 2), "float32", 0.5),
    absent=ArraySpec((0, 4), "float32"),
    codes=ArraySpec((4,), "int32", -1),
)
LAYOUT = CallLayout(SPECS)
GIVEN = Fields(weights=np.array([1, 2]), count=3, table=np.array([[4, 5]]), absent=None, codes=np.array([6, 7]))


def test_fields_follow_each_other_by_dtype() -> None:
    """There is one row for each dtype; what a short array leaves has the fill value of its field."""
    floats, integers = LAYOUT.pack(GIVEN)
    assert (np.dtype(np.float32), np.dtype(np.int32)) == (floats.dtype, integers.dtype)
    assert [1, 2, 4, 5, 0.5, 0.5, 0.5, 0.5] == floats.tolist()
    assert [3, 6, 7, -1, -1] == integers.tolist()


def test_unpacking_reverses_packing() -> None:
    """Each field has its shape again, with the fill values."""
    fields = LAYOUT.unpack(LAYOUT.pack(GIVEN))
    assert [spec.shape for spec in SPECS] == [field.shape for field in fields]
    assert 3 == fields.count
    assert [[4, 5], [0.5, 0.5], [0.5, 0.5]] == fields.table.tolist()
    assert [6, 7, -1, -1] == fields.codes.tolist()


def test_tensors_have_the_layout_of_arrays() -> None:
    """``split`` finds what ``pack`` wrote, and ``join`` writes what ``unpack`` finds."""
    rows = LAYOUT.pack(GIVEN)
    tensors = LAYOUT.split([tf.constant(row) for row in rows])
    for tensor, field in zip(tensors, LAYOUT.unpack(rows), strict=True):
        assert np.array_equal(field, tensor)
    for row, joined in zip(rows, LAYOUT.join(tensors), strict=True):
        assert np.array_equal(row, joined)


@pytest.mark.parametrize(
    "given", [GIVEN._replace(codes=np.zeros(5)), GIVEN._replace(table=np.zeros((1, 3)))], ids=["longer", "wider"]
)
def test_an_array_that_does_not_fit_is_refused(given: Fields) -> None:
    """It would be written over the next field, or into the wrong columns."""
    with pytest.raises((AssertionError, ValueError)):
        LAYOUT.pack(given)


def test_a_compiled_function_takes_and_returns_arrays() -> None:
    """The function sees tensors under the names of the fields; the caller sees arrays under the same names."""
    results = Fields(*[ArraySpec((2,), "float32")] * 5)
    call = compiled(
        lambda fields: results._replace(
            weights=2 * fields.weights,
            count=tf.cast(tf.stack([fields.count, 0]), tf.float32),
            table=fields.table[1],
            absent=tf.reduce_sum(fields.table, 0),
            codes=tf.cast(fields.codes[:2], tf.float32),
        ),
        arguments=SPECS,
        results=results,
    )
    expected = Fields([2, 4], [3, 0], [0.5, 0.5], [5, 6], [6, 7])
    assert expected == Fields(*[field.tolist() for field in call(GIVEN)])
