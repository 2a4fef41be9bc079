"""Confusion matrix of the most frequent values, in bounded memory."""

from collections import Counter
from typing import Any

MAX_SHOWN = 10
MAX_TRACKED = 512
"""Beyond this number of values, the rarer half is counted as ``OTHER`` from then on."""
MAX_CHARACTERS = 200
"""Strings that agree in this many characters count as equal."""
OTHER = None

Value = Any
"""A number or a string, as in JSON; None stands for all other values."""


class Confusion:
    """Counts of pairs: the actual value and the predicted value.

    With at most ``MAX_TRACKED`` values the counts are exact. With more, the rarer half is dropped, and the highest
    frequency in that half is subtracted from the frequencies of the other values, so that formerly frequent values make
    room for currently frequent ones. This is the algorithm of Misra and Gries, "Finding repeated elements" (1982), with
    several counts dropped at once as in Anderson et al., "A high-performance algorithm for identifying frequent items
    in data streams" (2017). A dropped value starts at zero when it occurs again.
    """

    def __init__(self) -> None:
        self._pairs: Counter[tuple[Value, Value]] = Counter()
        self._seen: Counter[Value] = Counter()

    def add(self, came: Value, predicted: Value) -> None:
        """Count a prediction."""
        came, predicted = _truncated(came), _truncated(predicted)
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
        # equally frequent values keep their order of arrival, which a Counter preserves
        return sorted((value for value in self._seen if value is not OTHER), key=lambda value: -self._seen[value])

    def _of_kept(self, kept: set[Value]) -> Counter[tuple[Value, Value]]:
        """Return the counts of pairs, with all values except the kept ones merged into others."""
        pairs: Counter[tuple[Value, Value]] = Counter()
        for (came, predicted), count in self._pairs.items():
            pairs[_of(kept, came), _of(kept, predicted)] += count
        return pairs

    def to_json(self) -> dict[str, Any]:
        """Return the values, the most frequent first, and the matrix of counts: rows actual, columns predicted.

        The last row and column are for all other values, if any; their hits and misses are not distinguished.
        """
        shown = self._by_frequency()[:MAX_SHOWN]
        matrix = self._of_kept(set(shown))
        others = any(OTHER in pair for pair in matrix)
        axis = [*shown, OTHER] if others else shown
        counts = [[matrix[came, predicted] for predicted in axis] for came in axis]
        return {"values": shown, "other": others, "counts": counts}


def _truncated(value: Value) -> Value:
    return value[:MAX_CHARACTERS] if isinstance(value, str) else value


def _of(kept: set[Value], value: Value) -> Value:
    return value if value in kept else OTHER
