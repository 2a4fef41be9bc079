"""A table of rows by stream key, for one learner that all streams share.

The data of one stream (its states, its window, its pending prediction) is one row of packed arrays under the key of
the stream. The learner reads the row when its stream has an event, and writes the new data of the stream back. The
table must not know what the arrays mean, nor anything that streams have in common.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

from online_lstm.learning.state.packed import ArraySpec, ArrayViews, PackedArrays
from online_lstm.learning.state.schema import TableState

Key = str | None


class StreamTable:
    """Rows with the given fields by stream key, the least recently seen key first.

    The table has no bound: its caller counts the keys, and removes the first key when there are too many.
    """

    def __init__(self, fields: Mapping[str, ArraySpec]) -> None:
        self._fields = dict(fields)
        self._clear()

    def _clear(self) -> None:
        self._rows = PackedArrays(self._fields)
        self._numbers: OrderedDict[Key, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, key: Key) -> bool:
        return key in self._numbers

    def __iter__(self) -> Iterator[Key]:
        """Iterate over the keys, the least recently seen key first."""
        return iter(self._numbers)

    def add(self, key: Key) -> int:
        """Add a row with initial contents for a new key, the most recently seen one, and return the row number."""
        self._numbers[key] = number = self._rows.add()
        return number

    def see(self, key: Key) -> int:
        """Mark a key as the most recently seen one, and return its row number."""
        self._numbers.move_to_end(key)
        return self._numbers[key]

    def number(self, key: Key) -> int:
        """Return the row number of a key."""
        return self._numbers[key]

    def row(self, key: Key) -> ArrayViews:
        """Return the arrays of a key as views, valid until the next ``add``."""
        return self._rows.view(self._numbers[key])

    def column(self, name: str) -> NDArray[Any]:
        """Return one packed array, indexed by row number, valid until the next ``add``."""
        return self._rows.column(name)

    def remove(self, key: Key) -> None:
        """Forget a key and its row."""
        self._rows.remove(self._numbers.pop(key))

    def clear(self) -> None:
        """Forget all keys and their rows."""
        self._clear()

    def state(self) -> TableState:
        """Copy all rows, in the order of the keys."""
        return TableState(list(self._numbers), self._rows.take(list(self._numbers.values())))

    def restore(self, state: TableState) -> None:
        """Restore a state that ``state`` returned.

        Raises:
            StateMismatchError: The name, shape or dtype of an array differs from the fields.
        """
        self._clear()
        for key in state.keys:
            self.add(key)
        self._rows.put(list(self._numbers.values()), state.arrays)
