"""Where each of many streams is, for one learner that all of them share.

What a stream has of its own (its states, its window, what was predicted of it) is one row of packed arrays under its
key. The learner takes a row up when its stream has an event, and leaves in it where the stream is then; what the
arrays mean is the learner's affair, and so is everything that streams have in common.
"""

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

from online_lstm.learning.state.packed import ArraySpec, ArrayViews, PackedArrays

Key = str | None


class StreamTable:
    """Rows with the given fields by the keys of streams, the key seen least recently first.

    It has no bound: whoever adds a key counts them, and lets the first one go.
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
        """Go through the keys, the one seen least recently first."""
        return iter(self._numbers)

    def add(self, key: Key) -> int:
        """Give the number of a row with first contents for a new key, which is the last one seen."""
        self._numbers[key] = number = self._rows.add()
        return number

    def see(self, key: Key) -> int:
        """Give the number of a key's row; the key is the last one seen."""
        self._numbers.move_to_end(key)
        return self._numbers[key]

    def number(self, key: Key) -> int:
        """Give the number of a key's row."""
        return self._numbers[key]

    def row(self, key: Key) -> ArrayViews:
        """View the arrays of a key, valid until the next ``add``."""
        return self._rows.view(self._numbers[key])

    def column(self, name: str) -> NDArray[Any]:
        """View one packed array, by the numbers of rows, valid until the next ``add``."""
        return self._rows.column(name)

    def remove(self, key: Key) -> None:
        """Forget a key and its row."""
        self._rows.remove(self._numbers.pop(key))

    def clear(self) -> None:
        """Forget all of them."""
        self._clear()

    def state(self) -> dict[str, Any]:
        """Copy all rows as plain data, in the order of the keys."""
        return {
            "keys": [json.dumps(key) for key in self._numbers],
            "arrays": self._rows.take(list(self._numbers.values())),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state`` gave.

        Raises:
            StateMismatchError: An array has another name, shape or dtype than the fields say.
        """
        self._clear()
        for key in state["keys"]:
            self.add(json.loads(key))
        self._rows.put(list(self._numbers.values()), state["arrays"])
