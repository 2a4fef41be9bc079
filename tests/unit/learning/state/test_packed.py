import numpy as np
import pytest
from online_lstm.errors import StateMismatchError
from online_lstm.learning.state.packed import ArraySpec, PackedArrays

FIELDS = {"events": ArraySpec((), "int64"), "window": ArraySpec((3,), "int32", -1)}


def test_a_new_row_has_its_first_contents() -> None:
    """A row begins with the fill of its fields, also where another row was before."""
    rows = PackedArrays(FIELDS)
    first = rows.add()
    rows.view(first)["window"][:] = 7
    rows.view(first)["events"][...] = 9
    rows.remove(first)
    again = rows.add()
    assert first == again
    assert [-1, -1, -1] == rows.view(again)["window"].tolist()
    assert 0 == rows.view(again)["events"]


def test_writing_into_a_view_writes_into_the_arrays() -> None:
    """A view of a row, also of a field without dimensions, is no copy."""
    rows = PackedArrays(FIELDS)
    number = rows.add()
    rows.view(number)["events"][...] += 5
    assert [5] == rows.take([number])["events"].tolist()


def test_rows_keep_their_contents_while_others_come_and_go() -> None:
    """Growing and recycling touch nothing that is in use."""
    rows = PackedArrays(FIELDS)
    numbers = [rows.add() for _ in range(100)]
    for number in numbers:
        rows.view(number)["events"][...] = number
    for number in numbers[::2]:
        rows.remove(number)
    added = [rows.add() for _ in range(70)]
    assert len(set(numbers[1::2]) | set(added)) == 120
    assert numbers[1::2] == rows.take(numbers[1::2])["events"].tolist()
    assert [0] * 70 == rows.take(added)["events"].tolist()


def test_what_is_taken_can_be_put_elsewhere() -> None:
    """Rows travel by ``take`` and ``put`` in the order that is asked for, and are copies in between."""
    rows, others = PackedArrays(FIELDS), PackedArrays(FIELDS)
    numbers = [rows.add() for _ in range(3)]
    for number in numbers:
        rows.view(number)["window"][:] = number
    taken = rows.take(numbers[::-1])
    rows.view(numbers[0])["window"][:] = 99
    places = [others.add() for _ in range(3)]
    others.put(places, taken)
    assert [[2, 2, 2], [1, 1, 1], [0, 0, 0]] == others.take(places)["window"].tolist()


def test_no_row_can_be_taken_and_put() -> None:
    """A partition without streams has arrays of length 0, with the shapes and dtypes of the fields."""
    rows = PackedArrays(FIELDS)
    taken = rows.take([])
    assert {"events": (0,), "window": (0, 3)} == {name: array.shape for name, array in taken.items()}
    rows.put([], taken)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"events": np.zeros(1, np.int64)}, "names in the restored state"),
        ({"events": np.zeros(1, np.int64), "window": np.zeros((1, 4), np.int32)}, "shape of window"),
        ({"events": np.zeros(2, np.int64), "window": np.zeros((1, 3), np.int32)}, "shape of events"),
        ({"events": np.zeros(1, np.int32), "window": np.zeros((1, 3), np.int32)}, "dtype of events"),
    ],
)
def test_other_names_shapes_and_dtypes_are_refused(arrays: dict[str, np.ndarray], message: str) -> None:
    """A state of something else is not written into rows."""
    rows = PackedArrays(FIELDS)
    number = rows.add()
    with pytest.raises(StateMismatchError, match=message):
        rows.put([number], arrays)
    assert [-1, -1, -1] == rows.view(number)["window"].tolist()
