"""What was predicted where what came, for the most frequent values; in bounded memory."""

from collections import Counter
from typing import Any

MAX_SHOWN = 10
MAX_TRACKED = 512
"""When there are more values than this, the rarer half is counted as ``OTHER`` from then on."""
MAX_CHARACTERS = 200
"""Strings are told apart by so many."""
OTHER = None

Value = Any
"""A number or a string, as JSON has it; None are all that are not told apart."""


class Confusion:
    """Counts of pairs: the value that came, and the one that had been predicted.

    With at most ``MAX_TRACKED`` values the counts are exact. With more, the rarer half is forgotten, and so is as much
    of how often the others were seen as the most frequent one of that half had: what was frequent long ago makes way
    for what is frequent now. So it is in Misra and Gries, "Finding repeated elements" (1982), of several counts at once
    as by Anderson et al., "A high-performance algorithm for identifying frequent items in data streams" (2017). A value
    that was forgotten is counted anew when it comes again.
    """

    def __init__(self) -> None:
        self._pairs: Counter[tuple[Value, Value]] = Counter()
        self._seen: Counter[Value] = Counter()

    def add(self, came: Value, predicted: Value) -> None:
        """Count a prediction."""
        came, predicted = _told(came), _told(predicted)
        self._pairs[came, predicted] += 1
        self._seen[came] += 1
        self._seen[predicted] += 1
        if len(self._seen) > MAX_TRACKED:
            self._forget_rare()

    def _forget_rare(self) -> None:
        frequent = self._by_frequency()
        kept, less = set(frequent[: MAX_TRACKED // 2]), self._seen[frequent[MAX_TRACKED // 2]]
        self._pairs = self._of_kept(kept)
        self._seen = Counter({value: count - less for value, count in self._seen.items() if value in kept})

    def _by_frequency(self) -> list[Value]:
        # of equally frequent ones the first one comes first: the order of a counter is that of the values
        return sorted((value for value in self._seen if value is not OTHER), key=lambda value: -self._seen[value])

    def _of_kept(self, kept: set[Value]) -> Counter[tuple[Value, Value]]:
        """Give the counts of pairs with all values but the kept ones as others."""
        pairs: Counter[tuple[Value, Value]] = Counter()
        for (came, predicted), count in self._pairs.items():
            pairs[_of(kept, came), _of(kept, predicted)] += count
        return pairs

    def to_json(self) -> dict[str, Any]:
        """Give the values, the most frequent first, and how often which was predicted (columns) where which came.

        The last row and column are of all others, if there were any; of these hits and misses are not told apart.
        """
        shown = self._by_frequency()[:MAX_SHOWN]
        matrix = self._of_kept(set(shown))
        others = any(OTHER in pair for pair in matrix)
        axis = [*shown, OTHER] if others else shown
        counts = [[matrix[came, predicted] for predicted in axis] for came in axis]
        return {"values": shown, "other": others, "counts": counts}


def _told(value: Value) -> Value:
    return value[:MAX_CHARACTERS] if isinstance(value, str) else value


def _of(kept: set[Value], value: Value) -> Value:
    return value if value in kept else OTHER
